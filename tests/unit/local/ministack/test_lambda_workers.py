import json
from typing import Any

import pytest

from local.ministack.lambda_workers import MARK, function_error

FOUND = {"errorType": "PictureMissingError", "errorMessage": "no picture", "trace": "Traceback"}


def test_function_error_of_handler_exception_has_its_name() -> None:
    assert function_error({"body": {MARK: FOUND}, "log": "START"}) == {
        "body": {"errorType": "PictureMissingError", "errorMessage": "no picture"},
        "error": True,
        "log": "START\nTraceback",
    }


def test_function_error_of_import_exception_has_its_name() -> None:
    message = "Worker init failed: " + json.dumps({MARK: FOUND})
    body = {"errorType": "RuntimeError", "errorMessage": message}
    result = function_error({"body": body, "error": True})
    assert result["error"] is True
    assert result["body"]["errorType"] == "PictureMissingError"


@pytest.mark.parametrize(
    "result",
    [
        {"body": {"key": "value"}},
        {"body": [1, 2]},
        {"body": None},
        {
            "body": {"errorMessage": "Task timed out", "errorType": "Sandbox.Timedout"},
            "error": True,
        },
        {"body": {"errorMessage": None}},
        {"throttle": True, "body": {"Reason": "x"}},
    ],
)
def test_function_error_of_other_result_is_unchanged(result: dict[str, Any]) -> None:
    assert function_error(result) is result
