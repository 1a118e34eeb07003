"""The batch: every object below a prefix through one picture's workflow, and a true summary."""

import json
import uuid
from collections import Counter
from typing import Any

import pytest

from common.settings import project
from tests.integration.deployed_machines import BATCH, altered, deployed_member, ended, start
from tests.integration.laptop_aws import wait_until
from tests.integration.workflow_stack import (
    ANSWER_SECONDS,
    BLACK,
    GREY,
    WHITE,
    Stack,
    fault,
    put,
    record,
)

BATCH_SECONDS = 180
# The state "Classify Picture" in the definition of the batch, and what counts for a child of it.
CHILD = ("Classify Every Picture", "ItemProcessor", "States")
CLASSIFY = (*CHILD, "Classify Pictures", "ItemProcessor", "States", "Classify Picture")
COUNT = (*CHILD, "Count Outcomes")


@pytest.fixture
def express(stack: Stack) -> str:
    """The ARN of the machine that the batch runs for each picture."""
    arn: str = deployed_member(stack, *CLASSIFY, "Arguments", "StateMachineArn", machine=BATCH)
    return arn


def fill(stack: Stack, *bodies: bytes, under: str = "batch") -> tuple[str, list[dict[str, str]]]:
    """Put pictures below a new prefix; return it, and a workflow's input for each picture."""
    prefix = f"{under}/{uuid.uuid4()}/"
    return prefix, [put(stack, body, f"{prefix}{n:04}.png") for n, body in enumerate(bodies)]


def run(stack: Stack, prefix: str, **more: object) -> dict[str, Any]:
    """Run the batch over a prefix; return the execution's description."""
    event = {"s3_bucket": stack.outputs["PicturesBucketName"], "prefix": prefix, **more}
    return ended(stack, start(stack, event, BATCH), BATCH_SECONDS)


def summary(execution: dict[str, Any]) -> dict[str, Any]:
    """Return what a batch that went through found out."""
    assert execution["status"] == "SUCCEEDED", execution
    found: dict[str, Any] = json.loads(execution["output"])
    return found


