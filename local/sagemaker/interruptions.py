"""Interruptions on purpose: spot instances that are taken away from training jobs.

`PUT /_local/interruptions/{name}` with `{"times": 2, "after_seconds": 5}` interrupts the spot jobs
of that name, or whose name begins with it and a hyphen, twice, each time that long after their
script has started. `GET` shows what is left and how many there were, `DELETE` ends it.
"""

import threading
from dataclasses import asdict, dataclass, replace
from typing import Any


class InterruptionRequestError(Exception):
    """A setting that cannot be taken; the message says which field is wrong."""


@dataclass(frozen=True)
class Interruption:
    """How a spot job loses its instance.

    Attributes:
        times: how often it happens before it is over.
        after_seconds: how long after the start of the script.
        notice_seconds: how long the script has between SIGTERM and SIGKILL; 0 for SIGKILL at once,
            without SIGTERM.
        away_seconds: how long no other instance is to be had.
    """

    times: int = 1
    after_seconds: float = 0.0
    notice_seconds: float = 120.0  # AWS's own notice, two minutes
    away_seconds: float = 1.0


class Interruptions:
    """The interruptions that were asked for, by name; safe to use from any thread."""

    def __init__(self) -> None:
        """Start with none."""
        self._asked: dict[str, Interruption] = {}
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def put(self, name: str, interruption: Interruption) -> None:
        """Ask for interruptions of the jobs of a name, in place of those asked for before."""
        with self._lock:
            self._asked[name] = interruption
            self._counts.setdefault(name, 0)

    def get(self, name: str) -> dict[str, Any]:
        """Return what is left, and how often jobs were `interrupted` since `clear`."""
        with self._lock:
            asked = self._asked.get(name, Interruption(times=0))
            return asdict(asked) | {"interrupted": self._counts.get(name, 0)}

    def clear(self, name: str) -> None:
        """Ask for no more of them, and forget the count."""
        with self._lock:
            self._asked.pop(name, None)
            self._counts.pop(name, None)

    def draw(self, job: str, seconds: float) -> Interruption | None:
        """Return the interruption that a job gets now, and count it; None for none.

        `seconds` is how long the job's script has been running.
        """
        with self._lock:
            for name, asked in self._asked.items():
                of_name = job == name or job.startswith(f"{name}-")
                if of_name and asked.times > 0 and seconds >= asked.after_seconds:
                    self._asked[name] = replace(asked, times=asked.times - 1)
                    self._counts[name] += 1
                    return asked
        return None


def parse_interruption(members: Any) -> Interruption:
    """Return the interruption that a request's JSON describes.

    Raises:
        InterruptionRequestError: naming the wrong field and what it takes.
    """
    if not isinstance(members, dict):
        raise InterruptionRequestError('The body must be a JSON object such as {"times": 1}')
    known = Interruption.__dataclass_fields__
    unknown = sorted(set(members) - set(known))
    if unknown:
        raise InterruptionRequestError(f"Unknown field {unknown[0]!r}; there are " + ", ".join(known))
    times = members.get("times", 1)
    if type(times) is not int or times < 1:
        raise InterruptionRequestError("times must be a whole number from 1")
    seconds = {name: value for name, value in members.items() if name != "times"}
    for name, value in seconds.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise InterruptionRequestError(f"{name} must be a number, not below 0")
    return Interruption(times, **{name: float(value) for name, value in seconds.items()})
