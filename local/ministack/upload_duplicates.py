"""Fault injection: S3 events that arrive twice, since AWS delivers them at least once.

`PUT /_local/uploads` with `{"duplicates": 0.1, "delay_seconds": 0.5}` sends a tenth of the events
to EventBridge again half a second later, `GET` returns the setting and counts, `DELETE` ends it.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from local.control_request import ControlRequestError, check_members, number, optional_whole_number

_MAX_DELAY_SECONDS = 3600  # each waiting event needs a thread


@dataclass(frozen=True)
class DuplicatesSetting:
    """The share of S3's events that arrive twice.

    Attributes:
        duplicates: that share, from 0 to 1.
        delay_seconds: between the first and the second event.
        seed: of the random draws, which then repeat in the order of the events; or None.
    """

    duplicates: float = 0.0
    delay_seconds: float = 0.0
    seed: int | None = None


class Duplicates:
    """The setting of one laptop's AWS, and its counts; thread-safe."""

    def __init__(self) -> None:
        """Start without duplicates."""
        self._lock = threading.Lock()
        self.clear()

    def put(self, setting: DuplicatesSetting) -> None:
        """Replace the setting; the counts continue."""
        with self._lock:
            self._setting = setting
            self._chance: Callable[[], float] = random.Random(setting.seed).random  # noqa: S311  not a secret

    def get(self) -> dict[str, Any]:
        """Return the setting, and the counts of `events` and of those `sent_twice` since `clear`."""
        with self._lock:
            return asdict(self._setting) | {"events": self._events, "sent_twice": self._twice}

    def clear(self) -> None:
        """End the duplicates and reset the counts."""
        self.put(DuplicatesSetting())
        with self._lock:
            self._events = self._twice = 0

    def draw(self) -> float | None:
        """Count one event; return the delay of its duplicate in seconds, or None for no duplicate."""
        with self._lock:
            self._events += 1
            if self._chance() >= self._setting.duplicates:
                return None
            self._twice += 1
            return self._setting.delay_seconds


def parse_duplicates(members: Any) -> DuplicatesSetting:
    """Return the setting in a request's JSON.

    Raises:
        ControlRequestError: for an invalid field.
    """
    example = '{"duplicates": 0.1}'
    members = check_members(members, DuplicatesSetting.__dataclass_fields__, example)
    if "duplicates" not in members:
        raise ControlRequestError(f"The body must be a JSON object such as {example}")
    return DuplicatesSetting(
        number(members, "duplicates", 0.0, 1),
        number(members, "delay_seconds", 0.0, _MAX_DELAY_SECONDS),
        optional_whole_number(members, "seed", 0),
    )
