from typing import Any

import pytest
from ministack.services import stepfunctions as sfn

from local.ministack import retry_delays
from local.ministack.retry_delays import delay_seconds

RULE = {"ErrorEquals": ["BusyError"], "IntervalSeconds": 2, "MaxAttempts": 6}


@pytest.mark.parametrize(
    ("members", "pauses"),
    [
        ({}, [2, 4, 8, 16, 32, 64]),
        ({"MaxDelaySeconds": 10}, [2, 4, 8, 10, 10, 10]),
        ({"MaxDelaySeconds": 10, "BackoffRate": 3}, [2, 6, 10, 10, 10, 10]),
        ({"MaxDelaySeconds": 10, "JitterStrategy": "NONE"}, [2, 4, 8, 10, 10, 10]),
    ],
    ids=str,
)
def test_a_pause_grows_up_to_its_bound(members: dict[str, Any], pauses: list[float]) -> None:
    assert [delay_seconds(RULE | members, retries) for retries in range(6)] == pauses


def test_a_rule_without_members_has_the_defaults_of_aws() -> None:
    assert [delay_seconds({"ErrorEquals": ["E"]}, retries) for retries in range(3)] == [1, 2, 4]


def test_full_jitter_draws_between_zero_and_the_bound() -> None:
    rule = RULE | {"MaxDelaySeconds": 10, "JitterStrategy": "FULL"}
    pauses = [delay_seconds(rule, 5) for _ in range(1000)]
    assert 0 <= min(pauses) < 1
    assert 9 < max(pauses) <= 10
    assert 4.5 < sum(pauses) / 1000 < 5.5  # five standard deviations of the mean


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that MiniStack makes, with the change installed for one test."""
    made: list[float] = []
    find = sfn._find_matching_retrier
    monkeypatch.setattr(sfn, "_find_matching_retrier", find)  # and back to it at the end
    monkeypatch.setattr(sfn, "_scaled_sleep", made.append)
    retry_delays.install()
    return made


def busy(*_: object) -> Any:
    raise sfn._ExecutionError("BusyError", "busy")


def test_a_task_of_ministacks_waits_that_long_and_tries_no_more_often(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
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
    assert pauses == [2, 4, 8, 10, 10, 10]


def test_a_map_or_parallel_of_ministacks_waits_that_long(pauses: list[float]) -> None:
    state = {"Retry": [RULE | {"MaxDelaySeconds": 10, "JitterStrategy": "FULL"}]}
    with pytest.raises(sfn._ExecutionError, match="BusyError"):
        sfn._with_retry_and_catch(state, {}, {"State": {"Name": "Map"}}, busy)
    assert len(pauses) == 6
    assert all(0 <= pause <= most for pause, most in zip(pauses, [2, 4, 8, 10, 10, 10], strict=True))
    assert pauses != [2, 4, 8, 10, 10, 10]


def test_an_error_without_a_rule_is_not_tried_again(pauses: list[float]) -> None:
    state = {"Retry": [RULE | {"ErrorEquals": ["OtherError"]}]}
    with pytest.raises(sfn._ExecutionError, match="BusyError"):
        sfn._with_retry_and_catch(state, {}, {"State": {"Name": "Map"}}, busy)
    assert pauses == []
