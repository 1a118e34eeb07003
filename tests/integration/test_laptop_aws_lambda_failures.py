"""Functions that die, run out of time or are throttled, as Step Functions reports them."""

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.laptop_aws import LaptopAws, wait_until
from tests.integration.test_laptop_aws_lambda import create_function

ROLE = "arn:aws:iam::000000000000:role/test"
BOUND_SECONDS = 15.0  # for a call that fails and the healthy one after it; no more than a cold start
DYING = """
import os, signal, sys, threading

def handler(event, context):
    how = event.get("how")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exits":
        os._exit(3)
    if how == "sys.exit":
        sys.exit(4)
    if how == "hangs":
        threading.Event().wait(600)
    return os.getpid()
"""


@pytest.fixture(scope="module")
def machine(laptop_aws: LaptopAws) -> Iterator[tuple[str, str]]:
    """A function that fails as asked, and the machine that calls it, without a retry."""
    name = f"dying-{uuid.uuid4().hex[:8]}"
    create_function(laptop_aws, name, DYING)
    client = laptop_aws.client("lambda")
    client.update_function_configuration(FunctionName=name, Timeout=2)
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": name, "Payload.$": "$"},
        "OutputPath": "$.Payload",
        "End": True,
    }
    arn = laptop_aws.client("stepfunctions").create_state_machine(
        name=name,
        definition=json.dumps({"StartAt": "Task", "States": {"Task": state}}),
        roleArn=ROLE,
    )["stateMachineArn"]
    yield name, arn
    client.delete_function(FunctionName=name)


def run(aws: LaptopAws, arn: str, event: object) -> Any:
    """Run the machine and return how its execution ended."""
    stepfunctions = aws.client("stepfunctions")
    started = stepfunctions.start_execution(stateMachineArn=arn, input=json.dumps(event))

    def ended() -> Any:
        found = stepfunctions.describe_execution(executionArn=started["executionArn"])
        return found if found["status"] != "RUNNING" else None

    return wait_until(ended, BOUND_SECONDS)


@pytest.mark.parity("lambda-timeout", "lambda-killed")
@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("killed", "Runtime.ExitError", "Runtime exited with error: signal: killed"),
        ("exits", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ("sys.exit", "Runtime.ExitError", "Runtime exited with error: exit status 4"),
        ("hangs", "Sandbox.Timedout", "Task timed out after 2.00 seconds"),
    ],
)
def test_a_call_that_ends_badly_has_its_name_and_the_next_one_works(
    laptop_aws: LaptopAws, machine: tuple[str, str], how: str, error: str, message: str
) -> None:
    name, arn = machine
    before = run(laptop_aws, arn, {})
    began = time.monotonic()
    ended = run(laptop_aws, arn, {"how": how})
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    cause = json.loads(ended["cause"])
    assert cause["errorType"] == error
    assert cause["errorMessage"].startswith("RequestId: ")
    assert cause["errorMessage"].endswith(f" Error: {message}")
    after = run(laptop_aws, arn, {})
    assert time.monotonic() - began < BOUND_SECONDS
    assert (after["status"], before["status"]) == ("SUCCEEDED", "SUCCEEDED")
    assert after["output"] != before["output"], "another process"
    events = laptop_aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")
    assert any(message in event["message"] for event in events["events"])


@pytest.mark.parity("lambda-killed")
def test_a_worker_killed_between_two_calls_is_replaced(laptop_aws: LaptopAws, machine: tuple[str, str]) -> None:
    _, arn = machine
    for _ in range(3):
        pid = int(run(laptop_aws, arn, {})["output"])
        os.kill(pid, signal.SIGKILL)
        assert run(laptop_aws, arn, {})["status"] == "SUCCEEDED"


@pytest.mark.parity("states-lambda-throttled", "lambda-concurrency")
def test_a_call_over_the_reserved_concurrency(laptop_aws: LaptopAws, machine: tuple[str, str]) -> None:
    name, arn = machine
    client = laptop_aws.client("lambda")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    try:
        stepfunctions = laptop_aws.client("stepfunctions")
        arns = [stepfunctions.start_execution(stateMachineArn=arn, input='{"how": "hangs"}') for _ in range(3)]

        def ended() -> Any:
            found = [stepfunctions.describe_execution(executionArn=each["executionArn"]) for each in arns]
            return found if all(each["status"] != "RUNNING" for each in found) else None

        errors = sorted(each["error"] for each in wait_until(ended, BOUND_SECONDS))
    finally:
        client.delete_function_concurrency(FunctionName=name)
    assert errors == ["Lambda.TooManyRequestsException"] * 2 + ["Sandbox.Timedout"]
    assert run(laptop_aws, arn, {})["status"] == "SUCCEEDED"
