"""How far this machine's clock is from AWS's, from the Date headers of ordinary answers.

The end of an execution is told by AWS's clock and the arrival of a picture by this machine's: a
latency between the two needs the difference.
"""

from datetime import UTC
from email.utils import parsedate_to_datetime


class ClockOffset:
    """Narrows the difference down with every answer: its Date lies between request and answer."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._low = float("-inf")
        self._high = float("inf")

    def observe(self, asked: float, answered: float, date: str | None) -> None:
        """Take one answer: this machine's times around it (seconds since 1970) and its Date.

        An answer whose Date is no date, such as one that a proxy has made, tells nothing.
        """
        try:
            told = parsedate_to_datetime(date or "").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return
        self._low = max(self._low, told - answered)
        self._high = min(self._high, told + 1 - asked)  # a Date is cut to the full second

    @property
    def seconds(self) -> float:
        """AWS's clock minus this machine's; 0 where the answers agree with 0 or there are none."""
        if self._low <= 0 <= self._high:
            return 0.0
        return (self._low + self._high) / 2
