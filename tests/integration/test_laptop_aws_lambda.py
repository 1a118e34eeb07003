"""Exceptions, crashes, time-outs and workers of the functions of the laptop's AWS."""

import json
import os
import signal
from pathlib import Path

import pytest

from local.ministack.lambda_workers import workers_per_function
from tests.integration.laptop_aws import LaptopAws, processes, task, wait_until

FUNCTION = """
import os, pathlib, signal, sys, threading, time

class PictureMissingError(Exception):
    pass

def handler(event, context):
    end = event.get("end")
    if end == "raises":
        raise PictureMissingError("no picture at inbox/a b.png")
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "exits":
        os._exit(3)
    if end == "sys.exit":
        sys.exit(4)
    if end == "hangs":
        threading.Event().wait(600)
    if end == "held":
        folder = pathlib.Path(event["folder"])
        (folder / "running").touch()
        while not (folder / "release").exists():
            time.sleep(0.05)
    return os.getpid()
"""


@pytest.fixture(scope="module")
def function(laptop_aws: LaptopAws) -> str:
    return laptop_aws.create_function(FUNCTION)


@pytest.fixture(scope="module")
def machine(laptop_aws: LaptopAws, function: str) -> str:
    """A state machine that invokes the function, without a retry."""
    return laptop_aws.create_machine(task(function))


def log(aws: LaptopAws, function: str) -> str:
    events = aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
    return "\n".join(event["message"] for event in events)


@pytest.mark.parity("lambda-error-names", "lambda-handler")
def test_exception_has_its_class_name_and_keeps_the_worker(laptop_aws, function):
    before = laptop_aws.invoke(function, {})
    mark, body = laptop_aws.invoke(function, {"end": "raises"})
    assert mark == "Unhandled"
    assert (body["errorType"], body["errorMessage"]) == ("PictureMissingError", "no picture at inbox/a b.png")
    assert "in handler" in body["stackTrace"][0]
    assert laptop_aws.invoke(function, {}) == before, "the same process"
    assert "PictureMissingError: no picture at inbox/a b.png" in log(laptop_aws, function)


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
def test_exception_at_import_has_its_name(laptop_aws, text, kind, message):
    function = laptop_aws.create_function(text)
    mark, body = laptop_aws.invoke(function, {})
    assert (mark, body["errorType"], body["errorMessage"]) == ("Unhandled", kind, message)
    assert "Traceback (most recent call last)" in log(laptop_aws, function)


@pytest.mark.parity("lambda-error-names", "states-catch", "states-retry")
def test_retry_and_catch_match_the_class_name(laptop_aws, function):
    names = ["PictureMissingError"]
    failing = task(
        function,
        Retry=[{"ErrorEquals": names, "IntervalSeconds": 1, "MaxAttempts": 1}],
        Catch=[{"ErrorEquals": names, "Next": "Caught"}],
        End=True,
    )
    states = {"Task": failing, "Caught": {"Type": "Pass", "End": True}}
    found = laptop_aws.execute(laptop_aws.create_machine({"StartAt": "Task", "States": states}), {"end": "raises"})
    assert found["status"] == "SUCCEEDED"
    caught = json.loads(found["output"])
    assert caught["Error"] == "PictureMissingError"
    assert json.loads(caught["Cause"])["errorMessage"] == "no picture at inbox/a b.png"
    history = laptop_aws.client("stepfunctions").get_execution_history(executionArn=found["executionArn"])
    failures = [event for event in history["events"] if event["type"] == "TaskFailed"]
    assert len(failures) == 2, "the call and its retry"


@pytest.mark.parity("lambda-timeout", "lambda-killed")
@pytest.mark.parametrize(
    ("end", "error", "message"),
    [
        ("killed", "Runtime.ExitError", "Runtime exited with error: signal: killed"),
        ("exits", "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ("sys.exit", "Runtime.ExitError", "Runtime exited with error: exit status 4"),
        ("hangs", "Sandbox.Timedout", "Task timed out after 2.00 seconds"),
    ],
)
def test_crash_or_time_out_has_its_name_and_the_next_call_succeeds(laptop_aws, function, machine, end, error, message):
    def set_timeout(seconds: int) -> None:
        laptop_aws.client("lambda").update_function_configuration(FunctionName=function, Timeout=seconds)

    before = laptop_aws.execute(machine)
    set_timeout(2 if end == "hangs" else 60)
    failed = laptop_aws.execute(machine, {"end": end})
    set_timeout(60)
    assert (failed["status"], failed["error"]) == ("FAILED", error)
    cause = json.loads(failed["cause"])
    assert cause["errorType"] == error
    assert cause["errorMessage"].startswith("RequestId: ")
    assert cause["errorMessage"].endswith(f" Error: {message}")
    after = laptop_aws.execute(machine)
    assert (after["status"], before["status"]) == ("SUCCEEDED", "SUCCEEDED")
    assert after["output"] != before["output"], "another process"
    assert message in log(laptop_aws, function)


@pytest.mark.parity("lambda-killed")
def test_worker_killed_between_calls_is_replaced(laptop_aws, machine):
    for _ in range(3):
        os.kill(int(laptop_aws.execute(machine)["output"]), signal.SIGKILL)
        assert laptop_aws.execute(machine)["status"] == "SUCCEEDED"


@pytest.mark.parity("states-lambda-throttled", "lambda-concurrency")
def test_call_over_the_reserved_concurrency_is_throttled(laptop_aws, function, machine, tmp_path):
    client = laptop_aws.client("lambda")
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    try:
        held = laptop_aws.start(machine, {"end": "held", "folder": str(tmp_path)})
        wait_until((tmp_path / "running").exists)
        throttled = [laptop_aws.execute(machine) for _ in range(2)]
        (tmp_path / "release").touch()
        assert laptop_aws.ended(held)["status"] == "SUCCEEDED"
    finally:
        client.delete_function_concurrency(FunctionName=function)
    assert [execution["error"] for execution in throttled] == ["Lambda.TooManyRequestsException"] * 2
    assert "Status Code: 429" in throttled[0]["cause"]
    assert laptop_aws.execute(machine)["status"] == "SUCCEEDED"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="counts processes in /proc")
def test_burst_of_executions_starts_a_limited_number_of_workers(laptop_aws):
    burst = laptop_aws.create_function("import time\ndef handler(event, context): time.sleep(0.05)")
    machine = laptop_aws.create_machine(task(burst))
    for execution in [laptop_aws.start(machine) for _ in range(50)]:
        assert laptop_aws.ended(execution)["status"] == "SUCCEEDED"
    workers = processes([str(laptop_aws.state / "tmp" / f"ministack-lambda-{burst}")])
    assert 1 <= len(workers) <= workers_per_function()
