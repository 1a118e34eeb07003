"""A check that a function of MiniStack is the one that a change of ours was written for."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

_DIGITS = 8  # of the SHA-256 of the function's text; enough to see that it has changed


class MiniStackChangedError(Exception):
    """MiniStack's code is not what the laptop's AWS was written for; the message says where."""


def check_source(function: Callable[..., Any], digest: str, changed_by: str) -> None:
    """Make sure that a function's text is the known one.

    Args:
        function: MiniStack's function, as MiniStack defines it.
        digest: the first digits of the SHA-256 of its text.
        changed_by: the file that changes it, for the message.

    Raises:
        MiniStackChangedError: when the text is another one.
    """
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:_DIGITS]
    if found != digest:
        raise MiniStackChangedError(
            f"MiniStack's {function.__module__}.{function.__qualname__} has changed (its digest is "
            f"{found}, not {digest}): compare it with {changed_by}, and drop what MiniStack now "
            "does itself"
        )
