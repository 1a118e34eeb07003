"""What the laptop's AWS changes about MiniStack's functions: names of errors, bound on workers."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from local.ministack.lambda_workers import workers_per_function
from tests.integration.laptop_aws import LaptopAws, processes, wait_until

ROLE = "arn:aws:iam::000000000000:role/test"
RAISING = """
import os

class PictureMissingError(Exception):
    pass

def handler(event, context):
    if event.get("fail"):
        raise PictureMissingError("no picture at inbox/a b.png")
    return os.getpid()
"""


def create_function(aws: LaptopAws, name: str, text: str) -> None:
    """Create a function from the text of its module."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", text)
    aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=30,
    )


def invoke(aws: LaptopAws, name: str, event: object) -> tuple[str | None, Any]:
    """Return the function's error mark, None without one, and its answer."""
    answer = aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


@pytest.fixture(scope="module")
def raising(laptop_aws: LaptopAws) -> str:
    create_function(laptop_aws, "raising", RAISING)
    return "raising"


@pytest.mark.parity("lambda-error-names")
def test_an_exception_has_its_class_name(laptop_aws: LaptopAws, raising: str) -> None:
    mark, body = invoke(laptop_aws, raising, {"fail": True})
    assert mark == "Unhandled"
    assert (body["errorType"], body["errorMessage"]) == (
        "PictureMissingError",
        "no picture at inbox/a b.png",
    )
    assert "in handler" in body["stackTrace"][0]


@pytest.mark.parity("lambda-handler")
def test_an_exception_leaves_the_worker_warm(laptop_aws: LaptopAws, raising: str) -> None:
    _, before = invoke(laptop_aws, raising, {})
    invoke(laptop_aws, raising, {"fail": True})
    assert invoke(laptop_aws, raising, {}) == (None, before)


def test_the_traceback_is_in_the_log(laptop_aws: LaptopAws, raising: str) -> None:
    invoke(laptop_aws, raising, {"fail": True})
    events = laptop_aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{raising}")
    log = "\n".join(event["message"] for event in events["events"])
    assert "PictureMissingError: no picture at inbox/a b.png" in log


@pytest.mark.parity("lambda-import-failure")
@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("import os\nos.environ['ENDPOINT_NAME']", "KeyError", "'ENDPOINT_NAME'"),
        (
            "import not_packaged",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'not_packaged'",
        ),
    ],
)
def test_an_exception_at_import_has_its_name(laptop_aws: LaptopAws, text: str, kind: str, message: str) -> None:
    name = f"import-{kind.replace('.', '-')}"
    create_function(laptop_aws, name, text)
    mark, body = invoke(laptop_aws, name, {})
    assert (mark, body["errorType"], body["errorMessage"]) == ("Unhandled", kind, message)


@pytest.mark.parity("lambda-error-names", "states-catch", "states-retry")
def test_catch_and_retry_match_the_class_name(laptop_aws: LaptopAws, raising: str) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": raising, "Payload": {"fail": True}},
        "Retry": [{"ErrorEquals": ["PictureMissingError"], "IntervalSeconds": 1, "MaxAttempts": 1}],
        "Catch": [{"ErrorEquals": ["PictureMissingError"], "Next": "Caught"}],
        "End": True,
    }
    stepfunctions = laptop_aws.client("stepfunctions")
    machine = stepfunctions.create_state_machine(
        name="catching",
        definition=json.dumps({"StartAt": "Task", "States": {"Task": task, "Caught": {"Type": "Pass", "End": True}}}),
        roleArn=ROLE,
    )
    execution = stepfunctions.start_execution(stateMachineArn=machine["stateMachineArn"])

    def ended() -> Any:
        found = stepfunctions.describe_execution(executionArn=execution["executionArn"])
        return found if found["status"] != "RUNNING" else None

    found = wait_until(ended)
    assert found["status"] == "SUCCEEDED"
    caught = json.loads(found["output"])
    assert caught["Error"] == "PictureMissingError"
    assert json.loads(caught["Cause"])["errorMessage"] == "no picture at inbox/a b.png"
    history = stepfunctions.get_execution_history(executionArn=execution["executionArn"])
    failures = [event for event in history["events"] if event["type"] == "TaskFailed"]
    assert len(failures) == 2, "the call and its one retry"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="counts processes in /proc")
def test_a_burst_of_executions_does_not_start_a_worker_for_each(laptop_aws: LaptopAws) -> None:
    create_function(laptop_aws, "burst", "import time\ndef handler(event, context): time.sleep(0.05)")
    stepfunctions = laptop_aws.client("stepfunctions")
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "burst"},
        "End": True,
    }
    machine = stepfunctions.create_state_machine(
        name="burst",
        definition=json.dumps({"StartAt": "Task", "States": {"Task": state}}),
        roleArn=ROLE,
    )["stateMachineArn"]
    for _ in range(50):
        stepfunctions.start_execution(stateMachineArn=machine)

    def all_succeeded() -> bool:
        found = stepfunctions.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED")
        return len(found["executions"]) == 50

    wait_until(all_succeeded)
    workers = processes([str(laptop_aws.state / "tmp" / "ministack-lambda-burst")])
    assert 1 <= len(workers) <= workers_per_function()
