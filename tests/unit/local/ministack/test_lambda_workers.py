import json
from typing import Any

import pytest
from ministack.core import lambda_runtime

from local.ministack.lambda_workers import (
    MARK,
    WorkerScriptError,
    function_error,
    named_errors_script,
    workers_per_function,
)

FOUND = {"errorType": "PictureMissingError", "errorMessage": "no picture", "trace": "Traceback"}


def test_a_changed_worker_script_is_not_guessed_at() -> None:
    with pytest.raises(WorkerScriptError, match="MiniStack's Python worker script has changed"):
        named_errors_script("def run(): pass")


def test_the_script_of_the_pinned_version_still_compiles() -> None:
    script = named_errors_script(lambda_runtime._PYTHON_WORKER_SCRIPT)
    compile(script, "worker", "exec")
    assert script.count(MARK) == 2


def test_an_exception_of_the_handler_becomes_the_functions_error() -> None:
    assert function_error({"body": {MARK: FOUND}, "log": "START"}) == {
        "body": {"errorType": "PictureMissingError", "errorMessage": "no picture"},
        "error": True,
        "log": "START\nTraceback",
    }


def test_an_exception_at_import_becomes_the_functions_error() -> None:
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
def test_every_other_answer_stays_as_it_is(result: dict[str, Any]) -> None:
    assert function_error(result) is result


def test_a_function_may_call_itself_once() -> None:
    assert workers_per_function() >= 2
