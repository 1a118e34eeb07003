"""The outcomes of a demo run: each picture has one, consistent with its execution."""

import json
from typing import Any

import pytest

from common.predictions import read_item
from demo import outcomes as module
from demo.outcomes import (
    ExecutionsUnfinishedError,
    PictureOutcome,
    UnaccountedPictureError,
    count_transitions,
    figures,
    picture_outcomes,
    queued_reviews,
    read_predictions,
    wait_for_executions,
)
from tests.unit.aws_stubs import StubbedSession
from tests.unit.operations.workflow_drawing.builders import BEGAN, MACHINE, History

ARN = "arn:aws:states:eu-west-1:123456789012:execution:Machine"
KEY = "inbox/bicycle/a.png"
LOW_CONFIDENCE = {"status": "FAILED", "error": "THRESHOLD_CONFIDENCE_NOT_MET"}


@pytest.fixture
def session(monkeypatch) -> StubbedSession:
    monkeypatch.setattr(module, "THREADS", 1)  # the stubs answer in one order
    monkeypatch.setattr(module, "POLL_SECONDS", 0)
    return StubbedSession()


def execution(name: str = "e", status: str = "SUCCEEDED", **more: Any) -> dict[str, Any]:
    arn = f"{ARN}:{name}"
    return {"executionArn": arn, "stateMachineArn": MACHINE, "name": name, "status": status, "startDate": BEGAN} | more


@pytest.fixture
def outcome(session):
    """Return the outcome of one picture, given its execution, accepted answers and review messages."""

    def of(changes: dict[str, str], items: list[dict[str, Any]], queued: dict[str, Any]) -> PictureOutcome:
        event = {"bucket": {"name": "b"}, "object": {"key": KEY}}
        described = execution(input=json.dumps(event)) | changes
        session.stub("stepfunctions").add_response("describe_execution", described, {"executionArn": f"{ARN}:e"})
        predictions = [read_item(item) for item in items]
        [found] = picture_outcomes(session.client("stepfunctions"), [f"{ARN}:e"], predictions, queued)
        return found

    return of


ANSWER = {"outcome": {"S": "accepted"}, "label": {"S": "bicycle"}, "execution_arn": {"S": f"{ARN}:e"}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("accepted", "bicycle", 0.98, None)),
        (LOW_CONFIDENCE, ("review", "motorcycle", 0.6, None)),
        (
            {"status": "FAILED", "error": "NotAPictureError", "cause": "why"},
            ("failed", None, None, "NotAPictureError: why"),
        ),
        ({"status": "TIMED_OUT"}, ("failed", None, None, "TIMED_OUT: ")),
    ],
)
def test_outcome_is_read_from_table_queue_or_execution(outcome, changes, expected):
    queued = {f"{ARN}:e": {"label": "motorcycle", "confidence": 0.6}}
    found = outcome(changes, [ANSWER | {"confidence": {"N": "0.98"}}], queued)
    assert found == PictureOutcome(KEY, "bicycle", *expected)


@pytest.mark.parametrize(
    ("changes", "items"),
    [
        pytest.param({}, [], id="accepted, without an item"),
        pytest.param({}, [ANSWER | {"outcome": {"S": "review"}}], id="accepted, but in review"),
        pytest.param({}, [{name: ANSWER[name] for name in ("outcome", "execution_arn")}], id="without a label"),
        pytest.param(LOW_CONFIDENCE, [ANSWER], id="review, without a message"),
    ],
)
def test_picture_that_contradicts_its_execution_is_an_error(outcome, changes, items):
    with pytest.raises(UnaccountedPictureError, match=KEY):
        outcome(changes, items, {})


def test_all_pages_of_the_table_are_read(session):
    items = [{"picture": {"S": f"s3://b/{number}"}} for number in range(3)]
    stub = session.stub("dynamodb")
    stub.add_response("scan", {"Items": items[:1], "LastEvaluatedKey": {"k": {"S": "1"}}}, {"TableName": "t"})
    stub.add_response("scan", {"Items": items[1:]})
    predictions = read_predictions(session.client("dynamodb"), "t")
    assert [prediction.key.picture for prediction in predictions] == ["s3://b/0", "s3://b/1", "s3://b/2"]


def test_wait_ends_with_the_last_execution(session):
    seen: list[tuple[int, int | None]] = []
    for second in ("RUNNING", "FAILED"):
        listed = {"executions": [execution("0"), execution("1", second)]}
        session.stub("stepfunctions").add_response("list_executions", listed)
    client = session.client("stepfunctions")
    ended = wait_for_executions(client, MACHINE, lambda: 2, 60, lambda *now: seen.append(now))
    assert ended == [f"{ARN}:0", f"{ARN}:1"]
    assert seen == [(1, 2), (2, 2)]


