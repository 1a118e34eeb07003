from typing import Any

import pytest

from local.sagemaker.faults import (
    Fault,
    FaultKind,
    FaultRequest,
    FaultRequestError,
    Faults,
    parse_faults,
)


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
        ({"faults": []}, "faults must be a list such as "),
        ({"faults": {"kind": "slow"}}, "faults must be a list such as "),
        ({"faults": [{"kind": "tired"}]}, "kind must be one of slow, throttled, "),
        ({"faults": [{"kind": "slow"}], "share": 1}, "Unknown field 'share' beside faults"),
        ({"faults": [{"kind": "slow"}], "seed": "a"}, "seed must be a whole number"),
        (
            {"faults": [{"kind": "slow", "share": 0.6}, {"kind": "gone", "share": 0.5}]},
            "The shares must be at most 1 together; they are 1.1",
        ),
    ],
)
def test_a_wrong_fault_is_refused(members: Any, message: str) -> None:
    with pytest.raises(FaultRequestError) as refused:
        parse_faults(members)
    assert message in str(refused.value)


def test_a_fault_with_everything() -> None:
    members = {"kind": "slow", "share": 0.5, "seconds": 9, "calls": 3, "delay_seconds": 2}
    assert parse_faults(members) == FaultRequest([Fault(FaultKind.SLOW, 0.5, 9.0, 3, 2.0)])


def test_several_faults_with_a_seed() -> None:
    shares = [{"kind": kind.value, "share": 1 / 7} for kind in FaultKind]
    request = parse_faults({"faults": shares, "seed": 3})
    assert (len(request.faults), request.seed) == (7, 3)


def test_it_hits_so_many_calls_and_is_over() -> None:
    faults = Faults()
    faults.put("scones", Fault(FaultKind.THROTTLED, calls=2))
    assert [faults.draw("scones") is not None for _ in range(3)] == [True, True, False]
    assert faults.get("scones") == {"faults": [], "calls": 3, "injected": {"throttled": 2}}


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
    [left] = faults.get("scones")["faults"]
    assert left["seconds"] == 1.0
    clock.now = 5.0
    assert faults.draw("scones") is None


def test_it_is_one_endpoints_alone_and_can_be_cleared() -> None:
    faults = Faults()
    faults.put("scones", Fault(FaultKind.SLOW))
    assert faults.draw("other") is None
    faults.clear("scones")
    assert faults.draw("scones") is None


def test_each_of_several_hits_its_own_share() -> None:
    chances = iter([0.0, 0.125, 0.37, 0.375, 0.38, 0.99])
    faults = Faults(chance=lambda: next(chances))
    slow, failing = Fault(FaultKind.SLOW, share=0.125), Fault(FaultKind.FAILING, share=0.25)
    faults.put("scones", slow, failing)
    drawn = [faults.draw("scones") for _ in range(6)]
    assert drawn == [slow, failing, failing, None, None, None]
    counts = faults.get("scones")
    assert (counts["calls"], counts["injected"]) == (6, {"slow": 1, "failing": 2})


def test_one_that_is_over_leaves_the_others_and_the_counts() -> None:
    faults = Faults(chance=lambda: 0.0)
    gone, failing = Fault(FaultKind.GONE, 0.5, calls=1), Fault(FaultKind.FAILING, 0.5)
    faults.put("scones", gone, failing)
    assert [faults.draw("scones") for _ in range(3)] == [gone, failing, failing]
    counts = faults.get("scones")
    assert [left["kind"] for left in counts["faults"]] == ["failing"]
    assert counts["injected"] == {"gone": 1, "failing": 2}


def test_the_counts_go_on_over_another_fault_until_they_are_cleared() -> None:
    faults = Faults()
    faults.put("scones", Fault(FaultKind.GONE))
    faults.draw("scones")
    faults.put("scones", Fault(FaultKind.SLOW))
    faults.draw("scones")
    assert faults.get("scones")["injected"] == {"gone": 1, "slow": 1}
    faults.clear("scones")
    assert faults.get("scones") == {"faults": [], "calls": 0, "injected": {}}


def test_a_seed_hits_the_same_calls_each_time() -> None:
    faults = Faults()
    draws = []
    for _ in range(2):
        faults.put("scones", *[Fault(kind, share=0.2 / 7) for kind in FaultKind], seed=1)
        draws.append([faults.draw("scones") for _ in range(1000)])
    assert draws[0] == draws[1]
    assert 150 <= sum(fault is not None for fault in draws[0]) <= 250
    assert {fault.kind for fault in draws[0] if fault} == set(FaultKind)
