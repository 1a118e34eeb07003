"""Each version of a picture has one outcome, whatever is repeated, refused or killed.

The outcome is an accepted answer in the table, a message in the review queue, or a failure with a notification. The
workflow is the deployed one. For a refused call, its definition temporarily names a resource that does not exist.
"""

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from common.predictions import LOW_CONFIDENCE_ERROR
from common.settings import project
from tests.integration.deployed_machines import Path, altered, deployed_member, ended, entered, history, start
from tests.integration.laptop_aws import processes, wait_until
from tests.integration.mailbox import Mailbox, assert_failed
from tests.integration.workflow_stack import (
    ANSWER_SECONDS,
    BLACK,
    GREY,
    WHITE,
    Stack,
    execute,
    fault,
    item_key,
    put,
    record,
)

STALE_MS = 900_000  # the age from which another execution may take over an unfinished claim
THRESHOLD = ("Filter Low Confidence", "Arguments", "Payload")
QUEUE_URL = ("Send To Review", "Arguments", "QueueUrl")
# GREY is a bicycle with 160 / 255 = 0.627: in review as deployed, accepted with this.
LENIENT: dict[Path, object] = {THRESHOLD: "{% $merge([$states.input, {'threshold': 0.5}]) %}"}


@pytest.fixture
def hurried(stack: Stack) -> Iterator[None]:
    """Step Functions' waits and pauses between retries take almost no time."""
    scale_waits(stack, 0.002)
    yield
    scale_waits(stack, 1)


def scale_waits(stack: Stack, factor: float) -> None:
    """Scale MiniStack's waits."""
    setting = {"stepfunctions._SFN_WAIT_SCALE": factor}
    assert stack.aws.control("POST", "/_ministack/config", setting)["applied"] == setting


def upload_event(event: dict[str, str]) -> dict[str, Any]:
    """Return the detail of S3's event for an object."""
    uploaded: dict[str, Any] = {"key": event["s3_key"], "version-id": event["s3_version_id"]}
    uploaded |= {"size": 100, "etag": "0" * 32, "sequencer": "00"}
    return {"version": "0", "bucket": {"name": event["s3_bucket"]}, "object": uploaded, "reason": "PutObject"}


def items(stack: Stack, event: dict[str, str]) -> list[dict[str, Any]]:
    """Return the items of every version of a key."""
    found: list[dict[str, Any]] = stack.aws.client("dynamodb").query(
        TableName=stack.outputs["PredictionsTableName"],
        KeyConditionExpression="picture = :picture",
        ExpressionAttributeValues={":picture": item_key(event)["picture"]},
        ConsistentRead=True,
    )["Items"]
    return found


def item_of(stack: Stack, event: dict[str, str]) -> dict[str, Any]:
    """Return the item of a version, which must exist."""
    item = record(stack, event)
    assert item is not None
    return item


def claim(stack: Stack, event: dict[str, str], age_ms: int, **changes: dict[str, str]) -> str:
    """Write the claim of another execution, `age_ms` old; return that execution's ARN.

    `changes` are other attributes, as in DynamoDB's API.
    """
    other = f"{stack.outputs['StateMachineArn']}:{uuid.uuid4()}".replace(":stateMachine:", ":execution:")
    item = {
        "outcome": {"S": "review"},
        "queued": {"BOOL": False},
        "claimed_at": {"N": str(int(time.time() * 1000) - age_ms)},
        "guess": {"S": "bicycle"},
        "confidence": {"N": "0.7"},
        "threshold": {"N": "0.9"},
        "endpoint_name": {"S": "other"},
        "execution_arn": {"S": other},
        "decided_at": {"S": "2026-01-01T00:00:00Z"},
    }
    stack.aws.client("dynamodb").put_item(
        TableName=stack.outputs["PredictionsTableName"], Item=item_key(event) | item | changes
    )
    return other


def assert_accepted(stack: Stack, event: dict[str, str], label: str) -> None:
    """Assert that a version's item is an accepted answer with this label."""
    item = item_of(stack, event)
    assert (item["outcome"], item.get("label")) == ({"S": "accepted"}, {"S": label})