def test_executions_that_do_not_end_are_an_error(session):
    listed = {"executions": [execution("0"), execution("1", "RUNNING")]}
    session.stub("stepfunctions").add_response("list_executions", listed)
    with pytest.raises(ExecutionsUnfinishedError, match=r"2 of 3 executions had started and 1 had ended"):
        wait_for_executions(session.client("stepfunctions"), MACHINE, lambda: 3, -1, lambda *_: None)


def test_review_queue_keeps_its_messages(session):
    body = {"execution_arn": ARN, "label": "bicycle"}
    url = "http://127.0.0.1/q"
    request = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
    stub = session.stub("sqs")
    stub.add_response("receive_message", {"Messages": [{"Body": json.dumps(body), "ReceiptHandle": "r"}]}, request)
    stub.add_response("receive_message", {}, request)
    visible = {"QueueUrl": url, "ReceiptHandle": "r", "VisibilityTimeout": 0}
    stub.add_response("change_message_visibility", {}, visible)
    assert queued_reviews(session.client("sqs"), url) == {ARN: body}


PICTURES = [
    PictureOutcome("1", "bicycle", "accepted", "bicycle", 0.95),
    PictureOutcome("2", "bicycle", "accepted", "motorcycle", 0.92),
    PictureOutcome("3", "motorcycle", "review", "motorcycle", 0.6),
    PictureOutcome("4", "motorcycle", "failed", error="NotAPictureError: why"),
]


def test_figures_are_over_all_pictures():
    assert figures(PICTURES, 0.9) == {
        "executions": {"started": 4, "accepted": 2, "review": 1, "failed": 1},
        "threshold": 0.9,
        "accuracy": 0.5,
        "accuracy_accepted": 0.5,
        "coverage": 0.5,
        "accepted_below_threshold": 0,
    }
    assert figures(PICTURES, 0.94)["accepted_below_threshold"] == 1
    assert figures([], 0.9)["accuracy"] is None


def add_history(session: StubbedSession, name: str, history: History) -> str:
    history.add("ExecutionSucceeded", {"output": "{}"})
    arn = f"{ARN}:{name}"
    stub = session.stub("stepfunctions")
    described = execution(name, stopDate=history.events[-1]["timestamp"])
    stub.add_response("describe_execution", described, {"executionArn": arn})
    # Without data: the histories contain the pictures.
    request = {"executionArn": arn, "maxResults": 1000, "includeExecutionData": False}
    stub.add_response("get_execution_history", {"events": history.events}, request)
    return arn


def short() -> History:
    history = History()
    history.visit("Pass", "One")
    return history


def test_transitions_of_all_executions_are_counted(session):
    repeated = History()
    for _ in range(2):
        repeated.task("One", failures=1)
        repeated.visit("Choice", "Two")
    arns = [add_history(session, "a", short()), add_history(session, "b", repeated)]
    seen: list[tuple[int, int]] = []
    counted = count_transitions(session.client("stepfunctions"), arns, lambda *now: seen.append(now))
    assert [tuple(row.values()) for row in counted] == [
        ("Start", "One", 2, 0),
        ("One", "End", 1, 0),
        ("One", "Two", 2, 0),
        ("Two", "One", 1, 0),
        ("Two", "End", 1, 0),
    ]
    assert seen == [(1, 2), (2, 2)]


def test_transition_after_a_caught_error_is_counted_as_such(session):
    history = History()
    history.task("One", failures=3, caught=True)
    history.visit("Pass", "Two")
    arns = [add_history(session, "a", history)]
    [_, caught, _] = count_transitions(session.client("stepfunctions"), arns, lambda *_: None)
    assert caught == {"from": "One", "to": "Two", "times": 1, "after_errors": 1}


def test_only_the_counts_of_a_history_are_kept(session, monkeypatch):
    arns = [add_history(session, name, short()) for name in "abc"]
    kept: list[Any] = []

    def run_parallel(work, items, **_):
        kept.extend(map(work, items))
        return kept

    monkeypatch.setattr(module, "run_parallel", run_parallel)
    count_transitions(session.client("stepfunctions"), arns, lambda *_: None)
    assert kept == [({("Start", "One"): 1, ("One", "End"): 1}, {})] * 3
