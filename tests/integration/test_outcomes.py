"""Each version of a picture ends in one place, whatever is repeated, refused or killed.

The one place is an accepted answer in the table, a message in the review queue, or a failure that
somebody is told of. The workflow is the deployed one; where AWS has to refuse it something, the
deployed definition names something that is not there, for as long as the test lasts.
"""

import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.deployed_machines import (
    Path,
    altered,
    deployed_member,
    ended,
    entered,
    history,
    start,
)
from tests.integration.laptop_aws import wait_until
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
STALE_MS = 300_000  # age from which another execution's unfinished claim may be taken over
THRESHOLD = ("Filter Low Confidence", "Arguments", "Payload")
# GREY is a bicycle with 160 / 255 = 0.627: doubtful as deployed, accepted with this.
LENIENT: dict[Path, object] = {THRESHOLD: "{% $merge([$states.input, {'threshold': 0.5}]) %}"}


@pytest.fixture(scope="module")
def review(stack: Stack) -> Mailbox:
    return Mailbox(stack, stack.outputs["ReviewQueueUrl"])


@pytest.fixture(scope="module")
def told(stack: Stack) -> Mailbox:
    return Mailbox(stack, stack.failures)


@pytest.fixture
def hurried(stack: Stack) -> Iterator[None]:
    """Step Functions' own waits and pauses between tries, made so short that they do not count."""
    scale_waits(stack, 0.002)
    yield
    scale_waits(stack, 1)


def scale_waits(stack: Stack, factor: float) -> None:
    """Tell MiniStack how long a second of waiting takes."""
    request = urllib.request.Request(  # noqa: S310  loopback
        f"{stack.aws.endpoint_url}/_ministack/config",
        data=json.dumps({"stepfunctions._SFN_WAIT_SCALE": factor}).encode(),
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  loopback
        assert json.load(answer)["applied"] == {"stepfunctions._SFN_WAIT_SCALE": factor}


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
        ExpressionAttributeValues={
            ":picture": {"S": f"s3://{event['s3_bucket']}/{event['s3_key']}"}
        },
        ConsistentRead=True,
    )["Items"]
    return found


def claim(stack: Stack, event: dict[str, str], age_ms: int) -> str:
    """Write the claim that another execution made `age_ms` ago; return that execution's ARN."""
    other = f"{stack.outputs['StateMachineArn']}:{uuid.uuid4()}".replace(
        ":stateMachine:", ":execution:"
    )
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
    execution: dict[str, Any], error: str, told: Mailbox, event: dict[str, str] | None = None
) -> str:
    """Assert that the execution failed with this error and told so once; return the cause."""
    assert (execution["status"], execution["error"]) == ("FAILED", error), execution
    [message] = told.wait(execution["executionArn"])
    assert message["error"] == {"Error": error, "Cause": execution["cause"]}
    if event:
        assert (message["s3_key"], message["s3_version_id"]) == (
            event["s3_key"],
            event["s3_version_id"],
        )
    return str(execution["cause"])


# ------------------------------------------------------------------------- Repeated events
def test_an_upload_event_that_comes_three_times_gives_one_answer(stack, review, told):
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
    assert review.about(event) == told.about(event) == []


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


def test_twenty_events_at_once_for_a_doubtful_picture_queue_it_once(stack, review, told):
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
    assert told.about(event) == []


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


def test_a_doubtful_picture_stays_in_review_when_a_later_answer_would_do(stack, review):
    event = put(stack, GREY)
    assert execute(stack, event)["error"] == DOUBTFUL
    before = record(stack, event)
    with altered(stack, LENIENT):
        again = execute(stack, event)
    assert (again["status"], again["error"]) == ("FAILED", DOUBTFUL)
    assert "not accepted at threshold 0.9" in again["cause"]
    assert record(stack, event) == before
    assert_in_review(stack, event, review)


def test_an_accepted_answer_stands_when_a_later_one_is_doubtful(stack, review):
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


def test_a_failed_picture_is_started_again_on_purpose(well, told):
    event = put(well, WHITE)
    fault(well, {"kind": "gone"})
    assert_failed(execute(well, event), "EndpointNotFoundError", told, event)
    assert items(well, event) == []
    fault(well, None)
    assert execute(well, event)["status"] == "SUCCEEDED"
    assert len(items(well, event)) == 1
    assert is_accepted(well, event, "bicycle")
    assert len(told.about(event)) == 1


# ------------------------------------------------------------- Claims of other executions
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


def test_an_unfinished_claim_gives_way_to_an_accepted_answer(stack, review):
    event = put(stack, WHITE)
    claim(stack, event, STALE_MS + 5_000)
    assert execute(stack, event)["status"] == "SUCCEEDED"
    assert is_accepted(stack, event, "bicycle")
    assert review.about(event) == []


def waiting_for_another(stack: Stack, event: dict[str, str]) -> str:
    """Start an execution beside a fresh claim and return its ARN once it waits."""
    arn = start(stack, event)
    wait_until(lambda: entered(stack, arn, "Wait For The Other Execution"), ANSWER_SECONDS)
    return arn


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


def test_a_claim_that_is_released_leaves_the_picture_to_whoever_waits(stack, review, hurried):
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
def test_a_queue_that_refuses_fails_the_execution_and_leaves_the_picture_free(
    stack, review, told, hurried
):
    event = put(stack, GREY)
    queue = deployed_member(stack, "Send To Review", "Arguments", "QueueUrl")
    with altered(stack, {("Send To Review", "Arguments", "QueueUrl"): f"{queue}-none"}):
        execution = execute(stack, event)
    assert execution["error"].startswith("SQS.")
    assert_failed(execution, execution["error"], told, event)
    assert items(stack, event) == []
    assert execute(stack, event)["error"] == DOUBTFUL
    assert_in_review(stack, event, review)


