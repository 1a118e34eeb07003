"""Executions of the laptop's AWS that are out of time or stopped."""

import json
import time
import uuid
from typing import Any

import pytest

from tests.integration.laptop_aws import LaptopAws, wait_until

ROLE = "arn:aws:iam::000000000000:role/test"
# Fails after a second, which may be after its execution is over.
FAILS_LATER = {
    "StartAt": "Wait",
    "States": {
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Failed"},
        "Failed": {"Type": "Fail", "Error": "LateError", "Cause": "after a second"},
    },
}


def machine(aws: LaptopAws, kind: str = "STANDARD", **members: Any) -> str:
    answer = aws.client("stepfunctions").create_state_machine(
        name=f"limit-{uuid.uuid4().hex[:8]}",
        definition=json.dumps(FAILS_LATER | members),
        roleArn=ROLE,
        type=kind,
    )
    return str(answer["stateMachineArn"])


@pytest.fixture
def told(laptop_aws: LaptopAws) -> Any:
    """Return a function that gives the status events of an execution, in order."""
    name = f"status-{uuid.uuid4().hex[:8]}"
    events, sqs = laptop_aws.client("events"), laptop_aws.client("sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.states"]}))
    target = {"Id": "queue", "Arn": arn["QueueArn"], "InputPath": "$.detail"}
    events.put_targets(Rule=name, Targets=[target])
    found: list[Any] = []

    def statuses(execution: str) -> list[str]:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        found.extend(json.loads(message["Body"]) for message in messages.get("Messages", []))
        return [event["status"] for event in found if event["executionArn"] == execution]

    yield statuses
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)


@pytest.mark.parity("states-status-events")
def test_an_execution_out_of_time_is_timed_out_and_stays_so(laptop_aws: LaptopAws, told: Any) -> None:
    stepfunctions = laptop_aws.client("stepfunctions")
    late = machine(laptop_aws, TimeoutSeconds=0.5)
    arn = stepfunctions.start_execution(stateMachineArn=late)["executionArn"]
    wait_until(lambda: "TIMED_OUT" in told(arn))
    after = stepfunctions.start_execution(stateMachineArn=machine(laptop_aws))["executionArn"]
    wait_until(lambda: "FAILED" in told(after))  # started later, so the first has failed by now
    assert stepfunctions.describe_execution(executionArn=arn)["status"] == "TIMED_OUT"
    assert told(arn) == ["RUNNING", "TIMED_OUT"]


@pytest.mark.parity("states-stop")
def test_a_stopped_execution_stays_stopped(laptop_aws: LaptopAws, told: Any) -> None:
    stepfunctions = laptop_aws.client("stepfunctions")
    arn = stepfunctions.start_execution(stateMachineArn=machine(laptop_aws))["executionArn"]
    stepfunctions.stop_execution(executionArn=arn, error="Stopped", cause="by hand")
    after = stepfunctions.start_execution(stateMachineArn=machine(laptop_aws))["executionArn"]
    wait_until(lambda: "FAILED" in told(after))
    found = stepfunctions.describe_execution(executionArn=arn)
    assert (found["status"], found["error"]) == ("ABORTED", "Stopped")
    assert told(arn) == ["RUNNING", "ABORTED"]


@pytest.mark.parity("states-express-5-minutes", "states-sync-express")
def test_a_caller_that_waits_is_told_in_time(laptop_aws: LaptopAws) -> None:
    stepfunctions = laptop_aws.client("stepfunctions", **{"inject_host_prefix": False})
    waits = {"Wait": {"Type": "Wait", "Seconds": 30, "End": True}}
    late = machine(laptop_aws, "EXPRESS", TimeoutSeconds=0.5, States=waits)
    began = time.monotonic()
    ended = stepfunctions.start_sync_execution(stateMachineArn=late)
    assert ended["status"] == "TIMED_OUT"
    assert time.monotonic() - began < 15, "before the task would have ended"
