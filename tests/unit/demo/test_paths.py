"""Counting the arrows of a state machine, from the histories of executions."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from demo import paths as demo_paths
from demo.paths import count_transitions
from operations.workflow_drawing.history import ExecutionNotFoundError
from tests.unit.aws_stubs import stubbed
from tests.unit.operations.workflow_drawing.test_history import BEGAN, MACHINE, History

ARN = "arn:aws:states:eu-west-1:123456789012:execution:Machine"


@pytest.fixture
def stepfunctions(monkeypatch) -> Iterator[tuple[Any, Stubber]]:
    monkeypatch.setattr(demo_paths, "THREADS", 1)  # the stub answers in one order
    client, stub = stubbed("stepfunctions")
    yield client, stub
    stub.assert_no_pending_responses()


def add_execution(stub: Stubber, name: str, history: History) -> str:
    arn = f"{ARN}:{name}"
    stub.add_response(
        "describe_execution",
        {
            "executionArn": arn,
            "stateMachineArn": MACHINE,
            "status": "SUCCEEDED",
            "startDate": BEGAN,
            "stopDate": history.events[-1]["timestamp"],
        },
        {"executionArn": arn},
    )
    # The pictures themselves are in the histories: nothing of them is asked for.
    asked = {"executionArn": arn, "maxResults": 1000, "includeExecutionData": False}
    stub.add_response("get_execution_history", {"events": history.events}, asked)
    return arn


def short() -> History:
    history = History()
    history.visit("Pass", "One")
    history.add("ExecutionSucceeded", {"output": "{}"})
    return history


def with_a_state_twice() -> History:
    history = History()
    for _ in range(2):
        history.task("One", failures=1)
        history.visit("Choice", "Two")
    history.add("ExecutionSucceeded", {"output": "{}"})
    return history


def test_every_passage_counts_also_a_second_one_of_the_same_execution(stepfunctions):
    client, stub = stepfunctions
    arns = [add_execution(stub, "a", short()), add_execution(stub, "b", with_a_state_twice())]
    seen: list[tuple[int, int]] = []
    assert count_transitions(client, arns, lambda *now: seen.append(now)) == [
        {"from": "Start", "to": "One", "times": 2, "after_errors": 0},
        {"from": "One", "to": "End", "times": 1, "after_errors": 0},
        {"from": "One", "to": "Two", "times": 2, "after_errors": 0},
        {"from": "Two", "to": "One", "times": 1, "after_errors": 0},
        {"from": "Two", "to": "End", "times": 1, "after_errors": 0},
    ]
    assert seen == [(1, 2), (2, 2)]


def test_a_passage_after_an_error_that_was_caught_is_told_from_others(stepfunctions):
    client, stub = stepfunctions
    history = History()
    history.task("One", failures=3, caught=True)
    history.visit("Pass", "Two")
    history.add("ExecutionSucceeded", {"output": "{}"})
    [_, caught, _] = count_transitions(client, [add_execution(stub, "a", history)], lambda *_: None)
    assert caught == {"from": "One", "to": "Two", "times": 1, "after_errors": 1}


def test_no_more_than_the_counts_is_kept_of_a_history(stepfunctions, monkeypatch):
    client, stub = stepfunctions
    arns = [add_execution(stub, name, short()) for name in "abc"]
    kept: list[Any] = []

    def run_parallel(work, items, **_):
        kept.extend(map(work, items))
        return kept

    monkeypatch.setattr(demo_paths, "run_parallel", run_parallel)
    count_transitions(client, arns, lambda *_: None)
    assert kept == [({("Start", "One"): 1, ("One", "End"): 1}, {})] * 3


def test_a_history_that_cannot_be_read_ends_the_count(stepfunctions):
    client, stub = stepfunctions
    arns = [add_execution(stub, "a", short()), f"{ARN}:gone"]
    stub.add_client_error("describe_execution", "ExecutionDoesNotExist", "no")
    with pytest.raises(ExecutionNotFoundError, match=f"no execution {ARN}:gone"):
        count_transitions(client, arns, lambda *_: None)
