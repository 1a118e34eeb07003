"""What a command of this package does when something goes wrong that a user can put right."""


class ExpectedError(Exception):
    """Ends a command with exit status 1 and its message, which says what to do. No traceback."""
