"""Each version of a picture ends in one place, whatever is repeated, refused or killed.

The one place is an accepted answer in the table, a message in the review queue, or a failure with a
notification. The workflow is the deployed one; where AWS has to refuse a call, the
deployed definition names something that is not there, for as long as the test lasts.
"""

import json
import os
import signal
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from common.settings import project
from tests.integration.deployed_machines import (
    Path,
    altered,
    deployed_member,
    ended,
    entered,
    history,
    start,
)
from tests.integration.laptop_aws import processes, wait_until
from tests.integration.mailbox import Mailbox
from tests.integration.workflow_stack import (
    ANSWER_SECONDS,
    BLACK,
    GREY,
    WHITE,
    Stack,
    execute,
    fault,
    put,
    record,
)

DOUBTFUL = "THRESHOLD_CONFIDENCE_NOT_MET"
UNTOLD = "NOBODY WAS TOLD: "
STALE_MS = 900_000  # age from which another execution's unfinished claim may be taken over
THRESHOLD = ("Filter Low Confidence", "Arguments", "Payload")
# GREY is a bicycle with 160 / 255 = 0.627: doubtful as deployed, accepted with this.
LENIENT: dict[Path, object] = {THRESHOLD: "{% $merge([$states.input, {'threshold': 0.5}]) %}"}


@pytest.fixture
def hurried(stack: Stack) -> Iterator[None]:
    """Step Functions' own waits and pauses between tries, made so short that they do not count."""
    scale_waits(stack, 0.002)
    yield
    scale_waits(stack, 1)


def scale_waits(stack: Stack, factor: float) -> None:
    """Tell MiniStack how long a second of waiting takes."""
    setting = {"stepfunctions._SFN_WAIT_SCALE": factor}
    assert control(stack, "POST", "/_ministack/config", setting)["applied"] == setting