def assert_in_review(stack: Stack, event: dict[str, str], review: Mailbox, queued: bool = True) -> None:
    """Assert that a version's item says review, and that the review queue has one message about it."""
    item = item_of(stack, event)
    assert (item["outcome"], item["queued"]) == ({"S": "review"}, {"BOOL": queued})
    assert len(review.about(event)) == 1


def assert_low_confidence(execution: dict[str, Any]) -> str:
    """Assert that the execution failed since the picture is in review; return the cause."""
    assert (execution["status"], execution["error"]) == ("FAILED", LOW_CONFIDENCE_ERROR), execution
    return str(execution["cause"])


def assert_succeeded(execution: dict[str, Any]) -> dict[str, Any]:
    """Assert that the execution succeeded; return its output."""
    assert execution["status"] == "SUCCEEDED", execution
    output: dict[str, Any] = json.loads(execution["output"])
    return output


def assert_not_notified(notifications: Mailbox, execution: dict[str, Any]) -> None:
    """Assert that neither the workflow nor EventBridge sent a notification of the execution."""
    notifications.wait_for_later()
    assert notifications.of(execution["executionArn"]) == []


def assert_eventbridge_notified(
    notifications: Mailbox, arn: str, status: str, error: str | None = None, event: object = None
) -> None:
    """Assert that EventBridge sent the only notification of an execution, with these members."""
    [message] = notifications.wait(arn)
    assert message["status"] == status
    if error:
        assert message["error"] == error
    if event:
        assert json.loads(message["input"]) == event


# ------------------------------------------------------------------------- Repeated events
@pytest.mark.parity("s3-events-at-least-once")
def test_upload_event_that_comes_three_times_gives_one_answer(stack, review, notifications):
    event = put(stack, WHITE, f"inbox/{uuid.uuid4()}/a.png")
    first = wait_until(lambda: record(stack, event), ANSWER_SECONDS)["execution_arn"]["S"]
    detail = json.loads(ended(stack, first)["input"])
    assert detail["object"]["key"] == event["s3_key"]  # S3's own, as the rule passed it on
    for arn in [start(stack, detail) for _ in range(2)]:
        output = assert_succeeded(ended(stack, arn))
        assert (output["label"], output["accepted"]) == ("bicycle", True)
        assert output["earlier"]["execution_arn"] == first
    assert [item["execution_arn"]["S"] for item in items(stack, event)] == [first]
    assert review.about(event) == notifications.about(event) == []


@pytest.mark.parity("dynamodb-conditional-write", "states-dynamodb-condition")
def test_two_events_at_once_give_one_answer_and_both_succeed(stack):
    event = put(stack, BLACK)
    arns = [start(stack, upload_event(event)) for _ in range(2)]
    outputs = [json.loads(ended(stack, arn)["output"]) for arn in arns]
    [item] = items(stack, event)
    winner = item["execution_arn"]["S"]
    [loser] = set(arns) - {winner}
    assert [output["label"] for output in outputs] == ["motorcycle", "motorcycle"]
    assert outputs[arns.index(loser)]["earlier"]["execution_arn"] == winner
    assert "earlier" not in outputs[arns.index(winner)]


@pytest.mark.parity("dynamodb-conditional-write", "s3-events-at-least-once")
def test_twenty_concurrent_events_queue_the_picture_once(stack, review, notifications, hurried):
    event = put(stack, GREY)
    for arn in [start(stack, upload_event(event)) for _ in range(20)]:
        assert "0.627" in assert_low_confidence(ended(stack, arn))
    assert len(items(stack, event)) == 1
    assert_in_review(stack, event, review)
    assert_low_confidence(execute(stack, upload_event(event)))  # and once more, later
    assert_in_review(stack, event, review)
    assert notifications.about(event) == []


@pytest.mark.parity("s3-versions")
def test_each_version_of_a_key_has_an_outcome_of_its_own(stack, review):
    first = put(stack, WHITE)
    second, third = (put(stack, body, first["s3_key"]) for body in (GREY, BLACK))
    for event in (first, second, third):
        execute(stack, upload_event(event))
    assert len(items(stack, first)) == 3
    assert_accepted(stack, first, "bicycle")
    assert_accepted(stack, third, "motorcycle")
    assert_in_review(stack, second, review)
    assert review.about(first) == review.about(third) == []