def test_a_confirmation_that_is_refused_does_not_lose_the_picture(stack, review, told):
    event = put(stack, GREY)
    condition = ("Confirm Review", "Arguments", "ConditionExpression")
    with altered(stack, {condition: "execution_arn <> :me"}):
        execution = execute(stack, event)
    assert (execution["status"], execution["error"]) == ("FAILED", DOUBTFUL)
    item = record(stack, event)
    assert item
    assert (item["outcome"], item["queued"]) == ({"S": "review"}, {"BOOL": False})
    assert len(review.about(event)) == 1
    assert told.of(execution["executionArn"]) == []


@pytest.mark.parametrize(
    ("body", "state"),
    [(WHITE, "Record Prediction"), (GREY, "Claim Review")],
    ids=["certain", "doubtful"],
)
def test_a_table_that_refuses_fails_the_execution(stack, review, told, body, state):
    event = put(stack, body)
    with altered(stack, {(state, "Arguments", "TableName"): "none"}):
        execution = execute(stack, event)
    assert_failed(execution, "DynamoDB.ResourceNotFoundException", told, event)
    assert items(stack, event) == review.about(event) == []


def test_an_earlier_outcome_that_cannot_be_read_fails_the_execution_and_stays(stack, review, told):
    event = put(stack, GREY)
    execute(stack, event)
    with altered(stack, {("Read Earlier Outcome", "Arguments", "TableName"): "none"}):
        execution = execute(stack, event)
    assert_failed(execution, "DynamoDB.ResourceNotFoundException", told, event)
    assert_in_review(stack, event, review)


def test_a_claim_that_cannot_be_released_is_told_of_all_the_same(stack, told, hurried):
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
    assert_failed(execution, execution["error"], told, event)


def test_a_topic_that_refuses_fails_with_the_first_error_and_eventbridge_tells(
    stack, told, hurried
):
    event = {"s3_bucket": stack.outputs["PicturesBucketName"], "s3_key": f"{uuid.uuid4()}.png"}
    topic = stack.outputs["FailureTopicArn"]
    with altered(stack, {("Notify Failure", "Arguments", "TopicArn"): f"{topic}-none"}):
        execution = execute(stack, event)
    assert (execution["status"], execution["error"]) == ("FAILED", "PictureNotFoundError")
    assert execution["cause"].startswith(UNTOLD)
    [message] = told.wait(execution["executionArn"])
    assert (message["status"], message["error"]) == ("FAILED", "PictureNotFoundError")
    assert json.loads(message["input"]) == event


# ----------------------------------------------------------- What no Catch inside can see
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
def test_a_failure_that_passes_every_catch_is_told_by_eventbridge(stack, told, changes, error):
    event = put(stack, WHITE)
    with altered(stack, changes):
        execution = execute(stack, event)
    assert (execution["status"], execution["error"]) == ("FAILED", error)
    [message] = told.wait(execution["executionArn"])
    assert (message["status"], message["error"], message["cause"]) == (
        "FAILED",
        error,
        execution["cause"],
    )
    assert json.loads(message["input"]) == event
    assert items(stack, event) == []
    assert execute(stack, event)["status"] == "SUCCEEDED"


def test_an_execution_that_is_stopped_is_told_of_and_can_be_started_again(well, told):
    event = put(well, WHITE)
    fault(well, {"kind": "slow", "delay_seconds": 1})
    arn = start(well, event)
    wait_until(lambda: entered(well, arn, "Image Classification"), ANSWER_SECONDS)
    well.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="me")
    assert ended(well, arn)["status"] == "ABORTED"
    [message] = told.wait(arn)
    assert (message["status"], json.loads(message["input"])) == ("ABORTED", event)
    fault(well, None)
    assert execute(well, event)["status"] == "SUCCEEDED"
    assert len(items(well, event)) == 1


def test_nobody_is_told_of_a_doubtful_or_an_accepted_picture(stack, told):
    quiet = [execute(stack, put(stack, body)) for body in (GREY, WHITE)]
    assert [execution["status"] for execution in quiet] == ["FAILED", "SUCCEEDED"]
    last = start(stack, put(stack, WHITE))  # goes the same way as their events, and after them
    stack.aws.client("stepfunctions").stop_execution(executionArn=last)
    told.wait(last)
    assert [told.of(execution["executionArn"]) for execution in quiet] == [[], []]


# ------------------------------------------------------------------- Faults of the endpoint
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
def test_an_endpoint_that_stays_faulty_fails_the_execution(well, told, hurried, kind, error, tries):
    fault(well, {"kind": kind})
    event = put(well, WHITE)
    execution = execute(well, event)
    assert_failed(execution, error, told, event)
    failed = [
        happened["taskFailedEventDetails"]["error"]
        for happened in history(well, execution["executionArn"])
        if happened["type"] == "TaskFailed"
    ]
    assert failed == [error] * tries
    assert items(well, event) == []


@pytest.mark.parametrize("kind", ["throttled", "unavailable", "failing", "slow"])
def test_a_fault_that_passes_costs_no_picture(well, told, hurried, kind):
    fault(well, {"kind": kind, "calls": 2} | ({"delay_seconds": 0.5} if kind == "slow" else {}))
    event = put(well, BLACK)
    execution = execute(well, event)
    assert execution["status"] == "SUCCEEDED"
    assert is_accepted(well, event, "motorcycle")
    assert told.of(execution["executionArn"]) == []