def control(stack: Stack, method: str, path: str, setting: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the laptop's AWS something that is no AWS API; return its answer."""
    request = urllib.request.Request(  # noqa: S310  loopback
        stack.aws.endpoint_url + path,
        data=json.dumps(setting).encode() if setting else None,
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  loopback
        found: dict[str, Any] = json.load(answer)
        return found


def upload_event(event: dict[str, str]) -> dict[str, Any]:
    """Return the detail of S3's event for an object, with keys as S3 writes them."""
    return {
        "version": "0",
        "bucket": {"name": event["s3_bucket"]},
        "object": {
            "key": event["s3_key"],
            "size": 100,
            "etag": "0" * 32,
            "version-id": event["s3_version_id"],
            "sequencer": "00",
        },
        "reason": "PutObject",
    }


def items(stack: Stack, event: dict[str, str]) -> list[dict[str, Any]]:
    """Return the records of every version of a key."""
    found: list[dict[str, Any]] = stack.aws.client("dynamodb").query(
        TableName=stack.outputs["PredictionsTableName"],
        KeyConditionExpression="picture = :picture",
        ExpressionAttributeValues={":picture": {"S": f"s3://{event['s3_bucket']}/{event['s3_key']}"}},
        ConsistentRead=True,
    )["Items"]
    return found


def claim(stack: Stack, event: dict[str, str], age_ms: int, **changes: dict[str, str]) -> str:
    """Write the claim that another execution made `age_ms` ago; return that execution's ARN.

    `changes` are other attributes, as DynamoDB's API has them.
    """
    other = f"{stack.outputs['StateMachineArn']}:{uuid.uuid4()}".replace(":stateMachine:", ":execution:")
    stack.aws.client("dynamodb").put_item(
        TableName=stack.outputs["PredictionsTableName"],
        Item={
            "picture": {"S": f"s3://{event['s3_bucket']}/{event['s3_key']}"},
            "version_id": {"S": event["s3_version_id"]},
            "outcome": {"S": "review"},
            "queued": {"BOOL": False},
            "claimed_at": {"N": str(int(time.time() * 1000) - age_ms)},
            "guess": {"S": "bicycle"},
            "confidence": {"N": "0.7"},
            "threshold": {"N": "0.9"},
            "endpoint_name": {"S": "other"},
            "execution_arn": {"S": other},
            "decided_at": {"S": "2026-01-01T00:00:00Z"},
            **changes,
        },
    )
    return other


def is_accepted(stack: Stack, event: dict[str, str], label: str) -> bool:
    """Say whether the one record of a version is an accepted answer with this label."""
    item = record(stack, event)
    assert item is not None
    return (item["outcome"], item.get("label")) == ({"S": "accepted"}, {"S": label})


def assert_in_review(stack: Stack, event: dict[str, str], review: Mailbox) -> None:
    """Assert that a version's record says review, and that people have one message about it."""
    item = record(stack, event)
    assert item is not None
    assert (item["outcome"], item["queued"]) == ({"S": "review"}, {"BOOL": True})
    assert len(review.about(event)) == 1


def assert_failed(
    execution: dict[str, Any], error: str, notifications: Mailbox, event: dict[str, str] | None = None
) -> str:
    """Assert that the execution failed with this error and sent one notification; return the cause."""
    assert (execution["status"], execution["error"]) == ("FAILED", error), execution
    notifications.wait_for_later()
    [message] = notifications.of(execution["executionArn"])
    assert message["error"] == {"Error": error, "Cause": execution["cause"]}
    if event:
        assert (message["s3_key"], message["s3_version_id"]) == (
            event["s3_key"],
            event["s3_version_id"],
        )
    return str(execution["cause"])


# ------------------------------------------------------------------------- Repeated events
@pytest.mark.parity("s3-events-at-least-once")
def test_upload_event_that_comes_three_times_gives_one_answer(stack, review, notifications):
    event = put(stack, WHITE, f"inbox/{uuid.uuid4()}/a.png")
    first = wait_until(lambda: record(stack, event), ANSWER_SECONDS)["execution_arn"]["S"]
    detail = json.loads(ended(stack, first)["input"])
    assert detail["object"]["key"] == event["s3_key"]  # S3's own, as the rule passed it on
    for arn in [start(stack, detail) for _ in range(2)]:
        again = ended(stack, arn)
        assert again["status"] == "SUCCEEDED"
        output = json.loads(again["output"])
        assert (output["label"], output["accepted"]) == ("bicycle", True)
        assert output["earlier"]["execution_arn"] == first
    assert [item["execution_arn"]["S"] for item in items(stack, event)] == [first]
    assert review.about(event) == notifications.about(event) == []


@pytest.mark.parity("s3-events-at-least-once")
def test_repeated_upload_event_queues_the_picture_once(stack, review, notifications):
    control(stack, "PUT", "/_local/uploads", {"duplicates": 1})
    try:
        event = put(stack, GREY, f"inbox/{uuid.uuid4()}/a.png")
        arns = wait_until(lambda: both_started(stack, event["s3_key"]), ANSWER_SECONDS)
    finally:
        control(stack, "DELETE", "/_local/uploads")
    assert [ended(stack, arn)["error"] for arn in arns] == [DOUBTFUL] * 2
    assert len(items(stack, event)) == 1
    assert_in_review(stack, event, review)
    assert notifications.about(event) == []


def both_started(stack: Stack, key: str) -> list[str] | None:
    """Return the two executions that S3's events for a key have started, once there are two."""
    stepfunctions = stack.aws.client("stepfunctions")
    newest = stepfunctions.list_executions(stateMachineArn=stack.outputs["StateMachineArn"], maxResults=10)[
        "executions"
    ]
    arns = [e["executionArn"] for e in newest]
    inputs = [json.loads(stepfunctions.describe_execution(executionArn=a)["input"]) for a in arns]
    found = [arn for arn, given in zip(arns, inputs, strict=True) if given.get("object", {}).get("key") == key]
    return found if len(found) == 2 else None


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
    arns = [start(stack, upload_event(event)) for _ in range(20)]
    for arn in arns:
        execution = ended(stack, arn)
        assert (execution["status"], execution["error"]) == ("FAILED", DOUBTFUL)
        assert "0.627" in execution["cause"]
    assert len(items(stack, event)) == 1
    assert_in_review(stack, event, review)
    assert execute(stack, upload_event(event))["error"] == DOUBTFUL  # and once more, later
    assert_in_review(stack, event, review)
    assert notifications.about(event) == []


@pytest.mark.parity("s3-versions")
def test_each_version_of_a_key_has_an_outcome_of_its_own(stack, review):
    first = put(stack, WHITE)
    second = put(stack, GREY, first["s3_key"])
    third = put(stack, BLACK, first["s3_key"])
    for event in (first, second, third):
        execute(stack, upload_event(event))
    assert len(items(stack, first)) == 3
    assert is_accepted(stack, first, "bicycle")
    assert is_accepted(stack, third, "motorcycle")
    assert_in_review(stack, second, review)
    assert review.about(first) == review.about(third) == []


def test_picture_in_review_stays_there_when_a_later_answer_is_accepted(stack, review):
    event = put(stack, GREY)
    assert execute(stack, event)["error"] == DOUBTFUL
    before = record(stack, event)
    with altered(stack, LENIENT):
        again = execute(stack, event)
    assert (again["status"], again["error"]) == ("FAILED", DOUBTFUL)
    assert "not accepted at threshold 0.9" in again["cause"]
    assert record(stack, event) == before
    assert_in_review(stack, event, review)


def test_accepted_answer_stands_when_a_later_one_is_below_the_threshold(stack, review):
    event = put(stack, GREY)
    with altered(stack, LENIENT):
        first = execute(stack, event)
    assert first["status"] == "SUCCEEDED"
    before = record(stack, event)
    again = execute(stack, event)
    assert again["status"] == "SUCCEEDED"
    output = json.loads(again["output"])
    assert output["earlier"]["execution_arn"] == first["executionArn"]
    assert (output["label"], output["threshold"], output["accepted"]) == ("bicycle", 0.5, True)
    assert record(stack, event) == before
    assert review.about(event) == []


@pytest.mark.parity("states-catch", "invoke-not-found")
def test_a_failed_picture_is_started_again_on_purpose(healthy, notifications):
    event = put(healthy, WHITE)
    fault(healthy, {"kind": "gone"})
    assert_failed(execute(healthy, event), "EndpointNotFoundError", notifications, event)
    assert items(healthy, event) == []
    fault(healthy, None)
    assert execute(healthy, event)["status"] == "SUCCEEDED"
    assert len(items(healthy, event)) == 1
    assert is_accepted(healthy, event, "bicycle")
    assert len(notifications.about(event)) == 1


# ------------------------------------------------------------- Claims of other executions
@pytest.mark.parity("states-dynamodb-condition")
def test_a_claim_that_was_left_unfinished_is_taken_over(stack, review):
    event = put(stack, GREY)
    claim(stack, event, STALE_MS + 5_000)
    execution = execute(stack, event)
    assert execution["error"] == DOUBTFUL
    assert entered(stack, execution["executionArn"], "Wait For The Other Execution") == 0
    assert_in_review(stack, event, review)
    item = record(stack, event)
    assert item
    assert item["execution_arn"] == {"S": execution["executionArn"]}


def test_an_unfinished_claim_is_made_good_though_a_later_answer_is_certain(stack, review):
    """Nobody knows whether the first execution's message is in the queue: it stays in review."""
    event = put(stack, WHITE)
    claim(stack, event, STALE_MS + 5_000)
    execution = execute(stack, event)
    assert execution["error"] == DOUBTFUL
    assert_in_review(stack, event, review)
    [message] = review.about(event)
    assert (message["label"], message["confidence"], message["accepted"]) == ("bicycle", 0.7, False)
    assert (message["endpoint_name"], "inferences" in message) == ("other", False)


@pytest.mark.parametrize(
    "change", [{"outcome": {"S": "lost"}}, {"outcome": {"S": "reviewed"}}], ids=["odd", "no label"]
)
def test_item_with_an_unknown_outcome_fails_the_execution(stack, notifications, change):
    event = put(stack, WHITE)
    claim(stack, event, 0, **change)
    execution = execute(stack, event)
    assert_failed(execution, "UNKNOWN_OUTCOME", notifications, event)


@pytest.mark.parametrize(("label", "accepted"), [("motorcycle", True), ("neither", False)])
def test_a_persons_decision_stands(stack, review, label, accepted):
    event = put(stack, WHITE)
    claim(stack, event, 0, outcome={"S": "reviewed"}, label={"S": label})
    execution = execute(stack, event)
    assert execution["status"] == "SUCCEEDED"
    output = json.loads(execution["output"])
    assert (output["label"], output["accepted"]) == (label, accepted)
    assert review.about(event) == []


def test_an_input_that_names_a_picture_means_that_one(stack):
    mine, other = put(stack, WHITE), put(stack, BLACK)
    object_ = {"key": other["s3_key"], "version-id": other["s3_version_id"]}
    event: dict[str, Any] = mine | {"bucket": {"name": mine["s3_bucket"]}, "object": object_}
    assert execute(stack, event)["status"] == "SUCCEEDED"
    assert is_accepted(stack, mine, "bicycle")
    assert items(stack, other) == []


def waiting_for_another(stack: Stack, event: dict[str, str]) -> str:
    """Start an execution beside a fresh claim and return its ARN once it waits."""
    arn = start(stack, event)
    wait_until(lambda: entered(stack, arn, "Wait For The Other Execution"), ANSWER_SECONDS)
    return arn


@pytest.mark.parity("states-wait", "states-dynamodb")
@pytest.mark.parametrize("body", [WHITE, GREY], ids=["certain", "doubtful"])
def test_a_fresh_claim_is_waited_for_and_its_outcome_stands(stack, review, hurried, body):
    event = put(stack, body)
    other = claim(stack, event, 0)
    arn = waiting_for_another(stack, event)
    table = stack.outputs["PredictionsTableName"]
    stack.aws.client("dynamodb").update_item(
        TableName=table,
        Key={name: (record(stack, event) or {})[name] for name in ("picture", "version_id")},
        UpdateExpression="SET queued = :yes",
        ExpressionAttributeValues={":yes": {"BOOL": True}},
    )
    execution = ended(stack, arn)
    assert (execution["status"], execution["error"]) == ("FAILED", DOUBTFUL)
    assert "confidence 0.7 for bicycle" in execution["cause"]  # the other's, not this one's
    item = record(stack, event)
    assert item
    assert item["execution_arn"] == {"S": other}
    assert review.about(event) == []  # the other has queued it


@pytest.mark.parity("states-wait")
def test_released_claim_leaves_the_picture_to_a_waiting_execution(stack, review, hurried):
    event = put(stack, GREY)
    claim(stack, event, 0)
    arn = waiting_for_another(stack, event)
    stack.aws.client("dynamodb").delete_item(
        TableName=stack.outputs["PredictionsTableName"],
        Key={name: (record(stack, event) or {})[name] for name in ("picture", "version_id")},
    )
    assert ended(stack, arn)["error"] == DOUBTFUL
    assert_in_review(stack, event, review)


# ------------------------------------------------------------------------- AWS refuses
@pytest.mark.parity("states-sqs-refused", "states-catch", "states-dynamodb")
def test_a_queue_that_refuses_fails_the_execution_and_leaves_the_picture_free(stack, review, notifications, hurried):
    event = put(stack, GREY)
    queue = deployed_member(stack, "Send To Review", "Arguments", "QueueUrl")
    with altered(stack, {("Send To Review", "Arguments", "QueueUrl"): f"{queue}-none"}):
        execution = execute(stack, event)
    assert execution["error"].startswith("SQS.")
    assert_failed(execution, execution["error"], notifications, event)
    assert items(stack, event) == []
    assert execute(stack, event)["error"] == DOUBTFUL
    assert_in_review(stack, event, review)


def test_a_confirmation_that_is_refused_does_not_lose_the_picture(stack, review, notifications):
    event = put(stack, GREY)
    condition = ("Confirm Review", "Arguments", "ConditionExpression")
    with altered(stack, {condition: "execution_arn <> :me"}):
        execution = execute(stack, event)
    assert (execution["status"], execution["error"]) == ("FAILED", DOUBTFUL)
    item = record(stack, event)
    assert item
    assert (item["outcome"], item["queued"]) == ({"S": "review"}, {"BOOL": False})
    assert len(review.about(event)) == 1
    notifications.wait_for_later()
    assert notifications.of(execution["executionArn"]) == []


@pytest.mark.parity("states-catch")
@pytest.mark.parametrize(
    ("body", "state"),
    [(WHITE, "Record Prediction"), (GREY, "Claim Review")],
    ids=["certain", "doubtful"],
)
def test_a_table_that_refuses_fails_the_execution(stack, review, notifications, body, state):
    event = put(stack, body)
    with altered(stack, {(state, "Arguments", "TableName"): "none"}):
        execution = execute(stack, event)
    assert_failed(execution, "DynamoDB.ResourceNotFoundException", notifications, event)
    assert items(stack, event) == review.about(event) == []


def test_an_earlier_outcome_that_cannot_be_read_fails_the_execution_and_stays(stack, review, notifications):
    event = put(stack, GREY)
    execute(stack, event)
    with altered(stack, {("Read Earlier Outcome", "Arguments", "TableName"): "none"}):
        execution = execute(stack, event)
    assert_failed(execution, "DynamoDB.ResourceNotFoundException", notifications, event)
    assert_in_review(stack, event, review)


def test_claim_that_cannot_be_released_still_sends_a_notification(stack, notifications, hurried):
    event = put(stack, GREY)
    queue = deployed_member(stack, "Send To Review", "Arguments", "QueueUrl")
    with altered(
        stack,
        {
            ("Send To Review", "Arguments", "QueueUrl"): f"{queue}-none",
            ("Release Claim", "Arguments", "TableName"): "none",
        },
    ):
        execution = execute(stack, event)
    assert execution["error"].startswith("SQS.")
    assert_failed(execution, execution["error"], notifications, event)


@pytest.mark.parity("states-sns-refused", "states-status-events")
def test_a_topic_that_refuses_fails_with_the_first_error_and_eventbridge_tells(stack, notifications, hurried):
    event = {"s3_bucket": stack.outputs["PicturesBucketName"], "s3_key": f"{uuid.uuid4()}.png"}
    topic = stack.outputs["FailureTopicArn"]
    with altered(stack, {("Notify Failure", "Arguments", "TopicArn"): f"{topic}-none"}):
        execution = execute(stack, event)
    assert (execution["status"], execution["error"]) == ("FAILED", "PictureNotFoundError")
    assert execution["cause"].startswith(UNTOLD)
    [message] = notifications.wait(execution["executionArn"])
    assert (message["status"], message["error"]) == ("FAILED", "PictureNotFoundError")
    assert json.loads(message["input"]) == event


# ----------------------------------------------------------- What no Catch inside can see
@pytest.mark.parity("states-uncaught", "states-jsonata-failure", "states-status-events")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (
            {("Is Accepted", "Choices", 0, "Condition"): "{% $number('x') = 1 %}"},
            "States.QueryEvaluationError",
        ),
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
    assert (message["status"], message["error"], message["cause"]) == (
        "FAILED",
        error,
        execution["cause"],
    )
    assert json.loads(message["input"]) == event
    assert items(stack, event) == []
    assert execute(stack, event)["status"] == "SUCCEEDED"


@pytest.mark.parity("states-stop", "states-status-events")
def test_stopped_execution_sends_a_notification_and_can_be_restarted(healthy, notifications):
    event = put(healthy, WHITE)
    fault(healthy, {"kind": "slow", "delay_seconds": 1})
    arn = start(healthy, event)
    wait_until(lambda: entered(healthy, arn, "Image Classification"), ANSWER_SECONDS)
    healthy.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="me")
    assert ended(healthy, arn)["status"] == "ABORTED"
    [message] = notifications.wait(arn)
    assert (message["status"], json.loads(message["input"])) == ("ABORTED", event)
    fault(healthy, None)
    assert execute(healthy, event)["status"] == "SUCCEEDED"
    assert len(items(healthy, event)) == 1


@pytest.mark.parity("events-pattern")
def test_accepted_pictures_and_pictures_in_review_send_no_notification(stack, notifications):
    quiet = [execute(stack, put(stack, body)) for body in (GREY, WHITE)]
    assert [execution["status"] for execution in quiet] == ["FAILED", "SUCCEEDED"]
    notifications.wait_for_later()
    assert [notifications.of(execution["executionArn"]) for execution in quiet] == [[], []]


# ------------------------------------------------------------------- Faults of the endpoint
@pytest.mark.parity("invoke-busy", "invoke-model-error", "invoke-not-found", "invoke-60-seconds")
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
def test_an_endpoint_that_stays_faulty_fails_the_execution(healthy, notifications, hurried, kind, error, tries):
    fault(healthy, {"kind": kind})
    event = put(healthy, WHITE)
    execution = execute(healthy, event)
    assert_failed(execution, error, notifications, event)
    failed = [
        happened["taskFailedEventDetails"]["error"]
        for happened in history(healthy, execution["executionArn"])
        if happened["type"] == "TaskFailed"
    ]
    assert failed == [error] * tries
    assert items(healthy, event) == []


@pytest.mark.parity("states-retry", "invoke-busy")
@pytest.mark.parametrize("kind", ["throttled", "unavailable", "failing", "slow"])
def test_a_fault_that_passes_costs_no_picture(healthy, notifications, hurried, kind):
    fault(healthy, {"kind": kind, "calls": 2} | ({"delay_seconds": 0.5} if kind == "slow" else {}))
    event = put(healthy, BLACK)
    execution = execute(healthy, event)
    assert execution["status"] == "SUCCEEDED"
    assert is_accepted(healthy, event, "motorcycle")
    notifications.wait_for_later()
    assert notifications.of(execution["executionArn"]) == []


# --------------------------------------------------------------- Functions that do not answer
@pytest.fixture(scope="module")
def classifier(stack: Stack) -> str:
    """The name of the deployed function that asks the endpoint."""
    arn: str = deployed_member(stack, "Image Classification", "Arguments", "FunctionName")
    return arn.rpartition(":")[2]


@contextmanager
def asking_slowly(stack: Stack, seconds: float) -> Iterator[str]:
    """Start an execution whose question to the endpoint takes so long, and wait for the question.

    Gives the execution's ARN; its input is what `put` returned.
    """
    fault(stack, None)  # and its counts
    fault(stack, {"kind": "slow", "delay_seconds": seconds, "calls": 1})
    arn = start(stack, put(stack, WHITE))
    path = f"/_local/faults/{project().endpoint_name}"
    wait_until(lambda: control(stack, "GET", path)["injected"].get("slow"), ANSWER_SECONDS)
    yield arn


def assert_works_again(stack: Stack, failed: dict[str, Any]) -> None:
    """Assert that a failed picture left no record, and is accepted when it is started again."""
    event = json.loads(failed["input"])
    assert items(stack, event) == []
    assert execute(stack, event)["status"] == "SUCCEEDED"
    assert is_accepted(stack, event, "bicycle")


@pytest.mark.parity("lambda-killed")
def test_a_function_that_is_killed_fails_the_execution(healthy, notifications, classifier):
    with asking_slowly(healthy, 5) as arn:
        workers = processes([str(healthy.aws.state / "tmp" / f"ministack-lambda-{classifier}")])
        assert workers
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        execution = ended(healthy, arn)
    cause = assert_failed(execution, "Runtime.ExitError", notifications)
    assert "signal: killed" in cause
    assert_works_again(healthy, execution)


@pytest.mark.parity("lambda-timeout")
def test_a_function_that_is_out_of_time_fails_the_execution(healthy, notifications, classifier):
    functions = healthy.aws.client("lambda")
    deployed = functions.get_function_configuration(FunctionName=classifier)["Timeout"]
    functions.update_function_configuration(FunctionName=classifier, Timeout=1)
    try:
        with asking_slowly(healthy, 3) as arn:
            execution = ended(healthy, arn)
    finally:
        functions.update_function_configuration(FunctionName=classifier, Timeout=deployed)
    cause = assert_failed(execution, "Sandbox.Timedout", notifications)
    assert "Task timed out after 1.00 seconds" in cause
    assert_works_again(healthy, execution)


@pytest.mark.parity("states-lambda-throttled", "states-retry")
def test_a_function_without_free_concurrency_fails_the_execution(stack, notifications, hurried, classifier):
    functions = stack.aws.client("lambda")
    functions.put_function_concurrency(FunctionName=classifier, ReservedConcurrentExecutions=0)
    try:
        execution = execute(stack, put(stack, WHITE))
    finally:  # CloudFormation of the laptop's AWS sets none
        functions.delete_function_concurrency(FunctionName=classifier)
    assert_failed(execution, "Lambda.TooManyRequestsException", notifications)
    failed = [e for e in history(stack, execution["executionArn"]) if e["type"] == "TaskFailed"]
    assert len(failed) == 13  # the call, and 12 tries more
    assert_works_again(stack, execution)


@pytest.mark.parity("states-task-timeout")
def test_state_timeout_fails_the_execution_with_a_notification(healthy, notifications):
    with (
        altered(healthy, {("Image Classification", "TimeoutSeconds"): 1}),
        asking_slowly(healthy, 3) as arn,
    ):
        execution = ended(healthy, arn)
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Timeout")
    [own, *_] = [body for body in notifications.wait(arn) if "execution_arn" in body]
    assert own["error"]["Error"] == "States.Timeout"
    assert_works_again(healthy, execution)


@pytest.mark.parity("states-status-events")
def test_execution_timeout_is_notified_by_eventbridge(healthy, notifications):
    execute(healthy, put(healthy, WHITE))  # no cold start takes up the time
    with altered(healthy, {}, timeout_seconds=2), asking_slowly(healthy, 4) as arn:
        execution = ended(healthy, arn)
    assert execution["status"] == "TIMED_OUT"
    [message] = notifications.wait(arn)
    assert message["status"] == "TIMED_OUT"
    assert_works_again(healthy, execution)
