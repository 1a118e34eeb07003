from local.sagemaker.faults import Fault, FaultKind, FaultRequest, Faults


def put(faults: Faults, *requested: Fault, seed: int | None = None) -> None:
    faults.put("scones", FaultRequest(requested, seed))


def test_fault_with_calls_ends_after_them():
    faults = Faults()
    put(faults, Fault(FaultKind.THROTTLED, calls=2))
    assert [faults.draw("scones") is not None for _ in range(3)] == [True, True, False]
    assert faults.get("scones") == {"faults": [], "calls": 3, "injected": {"throttled": 2}}


def test_fault_with_share_hits_that_share():
    chances = iter([0.2, 0.3, 0.1])
    faults = Faults(chance=lambda: next(chances))
    put(faults, Fault(FaultKind.FAILING, share=0.3, calls=2))
    assert [faults.draw("scones") is not None for _ in range(3)] == [True, False, True]


def test_fault_with_seconds_ends_after_them():
    times = iter([0.0, 4.0, 4.0, 5.0])
    faults = Faults(clock=times.__next__)
    put(faults, Fault(FaultKind.GONE, seconds=5))
    assert faults.draw("scones") is not None
    [left] = faults.get("scones")["faults"]
    assert left["seconds"] == 1.0
    assert faults.draw("scones") is None


def test_several_faults_hit_their_shares():
    chances = iter([0.0, 0.125, 0.37, 0.375, 0.38, 0.99])
    faults = Faults(chance=lambda: next(chances))
    slow, failing = Fault(FaultKind.SLOW, share=0.125), Fault(FaultKind.FAILING, share=0.25)
    put(faults, slow, failing)
    drawn = [faults.draw("scones") for _ in range(6)]
    assert drawn == [slow, failing, failing, None, None, None]
    counts = faults.get("scones")
    assert (counts["calls"], counts["injected"]) == (6, {"slow": 1, "failing": 2})


def test_ended_fault_keeps_the_others_and_the_counts():
    faults = Faults(chance=lambda: 0.0)
    gone, failing = Fault(FaultKind.GONE, 0.5, calls=1), Fault(FaultKind.FAILING, 0.5)
    put(faults, gone, failing)
    assert [faults.draw("scones") for _ in range(3)] == [gone, failing, failing]
    counts = faults.get("scones")
    assert [left["kind"] for left in counts["faults"]] == ["failing"]
    assert counts["injected"] == {"gone": 1, "failing": 2}


def test_faults_and_counts_of_one_endpoint_continue_until_cleared():
    faults = Faults()
    put(faults, Fault(FaultKind.GONE))
    faults.draw("scones")
    put(faults, Fault(FaultKind.SLOW))
    faults.draw("scones")
    assert faults.draw("other") is None
    assert faults.get("scones")["injected"] == {"gone": 1, "slow": 1}
    faults.clear("scones")
    assert faults.draw("scones") is None
    assert faults.get("scones") == {"faults": [], "calls": 0, "injected": {}}


def test_seed_hits_the_same_calls_each_time():
    faults = Faults()
    draws = []
    for _ in range(2):
        put(faults, *(Fault(kind, share=0.2 / 7) for kind in FaultKind), seed=1)
        draws.append([faults.draw("scones") for _ in range(1000)])
    assert draws[0] == draws[1]
    assert 150 <= sum(fault is not None for fault in draws[0]) <= 250
    assert {fault.kind for fault in draws[0] if fault} == set(FaultKind)
