import json
from typing import Any

import pytest
from ministack.services import stepfunctions

from local.ministack.lambda_failures import _raise_throttled, named_failure


def failed(message: str, kind: str = "Runtime.HandlerError") -> dict[str, Any]:
    return {"body": {"errorMessage": message, "errorType": kind}, "error": True, "log": "before"}


@pytest.mark.parametrize(
    ("ended", "how"),
    [
        (-9, "signal: killed"),
        (-15, "signal: terminated"),
        (-11, "signal: 11"),
        (3, "exit status 3"),
        (0, "exit status 0"),
        (None, "unknown"),
    ],
)
def test_a_process_that_died(ended: int | None, how: str) -> None:
    result = named_failure(failed("Worker process died"), "id-1", ended)
    text = f"RequestId: id-1 Error: Runtime exited with error: {how}"
    assert result["body"] == {"errorType": "Runtime.ExitError", "errorMessage": text}
    assert (result["error"], result["log"]) == (True, f"before\n{text}")


def test_a_call_out_of_time() -> None:
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
def test_every_other_answer_stays(result: dict[str, Any]) -> None:
    assert named_failure(result, "id-1", None) is result


def test_a_throttled_call_has_its_name_in_step_functions() -> None:
    body = {"__type": "TooManyRequestsException", "message": "Rate Exceeded"}
    with pytest.raises(stepfunctions._ExecutionError) as raised:
        _raise_throttled(stepfunctions._ExecutionError("Lambda.Unknown", json.dumps(body)))
    assert raised.value.error == "Lambda.TooManyRequestsException"
    assert "Status Code: 429" in raised.value.cause


@pytest.mark.parametrize("cause", ["Function not found: x", "[1]", '{"errorType": "KeyError"}'])
def test_every_other_failed_call_is_raised_as_it_was(cause: str) -> None:
    error = stepfunctions._ExecutionError("Lambda.ResourceNotFoundException", cause)
    with pytest.raises(stepfunctions._ExecutionError) as raised:
        _raise_throttled(error)
    assert raised.value is error
