"""What can be wrong with the files that the calculation reads."""


class CostError(Exception):
    """The cost cannot be calculated; the message names the file and what to mend in it."""