def test_picture_in_review_stays_there_when_a_later_answer_is_accepted(stack, review):
    event = put(stack, GREY)
    assert_low_confidence(execute(stack, event))
    before = record(stack, event)
    with altered(stack, LENIENT):
        cause = assert_low_confidence(execute(stack, event))
    assert "not accepted at threshold 0.9" in cause
    assert record(stack, event) == before
    assert_in_review(stack, event, review)


def test_accepted_answer_stands_when_a_later_one_is_below_the_threshold(stack, review):
    event = put(stack, GREY)
    with altered(stack, LENIENT):
        first = execute(stack, event)
    assert_succeeded(first)
    before = record(stack, event)
    output = assert_succeeded(execute(stack, event))
    assert output["earlier"]["execution_arn"] == first["executionArn"]
    assert (output["label"], output["threshold"], output["accepted"]) == ("bicycle", 0.5, True)
    assert record(stack, event) == before
    assert review.about(event) == []


# ------------------------------------------------------------- Claims of other executions
@pytest.mark.parity("states-dynamodb-condition")
def test_unfinished_claim_is_taken_over(stack, review):
    event = put(stack, GREY)
    claim(stack, event, STALE_MS + 5_000)
    execution = execute(stack, event)
    assert_low_confidence(execution)
    assert entered(stack, execution["executionArn"], "Wait For The Other Execution") == 0
    assert_in_review(stack, event, review)
    assert item_of(stack, event)["execution_arn"] == {"S": execution["executionArn"]}


def test_unfinished_claim_is_queued_even_if_a_later_answer_is_accepted(stack, review):
    """The first execution's message may be in the queue, so the picture stays in review."""
    event = put(stack, WHITE)
    claim(stack, event, STALE_MS + 5_000)
    assert_low_confidence(execute(stack, event))
    assert_in_review(stack, event, review)
    [message] = review.about(event)
    assert (message["label"], message["confidence"], message["accepted"]) == ("bicycle", 0.7, False)
    assert (message["endpoint_name"], "inferences" in message) == ("other", False)


@pytest.mark.parametrize(
    "change", [{"outcome": {"S": "lost"}}, {"outcome": {"S": "reviewed"}}], ids=["unknown", "no label"]
)
def test_item_with_an_unknown_outcome_fails_the_execution(stack, notifications, change):
    event = put(stack, WHITE)
    claim(stack, event, 0, **change)
    assert_failed(execute(stack, event), "UNKNOWN_OUTCOME", notifications, event)


@pytest.mark.parametrize(("label", "accepted"), [("motorcycle", True), ("neither", False)])
def test_decision_of_a_person_stands(stack, review, label, accepted):
    event = put(stack, WHITE)
    claim(stack, event, 0, outcome={"S": "reviewed"}, label={"S": label})
    output = assert_succeeded(execute(stack, event))
    assert (output["label"], output["accepted"]) == (label, accepted)
    assert review.about(event) == []


def test_input_with_a_picture_and_an_upload_event_is_about_the_picture(stack):
    mine, other = put(stack, WHITE), put(stack, BLACK)
    assert_succeeded(execute(stack, upload_event(other) | mine))
    assert_accepted(stack, mine, "bicycle")
    assert items(stack, other) == []


def start_beside_claim(stack: Stack, event: dict[str, str]) -> str:
    """Start an execution beside a fresh claim and return its ARN once it waits."""
    arn = start(stack, event)
    wait_until(lambda: entered(stack, arn, "Wait For The Other Execution"), ANSWER_SECONDS)
    return arn


