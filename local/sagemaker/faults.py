"""Faults on purpose: an endpoint that is slow, busy, failing or gone, for a share of its calls.

`PUT /_local/faults/{endpoint}` sets one, `GET` shows it, `DELETE` ends it. "Throttled for the next
two calls, then well" is `{"kind": "throttled", "calls": 2}`.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """What a faulty call gets."""

    SLOW = "slow"  # the right answer after delay_seconds; past 60 s ModelError: timed out
    THROTTLED = "throttled"  # ThrottlingException
    UNAVAILABLE = "unavailable"  # ServiceUnavailable, HTTP 503
    FAILING = "failing"  # ModelError: the container answered 500
    REFUSING = "refusing"  # ModelError: the container answered 400
    NONSENSE = "nonsense"  # HTTP 200 with an answer that holds no probabilities
    GONE = "gone"  # ValidationError: endpoint not found


class FaultRequestError(Exception):
    """A fault that cannot be set; the message says which field is wrong."""


@dataclass
class Fault:
    """A fault of one endpoint.

    Attributes:
        kind: what a faulty call gets.
        share: the share of calls that are faulty, above 0 and up to 1.
        seconds: how long the fault lasts from now, or None for until it is deleted.
        calls: how many calls it hits before it is over, or None for no limit.
        delay_seconds: for `slow`, how much longer a call takes.
    """

    kind: FaultKind
    share: float = 1.0
    seconds: float | None = None
    calls: int | None = None
    delay_seconds: float = 1.0


class Faults:
    """The faults of every endpoint; safe to use from any thread."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Start without faults; `clock` counts seconds, `chance` draws from [0, 1) per call."""
        self._clock = clock
        self._chance = chance
        self._faults: dict[str, tuple[Fault, float | None]] = {}
        self._lock = threading.Lock()

    def put(self, endpoint: str, fault: Fault) -> None:
        """Give an endpoint a fault, in place of the one that it has."""
        until = None if fault.seconds is None else self._clock() + fault.seconds
        with self._lock:
            self._faults[endpoint] = (fault, until)

    def get(self, endpoint: str) -> dict[str, Any] | None:
        """Return an endpoint's fault, with the calls and seconds that are left, or None."""
        with self._lock:
            found = self._current(endpoint)
            if found is None:
                return None
            fault, until = found
            left = None if until is None else round(until - self._clock(), 3)
            return asdict(fault) | {"seconds": left}

    def clear(self, endpoint: str) -> None:
        """End an endpoint's fault, if it has one."""
        with self._lock:
            self._faults.pop(endpoint, None)

    def draw(self, endpoint: str) -> Fault | None:
        """Decide one call: return the fault that it gets, or None for a healthy call."""
        with self._lock:
            found = self._current(endpoint)
            if found is None:
                return None
            fault, _ = found
            if self._chance() >= fault.share:
                return None
            if fault.calls is not None:
                fault.calls -= 1
                if fault.calls == 0:
                    del self._faults[endpoint]
            return fault

    def _current(self, endpoint: str) -> tuple[Fault, float | None] | None:
        found = self._faults.get(endpoint)
        if found is not None and found[1] is not None and self._clock() >= found[1]:
            del self._faults[endpoint]
            return None
        return found


def parse_fault(members: Any) -> Fault:
    """Return the fault that a request's JSON describes.

    Raises:
        FaultRequestError: naming the wrong field and what it takes.
    """
    if not isinstance(members, dict):
        raise FaultRequestError('The body must be a JSON object such as {"kind": "throttled"}')
    unknown = set(members) - set(Fault.__dataclass_fields__)
    if unknown:
        raise FaultRequestError(
            f"Unknown field {sorted(unknown)[0]!r}; a fault has "
            + ", ".join(Fault.__dataclass_fields__)
        )
    kinds = [kind.value for kind in FaultKind]
    if members.get("kind") not in kinds:
        raise FaultRequestError(f"kind must be one of {', '.join(kinds)}")
    share = _number(members, "share", 1.0)
    if share is None or not 0 < share <= 1:
        raise FaultRequestError("share must be above 0 and up to 1")
    calls = members.get("calls")
    if calls is not None and (type(calls) is not int or calls < 1):
        raise FaultRequestError("calls must be a whole number from 1, or null for no limit")
    seconds = _number(members, "seconds", None)
    delay = _number(members, "delay_seconds", 1.0)
    if (seconds is not None and seconds <= 0) or delay is None or delay < 0:
        raise FaultRequestError("seconds must be above 0 and delay_seconds not below 0")
    return Fault(FaultKind(members["kind"]), share, seconds, calls, delay)


def _number(members: dict[str, Any], name: str, default: float | None) -> float | None:
    value = members.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaultRequestError(f"{name} must be a number")
    return float(value)
