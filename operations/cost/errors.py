"""What can be wrong with the files that the calculation reads."""

from common.errors import ExpectedError


class CostError(ExpectedError):
    """The cost cannot be calculated; the message names the file and what to mend in it."""
