"""The command that restarts failed pictures, on failures of the deployed workflow."""

import json
from typing import Any

import pytest

from tests.integration.commands import run_module
from tests.integration.deployed_machines import BATCH, ended, start
from tests.integration.laptop_aws import wait_until
from tests.integration.workflow_stack import ANSWER_SECONDS, BLACK, WHITE, Stack, execute, fault, put, record


def restart(stack: Stack, *arguments: str) -> str:
    return run_module(stack.aws, "operations.restart_failed", *arguments)


def waiting(stack: Stack, output: str = "FailedPicturesQueueUrl") -> int:
    """Return how many messages a queue holds, seen or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = stack.aws.client("sqs").get_queue_attributes(QueueUrl=stack.outputs[output], AttributeNames=names)[
        "Attributes"
    ]
    return sum(int(value) for value in found.values())


def counted(printed: str, line: str) -> int:
    """Return the figure that a line of the command's last table ends with."""
    [row] = [row for row in printed.splitlines() if line in row]
    return int("".join(filter(str.isdigit, row)))


def label(stack: Stack, event: dict[str, Any]) -> Any:
    return wait_until(lambda: record(stack, event), ANSWER_SECONDS)["label"]["S"]


@pytest.fixture
def failed(healthy: Stack) -> list[dict[str, str]]:
    """Two pictures that failed, for a reason that is gone."""
    assert waiting(healthy) == 0
    events = [put(healthy, WHITE), put(healthy, BLACK)]
    fault(healthy, {"kind": "nonsense"})
    assert {execute(healthy, event)["error"] for event in events} == {"InvalidAnswerError"}
    fault(healthy, None)
    wait_until(lambda: waiting(healthy) == len(events))
    return events


@pytest.mark.parity("sns-raw-delivery", "sqs-visibility", "states-start")
def test_failed_pictures_are_started_again_once(healthy, failed):
    shown = restart(healthy, "--dry-run")
    assert "InvalidAnswerError" in shown
    assert "2 pictures would be started again" in shown
    assert counted(restart(healthy, "--error", "EndpointBusyError"), "started again") == 0
    assert waiting(healthy) == len(failed)
    assert counted(restart(healthy, "--limit", "1"), "started again") == 1
    assert counted(restart(healthy), "started again") == 1
    assert [label(healthy, event) for event in failed] == ["bicycle", "motorcycle"]
    assert restart(healthy) == "The queue is empty.\n"


@pytest.mark.parity("states-stop")
def test_picture_of_a_stopped_execution_is_started_again(healthy):
    """EventBridge sends the notification, with the upload's event as the execution's input."""
    event = put(healthy, WHITE)
    upload = {
        "bucket": {"name": event["s3_bucket"]},
        "object": {"key": event["s3_key"], "version-id": event["s3_version_id"]},
    }
    fault(healthy, {"kind": "slow", "delay_seconds": 20})
    arn = start(healthy, upload)
    healthy.aws.client("stepfunctions").stop_execution(executionArn=arn)
    assert ended(healthy, arn)["status"] == "ABORTED"
    fault(healthy, None)
    wait_until(lambda: waiting(healthy) == 1)
    assert counted(restart(healthy), "started again") == 1
    assert label(healthy, event) == "bicycle"


@pytest.mark.parity("states-start")
@pytest.mark.parametrize("earlier", ["RUNNING", "FAILED"])
def test_message_of_an_unfinished_run_starts_no_second_execution(healthy, earlier):
    """An earlier run was ended between the start and the deletion; a failed execution sends another message."""
    event = put(healthy, WHITE)
    notification = event | {"error": {"Error": "EndpointBusyError", "Cause": ""}, "execution_arn": ""}
    sqs, stepfunctions = healthy.aws.client("sqs"), healthy.aws.client("stepfunctions")
    sent = sqs.send_message(QueueUrl=healthy.failures, MessageBody=json.dumps(notification))
    fault(healthy, {"kind": "slow", "delay_seconds": 5} if earlier == "RUNNING" else {"kind": "nonsense"})
    machine = {"stateMachineArn": healthy.outputs["StateMachineArn"]}
    name = f"restart-{sent['MessageId']}"
    arn = stepfunctions.start_execution(**machine, name=name, input=json.dumps(event))["executionArn"]
    if earlier == "FAILED":
        assert ended(healthy, arn)["status"] == "FAILED"
        fault(healthy, None)
        wait_until(lambda: waiting(healthy) == 2)
    before = len(stepfunctions.list_executions(**machine)["executions"])
    restart(healthy)
    assert len(stepfunctions.list_executions(**machine)["executions"]) - before == (earlier == "FAILED")
    assert label(healthy, event) == "bicycle"
    assert waiting(healthy) == 0


def test_failed_batch_stays_until_it_is_dropped(healthy):
    arn = start(healthy, {"s3_bucket": "no-such-bucket", "prefix": "night/"}, BATCH)
    execution = ended(healthy, arn)
    assert execution["status"] == "FAILED"
    assert json.loads(execution["cause"])["s3_bucket"] == "no-such-bucket"
    wait_until(lambda: waiting(healthy) == 1)
    printed = restart(healthy)
    assert """--event '{"s3_bucket": "no-such-bucket", "prefix": "night/"}'""" in printed
    assert counted(printed, "without a picture, kept") == 1
    assert "dropped" in restart(healthy, "--drop-others")
    assert waiting(healthy) == 0
