"""Events of S3 that come twice, for a share of them, since AWS delivers at least once.

`PUT /_local/uploads` with `{"duplicates": 0.1, "delay_seconds": 0.5}` has a tenth of the events
sent to EventBridge again half a second later, `GET` shows the setting and counts, `DELETE` ends it.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

_MOST_DELAY_SECONDS = 3600  # each event waits in a thread of its own


class DuplicatesRequestError(Exception):
    """A setting that cannot be taken; the message says which field is wrong."""


@dataclass(frozen=True)
class DuplicatesSetting:
    """How many events come twice.

    Attributes:
        duplicates: the share of the events that do, from 0 to 1.
        delay_seconds: how long after the first one the second one comes.
        seed: for draws that are the same each time, in the order of the events; or None.
    """

    duplicates: float = 0.0
    delay_seconds: float = 0.0
    seed: int | None = None


class Duplicates:
    """The setting of one laptop's AWS, and its counts; safe to use from any thread."""

    def __init__(self) -> None:
        """Start with every event sent once."""
        self._lock = threading.Lock()
        self.clear()

    def put(self, setting: DuplicatesSetting) -> None:
        """Take another setting; the counts go on."""
        with self._lock:
            self._setting = setting
            # No secrets are drawn here: the numbers decide which events come twice.
            self._chance: Callable[[], float] = random.Random(setting.seed).random  # noqa: S311

    def get(self) -> dict[str, Any]:
        """Return the setting, and how many `events` came and were `sent_twice` since `clear`."""
        with self._lock:
            return asdict(self._setting) | {"events": self._events, "sent_twice": self._twice}

    def clear(self) -> None:
        """Send every event once again, and forget the counts."""
        self.put(DuplicatesSetting())
        with self._lock:
            self._events = self._twice = 0

    def draw(self) -> float | None:
        """Decide one event: return after how many seconds it comes again, or None."""
        with self._lock:
            self._events += 1
            if self._chance() >= self._setting.duplicates:
                return None
            self._twice += 1
            return self._setting.delay_seconds


def parse_duplicates(members: Any) -> DuplicatesSetting:
    """Return the setting that a request's JSON describes.

    Raises:
        DuplicatesRequestError: naming the wrong field and what it takes.
    """
    if not isinstance(members, dict) or "duplicates" not in members:
        raise DuplicatesRequestError('The body must be a JSON object such as {"duplicates": 0.1}')
    known = DuplicatesSetting.__dataclass_fields__
    unknown = set(members) - set(known)
    if unknown:
        raise DuplicatesRequestError(f"Unknown field {sorted(unknown)[0]!r}; there are " + ", ".join(known))
    share, delay = members["duplicates"], members.get("delay_seconds", 0.0)
    seed = members.get("seed")
    if not _is_number(share) or not 0 <= share <= 1:
        raise DuplicatesRequestError("duplicates must be a number from 0 to 1")
    if not _is_number(delay) or not 0 <= delay <= _MOST_DELAY_SECONDS:
        raise DuplicatesRequestError(f"delay_seconds must be a number from 0 to {_MOST_DELAY_SECONDS}")
    if seed is not None and type(seed) is not int:
        raise DuplicatesRequestError("seed must be a whole number, or null for none")
    return DuplicatesSetting(float(share), float(delay), seed)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
