"""The command that starts failures again, on failures of the deployed workflow."""

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
def failed(well: Stack) -> list[dict[str, str]]:
    """Two pictures that failed, for a reason that is gone."""
    assert waiting(well) == 0
    events = [put(well, WHITE), put(well, BLACK)]
    fault(well, {"kind": "nonsense"})
    assert {execute(well, event)["error"] for event in events} == {"InvalidAnswerError"}
    fault(well, None)
    wait_until(lambda: waiting(well) == len(events))
    return events


@pytest.mark.parity("sns-raw-delivery", "sqs-visibility", "states-start")
def test_failed_pictures_are_started_again_once(well, failed):
    shown = restart(well, "--dry-run")
    assert "InvalidAnswerError" in shown
    assert "2 pictures would be started again" in shown
    assert counted(restart(well, "--error", "EndpointBusyError"), "started again") == 0
    assert waiting(well) == len(failed)
    assert counted(restart(well, "--limit", "1"), "started again") == 1
    assert counted(restart(well), "started again") == 1
    assert [label(well, event) for event in failed] == ["bicycle", "motorcycle"]
    assert restart(well) == "The queue is empty.\n"


def test_message_of_a_decided_picture_is_only_deleted(well, failed):
    for event in failed:
        assert execute(well, event)["status"] == "SUCCEEDED"
    deciding = [record(well, event) for event in failed]
    printed = restart(well)
    assert counted(printed, "already decided") == len(failed)
    assert counted(printed, "started again") == 0
    assert [record(well, event) for event in failed] == deciding
    assert waiting(well) == 0


@pytest.mark.parity("states-stop")
def test_picture_of_a_stopped_execution_is_started_again(well):
    """EventBridge tells of it, with the upload's event as the execution's input."""
    event = put(well, WHITE)
    upload = {
        "bucket": {"name": event["s3_bucket"]},
        "object": {"key": event["s3_key"], "version-id": event["s3_version_id"]},
    }
    fault(well, {"kind": "slow", "delay_seconds": 20})
    arn = start(well, upload)
    well.aws.client("stepfunctions").stop_execution(executionArn=arn)
    assert ended(well, arn)["status"] == "ABORTED"
    fault(well, None)
    wait_until(lambda: waiting(well) == 1)
    assert counted(restart(well), "started again") == 1
    assert label(well, event) == "bicycle"


@pytest.mark.parity("states-start")
def test_message_that_is_handled_twice_starts_one_execution(well):
    """As when an earlier run was ended between the start and the deletion."""
    event = put(well, WHITE)
    notification = event | {"error": {"Error": "EndpointBusyError", "Cause": ""}, "execution_arn": ""}
    message = well.aws.client("sqs").send_message(QueueUrl=well.failures, MessageBody=json.dumps(notification))[
        "MessageId"
    ]
    fault(well, {"kind": "slow", "delay_seconds": 5})
    stepfunctions = well.aws.client("stepfunctions")
    machine = well.outputs["StateMachineArn"]
    stepfunctions.start_execution(stateMachineArn=machine, name=f"restart-{message}", input=json.dumps(event))
    executions = stepfunctions.list_executions(stateMachineArn=machine)["executions"]
    restart(well)
    assert waiting(well) == 0
    after = stepfunctions.list_executions(stateMachineArn=machine)["executions"]
    assert len(after) == len(executions)
    assert label(well, event) == "bicycle"


def test_picture_that_failed_again_after_an_unfinished_run_is_started_again(well):
    """The execution of the earlier run failed too, and its notification is another message."""
    event = put(well, WHITE)
    notification = event | {"error": {"Error": "EndpointBusyError", "Cause": ""}, "execution_arn": ""}
    message = well.aws.client("sqs").send_message(QueueUrl=well.failures, MessageBody=json.dumps(notification))[
        "MessageId"
    ]
    fault(well, {"kind": "nonsense"})
    arn = well.aws.client("stepfunctions").start_execution(
        stateMachineArn=well.outputs["StateMachineArn"], name=f"restart-{message}", input=json.dumps(event)
    )["executionArn"]
    assert ended(well, arn)["status"] == "FAILED"
    fault(well, None)
    wait_until(lambda: waiting(well) == 2)
    assert counted(restart(well), "started again") == 1
    assert label(well, event) == "bicycle"
    assert waiting(well) == 0


def test_drop_deletes_messages_and_starts_nothing(well, failed):
    shown = restart(well, "--error", "InvalidAnswerError", "--drop", "--dry-run")
    assert "2 pictures would be dropped" in shown
    assert waiting(well) == len(failed)
    printed = restart(well, "--error", "InvalidAnswerError", "--drop")
    for event in failed:
        line = f"To drop: s3://{event['s3_bucket']}/{event['s3_key']} (version {event['s3_version_id']})\n"
        assert line in shown
        assert line in printed
    assert counted(printed, "pictures dropped") == 2
    assert waiting(well) == 0
    assert [record(well, event) for event in failed] == [None, None]


def test_failed_batch_stays_until_it_is_dropped(well):
    arn = start(well, {"s3_bucket": "no-such-bucket", "prefix": "night/"}, BATCH)
    assert ended(well, arn)["status"] == "FAILED"
    wait_until(lambda: waiting(well) == 1)
    printed = restart(well)
    assert """--event '{"s3_bucket": "no-such-bucket", "prefix": "night/"}'""" in printed
    assert counted(printed, "without a picture, kept") == 1
    assert "dropped" in restart(well, "--drop-others")
    assert waiting(well) == 0


def test_undelivered_upload_is_started(well):
    """The laptop's EventBridge has no dead letters, so this one is written by hand, as AWS does."""
    dead = put(well, BLACK)
    letter = {
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {
            "bucket": {"name": dead["s3_bucket"]},
            "object": {"key": dead["s3_key"], "version-id": dead["s3_version_id"]},
        },
    }
    well.aws.client("sqs").send_message(
        QueueUrl=well.outputs["UndeliveredUploadsQueueUrl"],
        MessageBody=json.dumps(letter),
        MessageAttributes={"ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"}},
    )
    printed = restart(well, "--queue", "undelivered-uploads")
    assert "NO_PERMISSIONS" in printed
    assert counted(printed, "started again") == 1
    assert label(well, dead) == "motorcycle"
    assert waiting(well, "UndeliveredUploadsQueueUrl") == 0
