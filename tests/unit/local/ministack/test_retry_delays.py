from typing import Any

import pytest
from ministack.services import stepfunctions as sfn

from local.ministack import retry_delays
from local.ministack.retry_delays import delay_seconds

RULE = {"ErrorEquals": ["BusyError"], "IntervalSeconds": 2, "MaxAttempts": 6}


@pytest.mark.parametrize(
    ("rule", "delays"),
    [
        (RULE, [2, 4, 8, 16, 32, 64]),
        ({"ErrorEquals": ["E"]}, [1, 2, 4, 8, 16, 32]),
        (RULE | {"MaxDelaySeconds": 10}, [2, 4, 8, 10, 10, 10]),
        (RULE | {"MaxDelaySeconds": 10, "BackoffRate": 3}, [2, 6, 10, 10, 10, 10]),
        (RULE | {"MaxDelaySeconds": 10, "JitterStrategy": "NONE"}, [2, 4, 8, 10, 10, 10]),
    ],
    ids=str,
)
def test_delay_doubles_up_to_its_maximum(rule, delays):
    assert [delay_seconds(rule, retries) for retries in range(6)] == delays


def test_delay_with_full_jitter_is_between_zero_and_maximum():
    rule = RULE | {"MaxDelaySeconds": 10, "JitterStrategy": "FULL"}
    delays = [delay_seconds(rule, 5) for _ in range(1000)]
    assert 0 <= min(delays) < 1
    assert 9 < max(delays) <= 10
    assert 4.5 < sum(delays) / 1000 < 5.5  # five standard deviations of the mean


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch, install_for_test: Any) -> list[float]:
    """The delays of MiniStack, with the patches installed."""
    found: list[float] = []
    install_for_test(retry_delays.patches)
    monkeypatch.setattr(sfn, "_scaled_sleep", found.append)
    return found


def busy(*_: object) -> Any:
    raise sfn._ExecutionError("BusyError", "busy")


def test_task_retries_with_the_delays_of_its_rule(monkeypatch, delays):
    monkeypatch.setattr(sfn, "_invoke_resource", busy)
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Retry": [RULE | {"MaxDelaySeconds": 10}],
        "End": True,
    }
    context = {"QueryLanguage": "JSONPath", "State": {"Name": "Task"}}
    with pytest.raises(sfn._ExecutionError, match="BusyError"):
        sfn._execute_task(task, {}, {"events": []}, context)
    assert delays == [2, 4, 8, 10, 10, 10]


def test_map_retries_with_jitter_up_to_the_delays(delays):
    state = {"Retry": [RULE | {"MaxDelaySeconds": 10, "JitterStrategy": "FULL"}]}
    with pytest.raises(sfn._ExecutionError, match="BusyError"):
        sfn._with_retry_and_catch(state, {}, {"State": {"Name": "Map"}}, busy)
    assert len(delays) == 6
    assert all(0 <= delay <= limit for delay, limit in zip(delays, [2, 4, 8, 10, 10, 10], strict=True))
    assert delays != [2, 4, 8, 10, 10, 10]


def test_error_without_a_rule_has_no_retry(delays):
    state = {"Retry": [RULE | {"ErrorEquals": ["OtherError"]}]}
    with pytest.raises(sfn._ExecutionError, match="BusyError"):
        sfn._with_retry_and_catch(state, {}, {"State": {"Name": "Map"}}, busy)
    assert delays == []
