"""The error that a user can fix, and the answers of AWS that are no error."""

from collections.abc import Callable
from typing import Any


class ExpectedError(Exception):
    """Ends a command with exit status 1 and its message, which says what to do, without a traceback."""


def none_if_missing(operation: Callable[..., Any], *codes: str, **arguments: Any) -> Any:
    """Call a method of a boto3 client; return its answer, None if AWS answers with one of these error codes."""
    from botocore.exceptions import ClientError

    try:
        return operation(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in codes:
            return None
        raise
