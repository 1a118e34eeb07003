"""Executions of the laptop's AWS that time out or are stopped."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.laptop_aws import LaptopAws, task, wait_until

# Fails when the test creates the file `release`, which may be after the end of its execution.
HELD = """
import pathlib, time

def handler(event, context):
    folder = pathlib.Path(event["folder"])
    (folder / "running").touch()
    while not (folder / "release").exists():
        time.sleep(0.05)
    (folder / "released").touch()
    raise ValueError("late")
"""
FAILING = {"StartAt": "Only", "States": {"Only": {"Type": "Fail", "Error": "LateError", "Cause": "late"}}}


@pytest.fixture
def statuses(laptop_aws: LaptopAws) -> Callable[[str], list[str]]:
    """Return a function that returns the status events of an execution, in order."""
    queue = laptop_aws.send_events_to_queue({"source": ["aws.states"]}, "$.detail")
    received: list[Any] = []

    def of_execution(arn: str) -> list[str]:
        received.extend(laptop_aws.receive(queue))
        return [event["status"] for event in received if event["executionArn"] == arn]

    return of_execution


@pytest.mark.parity("states-status-events", "states-stop")
@pytest.mark.parametrize("status", ["TIMED_OUT", "ABORTED"])
def test_execution_with_later_failure_keeps_its_final_status(laptop_aws, statuses, tmp_path, status):
    # GIVEN an execution whose task is running when the execution ends
    held = laptop_aws.create_function(HELD)
    definition = {"StartAt": "Only", "States": {"Only": task(held) | {"End": True}}}
    arn = laptop_aws.start(
        laptop_aws.create_machine(definition | ({"TimeoutSeconds": 1} if status == "TIMED_OUT" else {})),
        {"folder": str(tmp_path)},
    )
    wait_until((tmp_path / "running").exists)
    if status == "ABORTED":
        laptop_aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="by hand")
    wait_until(lambda: status in statuses(arn))
    # WHEN the task fails, and a later execution does
    (tmp_path / "release").touch()
    wait_until((tmp_path / "released").exists)
    later = laptop_aws.start(laptop_aws.create_machine(FAILING))
    wait_until(lambda: "FAILED" in statuses(later))
    # THEN the status stays
    found = laptop_aws.client("stepfunctions").describe_execution(executionArn=arn)
    assert (found["status"], found.get("error")) == (status, "Stopped" if status == "ABORTED" else None)
    assert statuses(arn) == ["RUNNING", status]


@pytest.mark.parity("states-express-5-minutes", "states-sync-express")
def test_synchronous_execution_times_out_before_its_task_ends(laptop_aws):
    stepfunctions = laptop_aws.client("stepfunctions", inject_host_prefix=False)
    waits = {"Only": {"Type": "Wait", "Seconds": 3600, "End": True}}
    late = laptop_aws.create_machine({"StartAt": "Only", "TimeoutSeconds": 0.5, "States": waits}, type="EXPRESS")
    assert stepfunctions.start_sync_execution(stateMachineArn=late)["status"] == "TIMED_OUT"
