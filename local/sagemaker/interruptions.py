"""Fault injection: spot interruptions of training jobs, below `/_local/interruptions/`."""

import threading
from dataclasses import asdict, dataclass, replace
from typing import Any

from local.controls import number, parse_setting, whole_number


@dataclass(frozen=True)
class Interruption:
    """A spot interruption of a training job."""

    times: int = whole_number(1, 1)
    after_seconds: float = number(0.0)  # from the start of the script
    notice_seconds: float = number(120.0)  # from SIGTERM to SIGKILL, as on AWS; 0 for SIGKILL at once
    away_seconds: float = number(1.0)  # until the next instance is available


class Interruptions:
    """The requested interruptions by name; thread-safe."""

    def __init__(self) -> None:
        """Start without interruptions."""
        self._requested: dict[str, Interruption] = {}
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def parse(self, members: Any) -> Interruption:
        """Return the interruption in a request's JSON; raise ControlRequestError for an invalid one."""
        return parse_setting(Interruption, '{"times": 1}', members)

    def put(self, name: str, interruption: Interruption) -> None:
        """Replace the interruptions of a name."""
        with self._lock:
            self._requested[name] = interruption
            self._counts.setdefault(name, 0)

    def get(self, name: str) -> dict[str, Any]:
        """Return what is left, and the number `interrupted` since `clear`."""
        with self._lock:
            requested = self._requested.get(name, Interruption(times=0))
            return asdict(requested) | {"interrupted": self._counts.get(name, 0)}

    def clear(self, name: str) -> None:
        """End the interruptions of a name and reset the count."""
        with self._lock:
            self._requested.pop(name, None)
            self._counts.pop(name, None)

    def draw(self, job: str, seconds: float) -> Interruption | None:
        """Return and count the interruption that is due for a job whose script has run for `seconds`, or None."""
        with self._lock:
            for name, requested in self._requested.items():
                of_name = job == name or job.startswith(f"{name}-")
                if of_name and requested.times > 0 and seconds >= requested.after_seconds:
                    self._requested[name] = replace(requested, times=requested.times - 1)
                    self._counts[name] += 1
                    return requested
        return None