@pytest.mark.parity("states-wait", "states-dynamodb")
@pytest.mark.parametrize("body", [WHITE, GREY], ids=["accepted", "review"])
def test_outcome_of_a_fresh_claim_is_waited_for_and_stands(stack, review, hurried, body):
    event = put(stack, body)
    other = claim(stack, event, 0)
    arn = start_beside_claim(stack, event)
    stack.aws.client("dynamodb").update_item(
        TableName=stack.outputs["PredictionsTableName"],
        Key=item_key(event),
        UpdateExpression="SET queued = :yes",
        ExpressionAttributeValues={":yes": {"BOOL": True}},
    )
    cause = assert_low_confidence(ended(stack, arn))
    assert "confidence 0.7 for bicycle" in cause  # of the other execution
    assert item_of(stack, event)["execution_arn"] == {"S": other}
    assert review.about(event) == []  # the other has queued it


@pytest.mark.parity("states-wait")
def test_released_claim_leaves_the_picture_to_a_waiting_execution(stack, review, hurried):
    event = put(stack, GREY)
    claim(stack, event, 0)
    arn = start_beside_claim(stack, event)
    table = stack.outputs["PredictionsTableName"]
    stack.aws.client("dynamodb").delete_item(TableName=table, Key=item_key(event))
    assert_low_confidence(ended(stack, arn))
    assert_in_review(stack, event, review)


# ------------------------------------------------------------------------- AWS refuses
@pytest.mark.parity("states-sqs-refused", "states-catch", "states-dynamodb")
def test_refusing_queue_fails_the_execution_and_releases_the_claim(stack, review, notifications, hurried):
    event = put(stack, GREY)
    with altered(stack, refusing_queue(stack)):
        execution = execute(stack, event)
    assert_failed(execution, "SQS.", notifications, event)
    assert items(stack, event) == []
    assert_low_confidence(execute(stack, event))
    assert_in_review(stack, event, review)


def refusing_queue(stack: Stack) -> dict[Path, object]:
    """Return the change that makes the state machine send to a queue that does not exist."""
    return {QUEUE_URL: f"{deployed_member(stack, *QUEUE_URL)}-none"}


@pytest.mark.parity("events-pattern")
def test_refused_confirmation_does_not_lose_the_picture(stack, review, notifications):
    event = put(stack, GREY)
    condition = ("Confirm Review", "Arguments", "ConditionExpression")
    with altered(stack, {condition: "execution_arn <> :me"}):
        execution = execute(stack, event)
    assert_low_confidence(execution)
    assert_in_review(stack, event, review, queued=False)
    assert_not_notified(notifications, execution)


@pytest.mark.parity("states-catch")
@pytest.mark.parametrize(
    ("body", "state"),
    [(WHITE, "Record Prediction"), (GREY, "Claim Review")],
    ids=["accepted", "review"],
)
def test_refusing_table_fails_the_execution(stack, review, notifications, body, state):
    event = put(stack, body)
    with altered(stack, {(state, "Arguments", "TableName"): "none"}):
        execution = execute(stack, event)
    assert_failed(execution, "DynamoDB.ResourceNotFoundException", notifications, event)
    assert items(stack, event) == review.about(event) == []


def test_unreadable_earlier_outcome_fails_the_execution_and_stays(stack, review, notifications):
    event = put(stack, GREY)
    execute(stack, event)
    with altered(stack, {("Read Earlier Outcome", "Arguments", "TableName"): "none"}):
        execution = execute(stack, event)
    assert_failed(execution, "DynamoDB.ResourceNotFoundException", notifications, event)
    assert_in_review(stack, event, review)


def test_claim_that_cannot_be_released_still_sends_a_notification(stack, notifications, hurried):
    event = put(stack, GREY)
    with altered(stack, refusing_queue(stack) | {("Release Claim", "Arguments", "TableName"): "none"}):
        execution = execute(stack, event)
    assert_failed(execution, "SQS.", notifications, event)


