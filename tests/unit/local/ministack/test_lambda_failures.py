from typing import Any

import pytest
from ministack.services import stepfunctions

from local.ministack.lambda_failures import aws_result, throttled_or_same


def failed(message: str, kind: str = "Runtime.HandlerError") -> dict[str, Any]:
    return {"body": {"errorMessage": message, "errorType": kind}, "error": True, "log": "before"}


@pytest.mark.parametrize(
    ("return_code", "end"),
    [
        (-15, "signal: terminated"),
        (-11, "signal: 11"),
        (0, "exit status 0"),
        (None, "unknown"),
    ],
)
def test_result_of_crashed_process_has_its_end(return_code, end):
    result = aws_result(failed("Worker process died"), "id-1", return_code)
    text = f"RequestId: id-1 Error: Runtime exited with error: {end}"
    assert result["body"] == {"errorType": "Runtime.ExitError", "errorMessage": text}
    assert (result["error"], result["log"]) == (True, f"before\n{text}")


@pytest.mark.parametrize(
    "result",
    [
        {"body": {"label": "bicycle"}},
        {"body": [1, 2]},
        {"body": None},
        {"body": {"errorMessage": None}},
        {"throttle": True, "body": {"Reason": "x"}},
        {"body": "Worker process died"},
        {"body": "text", "error": True},
        failed("no picture at inbox/a.png", "PictureMissingError"),
    ],
)
def test_result_of_other_result_is_unchanged(result):
    assert aws_result(result, "id-1", None) is result


@pytest.mark.parametrize("cause", ["Function not found: x", "[1]", '{"errorType": "KeyError"}'])
def test_other_failed_call_keeps_its_error(cause):
    error = stepfunctions._ExecutionError("Lambda.ResourceNotFoundException", cause)
    assert throttled_or_same(error) is error