def results(stack: Stack, execution: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Return outcome and label or error of each picture, as the results in S3 have them."""
    s3, bucket = stack.aws.client("s3"), stack.outputs["PicturesBucketName"]
    [map_run] = stack.aws.client("stepfunctions").list_map_runs(executionArn=execution["executionArn"])["mapRuns"]
    folder = f"batches/{map_run['mapRunArn'].rpartition(':')[2]}"

    def read(key: str) -> Any:
        return json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])

    files = read(f"{folder}/manifest.json")["ResultFiles"]
    children = [child for file in files["SUCCEEDED"] for child in read(file["Key"])]
    pictures = [picture for child in children for picture in json.loads(child["Output"])]
    return {p["s3_key"]: (p["outcome"], p.get("label") or p.get("error")) for p in pictures}


def expected(stack: Stack, prefix: str, review: int = 0, failed: int = 0, **by_class: int) -> dict[str, Any]:
    """Return the summary of a prefix whose pictures ended as counted here."""
    accepted = sum(by_class.values())
    return {
        "s3_bucket": stack.outputs["PicturesBucketName"],
        "prefix": prefix,
        "found": accepted + review + failed,
        "accepted": accepted,
        "review": review,
        "failed": failed,
        "by_class": by_class,
    }


def outcome(stack: Stack, event: dict[str, str]) -> str:
    """Return what the record of a picture says: a label, "review", or "" for no record."""
    item = record(stack, event)
    if item is None:
        return ""
    if item["outcome"] == {"S": "review"}:
        assert item["queued"] == {"BOOL": True}
        return "review"
    return str(item["label"]["S"])


def is_decided(stack: Stack, event: dict[str, str]) -> bool:
    """Say whether a picture has its record, and is queued if it is doubtful."""
    item = record(stack, event)
    return item is not None and item.get("queued") != {"BOOL": False}


@pytest.mark.parity("states-empty-map", "states-map-run")
def test_an_empty_prefix_is_a_batch_of_nothing(stack):
    assert summary(run(stack, "nothing/")) == expected(stack, "nothing/")


def test_one_picture_is_a_batch(stack):
    prefix, [event] = fill(stack, BLACK)
    assert summary(run(stack, prefix)) == expected(stack, prefix, motorcycle=1)
    assert outcome(stack, event) == "motorcycle"


@pytest.mark.parametrize("prefix", ["", "b", "batches/", "batches/2026/", 5, None, ["inbox/"]])
def test_the_results_of_batches_are_no_pictures(stack, prefix):
    execution = run(stack, prefix)
    assert (execution["status"], execution["error"]) == ("FAILED", "INVALID_PREFIX")
    assert "archive/" in execution["cause"]


def test_what_else_is_in_the_input_passes_for_nothing(stack):
    prefix, _ = fill(stack, BLACK)
    lies = {"stopped": {"Error": "x"}, "map_run_arn": "y", "found": 7}
    assert summary(run(stack, prefix, **lies)) == expected(stack, prefix, motorcycle=1)


@pytest.mark.parity("states-tolerated-failures")
def test_a_batch_of_failures_only_is_a_failed_batch(stack, notifications):
    prefix, [event] = fill(stack, b"<html>")
    execution = run(stack, prefix)
    assert execution["status"] == "FAILED"
    found = json.loads(execution["cause"])
    assert (found["found"], found["failed"], found["accepted"]) == (1, 1, 0)
    [message] = [body for body in notifications.all() if body.get("s3_key") == event["s3_key"]]
    assert message["error"]["Error"] == "NotAPictureError"
    assert len(notifications.wait(execution["executionArn"])) == 1


@pytest.mark.parity(
    "states-distributed-map",
    "states-item-reader",
    "states-item-selector",
    "states-sync-express",
    "states-map-run",
    "dynamodb-transaction",
    "dynamodb-ttl",
    "dynamodb-query",
    "states-jsonata",
    "states-express-at-least-once",
    "states-result-writer",
)
def test_every_picture_ends_in_one_place_and_a_second_run_changes_nothing(stack, review, notifications):
    bodies = [WHITE] * 28 + [BLACK] * 17 + [GREY] * 10 + [b""] * 2 + [b"<html>"] * 2 + [WHITE[:60]]
    prefix, events = fill(stack, *bodies)
    ends = ["bicycle"] * 28 + ["motorcycle"] * 17 + ["review"] * 10 + [""] * 5
    errors = {"EmptyPictureError": 2, "NotAPictureError": 2, "PictureRefusedError": 1}
    whole = expected(stack, prefix, review=10, failed=5, bicycle=28, motorcycle=17)
    first: list[Any] = []
    for runs in (1, 2):
        execution = run(stack, prefix)
        assert summary(execution) == whole
        said = results(stack, execution)
        assert [said[event["s3_key"]] for event in events] == [
            *[("accepted", "bicycle")] * 28,
            *[("accepted", "motorcycle")] * 17,
            *[("review", "THRESHOLD_CONFIDENCE_NOT_MET")] * 10,
            *[("failed", "EmptyPictureError")] * 2,
            *[("failed", "NotAPictureError")] * 2,
            ("failed", "PictureRefusedError"),
        ]
        assert [outcome(stack, event) for event in events] == ends
        assert [len(review.about(event)) for event in events] == [0] * 45 + [1] * 10 + [0] * 5
        messages = [body for body in notifications.all() if str(body.get("s3_key")).startswith(prefix)]
        failures = Counter(body["error"]["Error"] for body in messages)
        assert failures == {error: runs * count for error, count in errors.items()}
        assert {body["s3_key"] for body in messages} == {event["s3_key"] for event in events[55:]}
        records = [record(stack, event) for event in events]
        first = first or records
        assert records == first
        started = execution["startDate"].timestamp()
        for expires_at in expiries(stack, execution):
            assert 0 <= expires_at - int(started) - 90 * 86400 <= BATCH_SECONDS


def expiries(stack: Stack, execution: dict[str, Any]) -> list[int]:
    """Return when DynamoDB may delete each row of a batch, in seconds since 1970."""
    resources = stack.aws.client("cloudformation").describe_stack_resources(StackName=project().stack_name)
    [table] = [
        resource["PhysicalResourceId"]
        for resource in resources["StackResources"]
        if resource["LogicalResourceId"] == "BatchCountsTable"
    ]
    rows = stack.aws.client("dynamodb").query(
        TableName=table,
        KeyConditionExpression="batch_arn = :batch",
        ExpressionAttributeValues={":batch": {"S": execution["executionArn"]}},
    )["Items"]
    assert rows
    return [int(row["expires_at"]["N"]) for row in rows]


def test_pictures_that_were_uploaded_before_keep_their_answers(stack, review):
    prefix, events = fill(stack, WHITE, BLACK, GREY, under="inbox")
    wait_until(lambda: all(is_decided(stack, event) for event in events), ANSWER_SECONDS)
    before = [record(stack, event) for event in events]
    assert summary(run(stack, prefix)) == expected(stack, prefix, review=1, bicycle=1, motorcycle=1)
    assert [record(stack, event) for event in events] == before
    assert len(review.about(events[2])) == 1


@pytest.mark.parametrize("label", ["bicycle", "neither"])
def test_what_a_person_decided_is_counted_as_reviewed(stack, label):
    prefix, [event] = fill(stack, GREY)
    run(stack, prefix)
    stack.aws.client("dynamodb").update_item(
        TableName=stack.outputs["PredictionsTableName"],
        Key={
            "picture": {"S": f"s3://{event['s3_bucket']}/{event['s3_key']}"},
            "version_id": {"S": event["s3_version_id"]},
        },
        UpdateExpression="SET outcome = :reviewed, label = :label",
        ExpressionAttributeValues={":reviewed": {"S": "reviewed"}, ":label": {"S": label}},
    )
    assert summary(run(stack, prefix)) == expected(stack, prefix, review=1)


@pytest.mark.parity("states-tolerated-failures", "states-status-events")
def test_a_broken_endpoint_stops_the_batch_early_and_it_goes_on_once_mended(healthy, notifications):
    prefix, events = fill(healthy, *[WHITE] * 100)
    fault(healthy, {"kind": "gone"})
    execution = run(healthy, prefix)
    assert (execution["status"], execution["error"]) == (
        "FAILED",
        "States.ExceedToleratedFailureThreshold",
    )
    stopped = json.loads(execution["cause"])
    assert (stopped["found"], stopped["accepted"], stopped["review"]) == (100, 0, 0)
    assert 10 < stopped["failed"] < 100
    [message] = notifications.wait(execution["executionArn"])
    assert (message["status"], message["cause"]) == ("FAILED", execution["cause"])
    failures = [body for body in notifications.all() if str(body.get("s3_key")).startswith(prefix)]
    assert {body["error"]["Error"] for body in failures} == {"EndpointNotFoundError"}
    assert len({body["s3_key"] for body in failures}) == len(failures) == stopped["failed"]
    fault(healthy, None)
    assert summary(run(healthy, prefix)) == expected(healthy, prefix, bicycle=100)
    assert {outcome(healthy, event) for event in events} == {"bicycle"}


def test_batch_of_a_missing_bucket_fails_with_a_notification(stack, notifications):
    event = {"s3_bucket": "no-such-bucket", "prefix": "a/"}
    execution = ended(stack, start(stack, event, BATCH), BATCH_SECONDS)
    assert execution["status"] == "FAILED"
    assert json.loads(execution["cause"])["s3_bucket"] == "no-such-bucket"
    [message] = notifications.wait(execution["executionArn"])
    assert json.loads(message["input"]) == event


@pytest.mark.parity("states-express-no-events", "states-sync-express")
def test_batch_notifies_of_pictures_whose_own_workflow_cannot(stack, notifications, express):
    prefix, events = fill(stack, *[WHITE] * 29, b"")
    uncaught, unstarted, untold = (events[n]["s3_key"] for n in (3, 17, 29))
    condition = f"$states.input.s3_key = '{uncaught}' ? $number('x') = 1"
    machine = f"$states.input.s3_key = '{unstarted}' ? '{express}-none' : '{express}'"
    with (
        altered(
            stack,
            {
                ("Is Accepted", "Choices", 0, "Condition"): (f"{{% {condition} : $states.input.accepted = true %}}"),
                ("Notify Failure", "Arguments", "TopicArn"): (f"{stack.outputs['FailureTopicArn']}-none"),
            },
            express,
        ),
        altered(stack, {(*CLASSIFY, "Arguments", "StateMachineArn"): f"{{% {machine} %}}"}, BATCH),
    ):
        found = summary(run(stack, prefix))
    assert found == expected(stack, prefix, failed=3, bicycle=27)
    messages = {
        body["s3_key"]: body["error"]["Error"]
        for body in notifications.all()
        if str(body.get("s3_key")).startswith(prefix)
    }
    assert messages.keys() == {uncaught, unstarted, untold}
    assert messages[untold] == "EmptyPictureError"
    assert messages[uncaught] == "States.QueryEvaluationError"
    assert messages[unstarted].startswith("Sfn.StateMachineDoesNotExist")


@pytest.mark.parity("states-express-5-minutes", "states-express-no-events")
def test_batch_notifies_of_a_picture_that_takes_too_long(healthy, notifications, express):
    run(healthy, fill(healthy, *[WHITE] * 3)[0])  # no cold start takes up the time
    prefix, _ = fill(healthy, *[WHITE] * 10)  # one of ten is within the tolerated 10 %
    fault(healthy, {"kind": "slow", "calls": 1, "delay_seconds": 8})
    with altered(healthy, {}, express, timeout_seconds=5):
        assert summary(run(healthy, prefix)) == expected(healthy, prefix, failed=1, bicycle=9)
    [message] = [body for body in notifications.all() if str(body.get("s3_key")).startswith(prefix)]
    assert message["error"]["Error"] in {"TIMED_OUT", "States.Timeout"}


@pytest.mark.parity("states-map-run", "dynamodb-transaction")
def test_uncounted_pictures_fail_the_batch(stack, notifications):
    prefix, events = fill(stack, *[BLACK] * 110)  # 10 of 110 are within the tolerated 10 %
    items = (*COUNT, "Arguments", "TransactItems")
    deployed = deployed_member(stack, *items, machine=BATCH)
    table = deployed.split("'TableName': '")[1].split("'")[0]
    lost = events[42]["s3_key"]
    choice = f"('{lost}' in $pictures.s3_key ? 'none' : '{table}')"
    with altered(stack, {items: deployed.replace(f"'{table}'", choice)}, BATCH):
        execution = run(stack, prefix)
    assert (execution["status"], execution["error"]) == ("FAILED", "PICTURES_UNACCOUNTED_FOR")
    found = json.loads(execution["cause"])
    assert (found["found"], found["accepted"], found["by_class"]) == (110, 100, {"motorcycle": 100})
    [message] = notifications.wait(execution["executionArn"])
    assert message["error"] == "PICTURES_UNACCOUNTED_FOR"
    assert summary(run(stack, prefix)) == expected(stack, prefix, motorcycle=110)
