import json
from typing import Any

import pytest
from ministack.services import stepfunctions

from local.ministack.lambda_failures import named_failure, throttled_or_same


def failed(message: str, kind: str = "Runtime.HandlerError") -> dict[str, Any]:
    return {"body": {"errorMessage": message, "errorType": kind}, "error": True, "log": "before"}


@pytest.mark.parametrize(
    ("return_code", "end"),
    [
        (-9, "signal: killed"),
        (-15, "signal: terminated"),
        (-11, "signal: 11"),
        (3, "exit status 3"),
        (0, "exit status 0"),
        (None, "unknown"),
    ],
)
def test_named_failure_of_crashed_process_has_its_end(return_code: int | None, end: str) -> None:
    result = named_failure(failed("Worker process died"), "id-1", return_code)
    text = f"RequestId: id-1 Error: Runtime exited with error: {end}"
    assert result["body"] == {"errorType": "Runtime.ExitError", "errorMessage": text}
    assert (result["error"], result["log"]) == (True, f"before\n{text}")


def test_named_failure_of_time_out_is_sandbox_timedout() -> None:
    result = named_failure(failed("Task timed out after 3.00 seconds"), "id-1", -15)
    assert result["body"] == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: id-1 Error: Task timed out after 3.00 seconds",
    }


@pytest.mark.parametrize(
    "result",
    [
        {"body": {"label": "bicycle"}},
        {"body": "Worker process died"},
        {"body": "text", "error": True},
        failed("no picture at inbox/a.png", "PictureMissingError"),
    ],
)
def test_named_failure_of_other_result_is_unchanged(result: dict[str, Any]) -> None:
    assert named_failure(result, "id-1", None) is result


def test_throttled_call_has_the_name_of_aws() -> None:
    body = {"__type": "TooManyRequestsException", "message": "Rate Exceeded"}
    error = throttled_or_same(stepfunctions._ExecutionError("Lambda.Unknown", json.dumps(body)))
    assert error.error == "Lambda.TooManyRequestsException"
    assert "Status Code: 429" in error.cause


@pytest.mark.parametrize("cause", ["Function not found: x", "[1]", '{"errorType": "KeyError"}'])
def test_other_failed_call_keeps_its_error(cause: str) -> None:
    error = stepfunctions._ExecutionError("Lambda.ResourceNotFoundException", cause)
    assert throttled_or_same(error) is error
