"""Fault injection: an endpoint that is slow, throttled, failing or missing, for a share of its calls."""

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from local.controls import ControlRequestError, number, parse_setting, whole_number

_SUM_TOLERANCE = 1e-9  # of shares such as ten times 0.1


class FaultKind(StrEnum):
    """The effect of a fault on a call."""

    SLOW = "slow"  # the right answer after delay_seconds; after more than 60 s a ModelError, timed out
    THROTTLED = "throttled"  # ThrottlingException
    UNAVAILABLE = "unavailable"  # ServiceUnavailable, HTTP 503
    FAILING = "failing"  # ModelError: the container answered 500
    REFUSING = "refusing"  # ModelError: the container answered 400
    NONSENSE = "nonsense"  # HTTP 200 with an answer without probabilities
    GONE = "gone"  # ValidationError: endpoint not found


def _check_kind(name: str, value: Any) -> FaultKind:
    if value not in list(FaultKind):
        raise ControlRequestError(f"{name} must be one of {', '.join(FaultKind)}")
    return FaultKind(value)


@dataclass(frozen=True)
class Fault:
    """A fault of one endpoint."""

    kind: FaultKind = field(metadata={"check": _check_kind})
    share: float = number(1.0, maximum=1, zero=False)  # of the calls
    seconds: float | None = number(None, zero=False)  # until it ends; None for until it is deleted
    calls: int | None = whole_number(None, 1)  # that it hits; None for no limit
    delay_seconds: float = number(1.0)  # for `slow`, the additional duration of a call


def _check_faults(name: str, value: Any) -> list[Fault]:
    if not isinstance(value, list) or not value:
        raise ControlRequestError(f'{name} must be a list such as [{{"kind": "slow", "share": 0.1}}]')
    faults = [parse_setting(Fault, '{"kind": "throttled"}', fault) for fault in value]
    total = sum(fault.share for fault in faults)
    if total > 1 + _SUM_TOLERANCE:
        raise ControlRequestError(f"The shares must add up to at most 1; they add up to {total:g}")
    return faults


@dataclass(frozen=True)
class FaultRequest:
    """The faults of one endpoint; each call gets at most one. A seed makes them hit the same calls each time."""

    faults: Sequence[Fault] = field(metadata={"check": _check_faults})
    seed: int | None = whole_number(None, 0)


@dataclass
class _EndpointFaults:
    """The faults of one endpoint with the times of their ends, and the counts."""

    chance: Callable[[], float]
    active: list[tuple[Fault, float]] = field(default_factory=list)
    calls: int = 0
    injected: Counter[str] = field(default_factory=Counter)

    def drop_ended(self, now: float) -> None:
        """Drop faults without remaining seconds or calls."""
        self.active = [(fault, end) for fault, end in self.active if now < end and fault.calls != 0]


class Faults:
    """The faults of every endpoint; thread-safe."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        """Start without faults; `clock` counts seconds, `chance` draws from [0, 1) per call."""
        self._clock = clock
        self._chance = chance
        self._endpoints: dict[str, _EndpointFaults] = {}
        self._lock = threading.Lock()

    def parse(self, members: Any) -> FaultRequest:
        """Return the fault or the list of faults in a request's JSON; raise ControlRequestError for an invalid one."""
        if not isinstance(members, dict) or "faults" not in members:
            members = {"faults": [members]}
        return parse_setting(FaultRequest, '{"faults": [{"kind": "throttled"}]}', members)

    def put(self, endpoint: str, request: FaultRequest) -> None:
        """Replace the faults of an endpoint; the counts continue."""
        now = self._clock()
        with self._lock:
            found = self._endpoints.setdefault(endpoint, _EndpointFaults(self._chance))
            found.chance = self._chance if request.seed is None else random.Random(request.seed).random  # noqa: S311  not a secret
            found.active = [
                (fault, math.inf if fault.seconds is None else now + fault.seconds) for fault in request.faults
            ]

    def get(self, endpoint: str) -> dict[str, Any]:
        """Return an endpoint's faults with their remaining seconds and calls, and the counts.

        `calls` counts all calls since the first fault or `clear`, `injected` those that a fault hit, by kind.
        """
        with self._lock:
            found = self._endpoints.get(endpoint, _EndpointFaults(self._chance))
            now = self._clock()
            found.drop_ended(now)
            faults = [
                asdict(fault) | {"seconds": None if end == math.inf else round(end - now, 3)}
                for fault, end in found.active
            ]
            return {"faults": faults, "calls": found.calls, "injected": dict(found.injected)}

    def clear(self, endpoint: str) -> None:
        """End an endpoint's faults and reset the counts."""
        with self._lock:
            self._endpoints.pop(endpoint, None)

    def draw(self, endpoint: str) -> Fault | None:
        """Count one call; return the fault that hits it, or None."""
        with self._lock:
            found = self._endpoints.get(endpoint)
            if found is None:
                return None
            found.calls += 1
            found.drop_ended(self._clock())
            rest = found.chance() if found.active else 0.0
            for index, (fault, end) in enumerate(found.active):
                rest -= fault.share
                if rest < 0:
                    if fault.calls is not None:
                        found.active[index] = (replace(fault, calls=fault.calls - 1), end)
                    found.injected[fault.kind] += 1
                    return fault
            return None