@pytest.mark.parity("states-sns-refused", "states-status-events")
def test_refusing_topic_fails_with_the_first_error_and_eventbridge_notifies(stack, notifications, hurried):
    event = {"s3_bucket": stack.outputs["PicturesBucketName"], "s3_key": f"{uuid.uuid4()}.png"}
    topic = stack.outputs["FailureTopicArn"]
    with altered(stack, {("Notify Failure", "Arguments", "TopicArn"): f"{topic}-none"}):
        execution = execute(stack, event)
    assert (execution["status"], execution["error"]) == ("FAILED", "PictureNotFoundError")
    assert execution["cause"].startswith("NOBODY WAS TOLD: ")
    assert_eventbridge_notified(
        notifications, execution["executionArn"], "FAILED", error="PictureNotFoundError", event=event
    )


# ----------------------------------------------------------- What no Catch inside can see
@pytest.mark.parity("states-uncaught", "states-jsonata-failure", "states-status-events")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({("Is Accepted", "Choices", 0, "Condition"): "{% $number('x') = 1 %}"}, "States.QueryEvaluationError"),
        ({("Is Accepted", "Type"): "Unknown"}, "States.Runtime"),
    ],
    ids=["expression", "unknown state"],
)
def test_failure_that_no_catch_sees_is_notified_by_eventbridge(stack, notifications, changes, error):
    event = put(stack, WHITE)
    with altered(stack, changes):
        execution = execute(stack, event)
    assert (execution["status"], execution["error"]) == ("FAILED", error)
    [message] = notifications.wait(execution["executionArn"])
    assert (message["status"], message["error"], message["cause"]) == ("FAILED", error, execution["cause"])
    assert json.loads(message["input"]) == event
    assert_restartable(stack, execution)


@pytest.mark.parity("states-stop", "states-status-events")
def test_stopped_execution_sends_a_notification_and_can_be_restarted(healthy, notifications):
    event = put(healthy, WHITE)
    fault(healthy, {"kind": "slow", "delay_seconds": 1})
    arn = start(healthy, event)
    wait_until(lambda: entered(healthy, arn, "Image Classification"), ANSWER_SECONDS)
    healthy.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="me")
    execution = ended(healthy, arn)
    assert execution["status"] == "ABORTED"
    assert_eventbridge_notified(notifications, arn, "ABORTED", event=event)
    fault(healthy, None)
    assert_restartable(healthy, execution)
    assert len(items(healthy, event)) == 1


# ------------------------------------------------------------------- Faults of the endpoint
@pytest.mark.parity("invoke-busy", "invoke-model-error", "invoke-not-found", "invoke-60-seconds", "states-catch")
@pytest.mark.parametrize(
    ("kind", "error", "tries"),
    [
        ("throttled", "EndpointBusyError", 9),
        ("unavailable", "EndpointBusyError", 9),
        ("failing", "EndpointBusyError", 9),
        ("refusing", "PictureRefusedError", 1),
        ("nonsense", "InvalidAnswerError", 1),
        ("gone", "EndpointNotFoundError", 1),
    ],
)
def test_permanent_fault_of_the_endpoint_fails_a_restartable_execution(
    healthy, notifications, hurried, kind, error, tries
):
    fault(healthy, {"kind": kind})
    event = put(healthy, WHITE)
    execution = execute(healthy, event)
    assert_failed(execution, error, notifications, event)
    assert task_errors(healthy, execution) == [error] * tries
    fault(healthy, None)
    assert_restartable(healthy, execution)


def task_errors(stack: Stack, execution: dict[str, Any]) -> list[str]:
    """Return the errors of all failed tasks in an execution's history."""
    events = history(stack, execution["executionArn"])
    return [e["taskFailedEventDetails"]["error"] for e in events if e["type"] == "TaskFailed"]


@pytest.mark.parity("states-assign", "states-retry", "invoke-busy", "events-pattern")
@pytest.mark.parametrize("kind", ["throttled", "unavailable", "failing", "slow"])
def test_transient_fault_of_the_endpoint_is_retried(healthy, notifications, hurried, kind):
    fault(healthy, {"kind": kind, "calls": 2} | ({"delay_seconds": 0.5} if kind == "slow" else {}))
    event = put(healthy, BLACK)
    execution = execute(healthy, event)
    assert_succeeded(execution)
    assert task_errors(healthy, execution) == ([] if kind == "slow" else ["EndpointBusyError"] * 2)
    assert_accepted(healthy, event, "motorcycle")
    assert_not_notified(notifications, execution)


