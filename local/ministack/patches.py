"""Patches of MiniStack, each written for one version of the source that it replaces.

A module of this package declares its patches once, and `install` applies those of several modules:

    patches = Patches(__name__)

    @patches.wrap(sns, "_fanout", "984cdd91")
    def _count_messages(fanout):
        ...  # return the replacement of fanout
"""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Patch = TypeVar("Patch", bound=Callable[..., Any])
_DIGITS = 8  # of the SHA-256 of the source; enough to see that it has changed


class MiniStackChangedError(Exception):
    """MiniStack's source differs from the version that a patch was written for; the message names both."""


@dataclass(frozen=True)
class _Source:
    """A function or text of MiniStack that a patch needs; `make` returns its replacement, if any."""

    owner: Any
    name: str
    digest: str
    make: Callable[[Any], Any] | None = None


class Patches:
    """The patches that one module declares."""

    def __init__(self, module: str) -> None:
        """Start without patches; `module` is the `__name__` of the module that declares them."""
        self.file = f"{module.replace('.', '/')}.py"
        self.sources: list[_Source] = []

    def rely_on(self, owner: Any, name: str, digest: str) -> None:
        """Declare that a patch depends on a function, `owner.name`, that it leaves unchanged.

        The digest is the first digits of the SHA-256 of its source.
        """
        self.sources.append(_Source(owner, name, digest))

    def wrap(self, owner: Any, name: str, digest: str) -> Callable[[Patch], Patch]:
        """Declare a function that gets the original and returns its replacement; arguments as for `rely_on`."""

        def declare(make: Patch) -> Patch:
            self.sources.append(_Source(owner, name, digest, make))
            return make

        return declare

    def replace(self, owner: Any, name: str, digest: str) -> Callable[[Patch], Patch]:
        """Declare a function that replaces the original; arguments as for `rely_on`."""

        def declare(replacement: Patch) -> Patch:
            self.wrap(owner, name, digest)(lambda _original: replacement)
            return replacement

        return declare


def install(*modules: Patches) -> None:
    """Apply patches in this process, once, before the first request; a later one of a function wraps the earlier one.

    Raise MiniStackChangedError when a source has changed; then nothing is patched.
    """
    declared = [(source, module.file) for module in modules for source in module.sources]
    for source, file in declared:
        original = getattr(source.owner, source.name)
        text = original if isinstance(original, str) else inspect.getsource(original)
        found = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
        if found != source.digest:
            raise MiniStackChangedError(
                f"MiniStack's {source.owner.__name__}.{source.name} has changed (its digest is {found}, not "
                f"{source.digest}): compare it with {file}, and remove the patch if MiniStack no longer needs it"
            )
    for source, _ in declared:
        if source.make is not None:
            setattr(source.owner, source.name, source.make(getattr(source.owner, source.name)))
