from typing import Any

import pytest

from local.sagemaker.faults import Fault, FaultKind, FaultRequestError, Faults, parse_fault


class Clock:
    """Seconds that a test moves by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "must be a JSON object"),
        ({}, "kind must be one of slow, throttled, "),
        ({"kind": "tired"}, "kind must be one of slow, throttled, "),
        ({"kind": "slow", "call": 1}, "Unknown field 'call'; a fault has kind, share, "),
        ({"kind": "slow", "share": 0}, "share must be above 0 and up to 1"),
        ({"kind": "slow", "share": 1.5}, "share must be above 0 and up to 1"),
        ({"kind": "slow", "share": "all"}, "share must be a number"),
        ({"kind": "slow", "share": True}, "share must be a number"),
        ({"kind": "slow", "calls": 0}, "calls must be a whole number from 1"),
        ({"kind": "slow", "calls": 1.5}, "calls must be a whole number from 1"),
        ({"kind": "slow", "seconds": 0}, "seconds must be above 0"),
        ({"kind": "slow", "delay_seconds": -1}, "delay_seconds not below 0"),
    ],
)
def test_a_wrong_fault_is_refused(members: Any, message: str) -> None:
    with pytest.raises(FaultRequestError) as refused:
        parse_fault(members)
    assert message in str(refused.value)


def test_a_fault_with_everything() -> None:
    members = {"kind": "slow", "share": 0.5, "seconds": 9, "calls": 3, "delay_seconds": 2}
    assert parse_fault(members) == Fault(FaultKind.SLOW, 0.5, 9.0, 3, 2.0)


def test_it_hits_so_many_calls_and_is_over() -> None:
    faults = Faults()
    faults.put("scones", Fault(FaultKind.THROTTLED, calls=2))
    assert [faults.draw("scones") is not None for _ in range(3)] == [True, True, False]
    assert faults.get("scones") is None


def test_it_hits_a_share_of_the_calls() -> None:
    chances = iter([0.2, 0.3, 0.1])
    faults = Faults(chance=lambda: next(chances))
    faults.put("scones", Fault(FaultKind.FAILING, share=0.3, calls=2))
    assert [faults.draw("scones") is not None for _ in range(3)] == [True, False, True]


def test_it_lasts_so_many_seconds() -> None:
    clock = Clock()
    faults = Faults(clock=clock)
    faults.put("scones", Fault(FaultKind.GONE, seconds=5))
    clock.now = 4.0
    assert faults.draw("scones") is not None
    left = faults.get("scones")
    assert left is not None
    assert left["seconds"] == 1.0
    clock.now = 5.0
    assert faults.draw("scones") is None


def test_it_is_one_endpoints_alone_and_can_be_cleared() -> None:
    faults = Faults()
    faults.put("scones", Fault(FaultKind.SLOW))
    assert faults.draw("other") is None
    faults.clear("scones")
    assert faults.draw("scones") is None
