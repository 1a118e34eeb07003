"""The error that a user can fix."""


class ExpectedError(Exception):
    """Ends a command with exit status 1 and its message, which says what to do, without a traceback."""
