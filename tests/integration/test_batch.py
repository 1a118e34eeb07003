"""The batch: the workflow runs on every object below a prefix, and the summary counts each outcome."""

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
    item_key,
    put,
    record,
)

BATCH_SECONDS = 180
# Paths of the states "Classify Picture" and "Count Outcomes" in the definition of the batch.
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
    """Return the summary of a batch that succeeded."""
    assert execution["status"] == "SUCCEEDED", execution
    found: dict[str, Any] = json.loads(execution["output"])
    return found


def results(stack: Stack, execution: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Return outcome, and label or error, of each picture from the results in S3."""
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
    """Return the summary of a prefix with these numbers of outcomes."""
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
    """Return the label in a picture's item, "review", or "" without an item."""
    item = record(stack, event)
    if item is None:
        return ""
    if item["outcome"] == {"S": "review"}:
        assert item["queued"] == {"BOOL": True}
        return "review"
    return str(item["label"]["S"])


def is_decided(stack: Stack, event: dict[str, str]) -> bool:
    """Tell whether a picture has its item, and is queued if it is in review."""
    item = record(stack, event)
    return item is not None and item.get("queued") != {"BOOL": False}


@pytest.mark.parity("states-empty-map", "states-map-run")
def test_batch_of_an_empty_prefix_counts_nothing(stack):
    assert summary(run(stack, "nothing/")) == expected(stack, "nothing/")


@pytest.mark.parametrize("prefix", ["", "b", "batches/", "batches/2026/", 5, None, ["inbox/"]])
def test_prefix_that_includes_results_of_batches_is_refused(stack, prefix):
    execution = run(stack, prefix)
    assert (execution["status"], execution["error"]) == ("FAILED", "INVALID_PREFIX")
    assert "archive/" in execution["cause"]


def test_batch_of_one_picture_ignores_other_members_of_the_input(stack):
    prefix, [event] = fill(stack, BLACK)
    ignored = {"stopped": {"Error": "x"}, "map_run_arn": "y", "found": 7}
    assert summary(run(stack, prefix, **ignored)) == expected(stack, prefix, motorcycle=1)
    assert outcome(stack, event) == "motorcycle"


@pytest.mark.parity("states-tolerated-failures")
def test_batch_of_failures_only_fails(stack, notifications):
    prefix, [event] = fill(stack, b"<html>")
    execution = run(stack, prefix)
    assert execution["status"] == "FAILED"
    found = json.loads(execution["cause"])
    assert (found["found"], found["failed"], found["accepted"]) == (1, 1, 0)
    [message] = [body for body in notifications.all() if body.get("s3_key") == event["s3_key"]]
    assert message["error"]["Error"] == "NotAPictureError"
    assert len(notifications.wait(execution["executionArn"])) == 1


@pytest.mark.parity("states-distributed-map", "states-item-reader", "states-item-selector", "states-map-run")
@pytest.mark.parity("states-sync-express", "states-express-at-least-once", "states-jsonata", "states-result-writer")
@pytest.mark.parity("dynamodb-transaction", "dynamodb-ttl", "dynamodb-query")
def test_each_picture_has_one_outcome_and_a_second_run_changes_nothing(stack, review, notifications):
    bodies = [WHITE] * 28 + [BLACK] * 17 + [GREY] * 10 + [b""] * 2 + [b"<html>"] * 2 + [WHITE[:60]]
    prefix, events = fill(stack, *bodies)
    ends = ["bicycle"] * 28 + ["motorcycle"] * 17 + ["review"] * 10 + [""] * 5
    errors = {"EmptyPictureError": 2, "NotAPictureError": 2, "PictureRefusedError": 1}
    whole = expected(stack, prefix, review=10, failed=5, bicycle=28, motorcycle=17)
    first: list[Any] = []
    for runs in (1, 2):
        execution = run(stack, prefix)
        assert summary(execution) == whole
        result = results(stack, execution)
        assert [result[event["s3_key"]] for event in events] == [
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
    [table] = stack.aws.client("cloudformation").describe_stack_resources(
        StackName=project().stack_name, LogicalResourceId="BatchCountsTable"
    )["StackResources"]
    rows = stack.aws.client("dynamodb").query(
        TableName=table["PhysicalResourceId"],
        KeyConditionExpression="batch_arn = :batch",
        ExpressionAttributeValues={":batch": {"S": execution["executionArn"]}},
    )["Items"]
    assert rows
    return [int(row["expires_at"]["N"]) for row in rows]


def test_pictures_decided_before_keep_their_answers(stack, review):
    prefix, events = fill(stack, WHITE, BLACK, GREY, under="inbox")
    wait_until(lambda: all(is_decided(stack, event) for event in events), ANSWER_SECONDS)
    before = [record(stack, event) for event in events]
    assert summary(run(stack, prefix)) == expected(stack, prefix, review=1, bicycle=1, motorcycle=1)
    assert [record(stack, event) for event in events] == before
    assert len(review.about(events[2])) == 1


def test_pictures_decided_by_a_person_count_as_review(stack):
    prefix, events = fill(stack, GREY, GREY)
    run(stack, prefix)
    for event, label in zip(events, ["bicycle", "neither"], strict=True):
        stack.aws.client("dynamodb").update_item(
            TableName=stack.outputs["PredictionsTableName"],
            Key=item_key(event),
            UpdateExpression="SET outcome = :reviewed, label = :label",
            ExpressionAttributeValues={":reviewed": {"S": "reviewed"}, ":label": {"S": label}},
        )
    assert summary(run(stack, prefix)) == expected(stack, prefix, review=2)


@pytest.mark.parity("states-tolerated-failures", "states-status-events")
def test_missing_endpoint_stops_the_batch_and_a_later_run_completes_it(healthy, notifications):
    prefix, events = fill(healthy, *[WHITE] * 100)
    fault(healthy, {"kind": "gone"})
    execution = run(healthy, prefix)
    assert (execution["status"], execution["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
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


@pytest.mark.parity("states-express-no-events", "states-sync-express")
def test_batch_notifies_of_pictures_whose_own_workflow_cannot(stack, notifications, express):
    prefix, events = fill(stack, *[WHITE] * 29, b"")
    uncaught, unstarted, unnotified = (events[n]["s3_key"] for n in (3, 17, 29))
    condition = f"$states.input.s3_key = '{uncaught}' ? $number('x') = 1"
    machine = f"$states.input.s3_key = '{unstarted}' ? '{express}-none' : '{express}'"
    with (
        altered(
            stack,
            {
                ("Is Accepted", "Choices", 0, "Condition"): f"{{% {condition} : $states.input.accepted = true %}}",
                ("Notify Failure", "Arguments", "TopicArn"): f"{stack.outputs['FailureTopicArn']}-none",
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
    assert messages.keys() == {uncaught, unstarted, unnotified}
    assert messages[unnotified] == "EmptyPictureError"
    assert messages[uncaught] == "States.QueryEvaluationError"
    assert messages[unstarted].startswith("Sfn.StateMachineDoesNotExist")


@pytest.mark.parity("states-express-5-minutes", "states-express-no-events")
def test_batch_notifies_of_a_picture_that_takes_too_long(healthy, notifications, express):
    run(healthy, fill(healthy, *[WHITE] * 3)[0])  # no cold start counts against the timeout
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