# --------------------------------------------------------------- Functions that do not answer
@pytest.fixture(scope="module")
def classifier(stack: Stack) -> str:
    """The name of the deployed function that invokes the endpoint."""
    arn: str = deployed_member(stack, "Image Classification", "Arguments", "FunctionName")
    return arn.rpartition(":")[2]


def start_slow_call(stack: Stack, seconds: float) -> str:
    """Start an execution whose call of the endpoint takes so long; return its ARN once the call has begun."""
    fault(stack, None)  # also resets the counts
    fault(stack, {"kind": "slow", "delay_seconds": seconds, "calls": 1})
    arn = start(stack, put(stack, WHITE))
    path = f"/_local/faults/{project().endpoint_name}"
    wait_until(lambda: stack.aws.control("GET", path)["injected"].get("slow"), ANSWER_SECONDS)
    return arn


def assert_restartable(stack: Stack, failed: dict[str, Any]) -> None:
    """Assert that a failed picture has no item, and is accepted after a restart."""
    event = json.loads(failed["input"])
    assert items(stack, event) == []
    assert_succeeded(execute(stack, event))
    assert_accepted(stack, event, "bicycle")


@pytest.mark.parity("lambda-killed")
def test_killed_function_fails_the_execution(healthy, notifications, classifier):
    arn = start_slow_call(healthy, 5)
    workers = processes([str(healthy.aws.state / "tmp" / f"ministack-lambda-{classifier}")])
    assert workers
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    execution = ended(healthy, arn)
    cause = assert_failed(execution, "Runtime.ExitError", notifications)
    assert "signal: killed" in cause
    assert_restartable(healthy, execution)


@pytest.mark.parity("lambda-timeout")
def test_function_timeout_fails_the_execution(healthy, notifications, classifier):
    functions = healthy.aws.client("lambda")
    deployed = functions.get_function_configuration(FunctionName=classifier)["Timeout"]
    functions.update_function_configuration(FunctionName=classifier, Timeout=1)
    try:
        execution = ended(healthy, start_slow_call(healthy, 3))
    finally:
        functions.update_function_configuration(FunctionName=classifier, Timeout=deployed)
    cause = assert_failed(execution, "Sandbox.Timedout", notifications)
    assert "Task timed out after 1.00 seconds" in cause
    assert_restartable(healthy, execution)


@pytest.mark.parity("states-lambda-throttled", "states-retry")
def test_function_without_free_concurrency_fails_the_execution(stack, notifications, hurried, classifier):
    functions = stack.aws.client("lambda")
    functions.put_function_concurrency(FunctionName=classifier, ReservedConcurrentExecutions=0)
    try:
        execution = execute(stack, put(stack, WHITE))
    finally:  # the laptop's CloudFormation sets none
        functions.delete_function_concurrency(FunctionName=classifier)
    assert_failed(execution, "Lambda.TooManyRequestsException", notifications)
    assert len(task_errors(stack, execution)) == 13  # the call, and 12 retries
    assert_restartable(stack, execution)


@pytest.mark.parity("states-task-timeout")
def test_state_timeout_fails_the_execution_with_a_notification(healthy, notifications):
    with altered(healthy, {("Image Classification", "TimeoutSeconds"): 1}):
        arn = start_slow_call(healthy, 3)
        execution = ended(healthy, arn)
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Timeout")
    [own, *_] = [body for body in notifications.wait(arn) if "execution_arn" in body]
    assert own["error"]["Error"] == "States.Timeout"
    assert_restartable(healthy, execution)


@pytest.mark.parity("states-status-events")
def test_execution_timeout_is_notified_by_eventbridge(healthy, notifications):
    execute(healthy, put(healthy, WHITE))  # no cold start takes up the time
    with altered(healthy, {}, timeout_seconds=2):
        arn = start_slow_call(healthy, 4)
        execution = ended(healthy, arn)
    assert execution["status"] == "TIMED_OUT"
    assert_eventbridge_notified(notifications, arn, "TIMED_OUT")
    assert_restartable(healthy, execution)
