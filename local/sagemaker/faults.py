"""Faults on purpose: an endpoint that is slow, busy, failing or gone, for a share of its calls.

`PUT /_local/faults/{endpoint}` sets one or several, `GET` shows them and counts what they did,
`DELETE` ends them. "Throttled for the next two calls, then well" is
`{"kind": "throttled", "calls": 2}`; "a tenth slow and a tenth failing" is
`{"faults": [{"kind": "slow", "share": 0.1}, {"kind": "failing", "share": 0.1}]}`.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
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


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class FaultRequest:
    """What a PUT asks for: the faults, and a seed with which the same calls are hit each time."""

    faults: Sequence[Fault]
    seed: int | None = None


@dataclass
class _Active:
    """A fault that is not over: until when, by the clock, and for how many calls more."""

    fault: Fault
    until: float | None
    calls_left: int | None


@dataclass
class _Endpoint:
    """The faults of one endpoint, and what has come of them."""

    chance: Callable[[], float]
    active: list[_Active] = field(default_factory=list)
    calls: int = 0
    injected: Counter[str] = field(default_factory=Counter)


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
        self._endpoints: dict[str, _Endpoint] = {}
        self._lock = threading.Lock()

    def put(self, endpoint: str, *faults: Fault, seed: int | None = None) -> None:
        """Give an endpoint faults, in place of those that it has; the counts go on.

        Args:
            endpoint: the endpoint's name.
            faults: their shares together are at most 1; a call gets one of them or none.
            seed: for draws that are the same each time, in the order of the calls.
        """
        now = self._clock()
        with self._lock:
            found = self._endpoints.setdefault(endpoint, _Endpoint(self._chance))
            # No secrets are drawn here: the numbers decide which calls fail on purpose.
            found.chance = self._chance if seed is None else random.Random(seed).random  # noqa: S311
            found.active = [
                _Active(fault, None if fault.seconds is None else now + fault.seconds, fault.calls) for fault in faults
            ]

    def get(self, endpoint: str) -> dict[str, Any]:
        """Return an endpoint's faults with what is left of them, and the counts.

        `calls` are those of the endpoint and `injected` those that a fault has hit, by kind, since
        the first fault or since `clear`.
        """
        with self._lock:
            found = self._endpoints.get(endpoint)
            if found is None:
                return {"faults": [], "calls": 0, "injected": {}}
            self._drop_what_is_over(found)
            faults = [
                asdict(active.fault)
                | {
                    "seconds": active.until and round(active.until - self._clock(), 3),
                    "calls": active.calls_left,
                }
                for active in found.active
            ]
            return {"faults": faults, "calls": found.calls, "injected": dict(found.injected)}

    def clear(self, endpoint: str) -> None:
        """End an endpoint's faults, if it has any, and forget the counts."""
        with self._lock:
            self._endpoints.pop(endpoint, None)

    def draw(self, endpoint: str) -> Fault | None:
        """Decide one call: return the fault that it gets, or None for a healthy call."""
        with self._lock:
            found = self._endpoints.get(endpoint)
            if found is None:
                return None
            found.calls += 1
            self._drop_what_is_over(found)
            if not found.active:
                return None
            mark = found.chance()
            for active in found.active:
                mark -= active.fault.share
                if mark < 0:
                    if active.calls_left is not None:
                        active.calls_left -= 1
                    found.injected[active.fault.kind] += 1
                    return active.fault
            return None

    def _drop_what_is_over(self, endpoint: _Endpoint) -> None:
        now = self._clock()
        endpoint.active = [
            active
            for active in endpoint.active
            if (active.until is None or now < active.until) and active.calls_left != 0
        ]


def parse_faults(members: Any) -> FaultRequest:
    """Return what a request's JSON describes: one fault, or a list of them.

    Raises:
        FaultRequestError: naming the wrong field and what it takes.
    """
    if not isinstance(members, dict) or "faults" not in members:
        return FaultRequest([parse_fault(members)])
    unknown = set(members) - {"faults", "seed"}
    if unknown:
        raise FaultRequestError(f"Unknown field {sorted(unknown)[0]!r} beside faults and seed")
    listed, seed = members["faults"], members.get("seed")
    if not isinstance(listed, list) or not listed:
        raise FaultRequestError('faults must be a list such as [{"kind": "slow", "share": 0.1}]')
    if seed is not None and type(seed) is not int:
        raise FaultRequestError("seed must be a whole number, or null for none")
    faults = [parse_fault(fault) for fault in listed]
    together = sum(fault.share for fault in faults)
    if together > 1 + 1e-9:
        raise FaultRequestError(f"The shares must be at most 1 together; they are {together:g}")
    return FaultRequest(faults, seed)


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
            f"Unknown field {sorted(unknown)[0]!r}; a fault has " + ", ".join(Fault.__dataclass_fields__)
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
