"""AWS's error names for functions that crash, time out or are throttled.

MiniStack reports a crashed worker process as `Runtime.HandlerError`, and reports a call over the
reserved concurrency to Step Functions as `Lambda.Unknown`. AWS reports `Runtime.ExitError` (with
the exit status or signal) and `Lambda.TooManyRequestsException`; for a call that times out both
report `Sandbox.Timedout`.
"""

import json
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc, stepfunctions

from local.ministack.patches import Patches

_CRASHED = ("Worker process died", "Worker returned no response", "[Errno 32] Broken pipe")
_TIMED_OUT = "Task timed out after "
_last = threading.local()  # .return_code: of the last worker whose end this thread saw
patches = Patches(__name__)
patches.rely_on(lambda_runtime.Worker, "invoke", "96751a75")


@patches.wrap(lambda_runtime, "_collect", "16607ef8")
def _keep_return_code(collect: Callable[..., None]) -> Callable[..., None]:
    def collect_and_keep(process: subprocess.Popen[str] | None, deadline: float) -> None:
        collect(process, deadline)
        if process is not None:
            _last.return_code = process.returncode

    return collect_and_keep


@patches.wrap(lambda_svc, "_execute_function_warm", "62b9218b")
def _with_named_failure(execute: Callable[..., Any]) -> Callable[..., Any]:
    def execute_function_warm(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        _last.return_code = None
        result: dict[str, Any] = execute(func, event, request_id)
        return named_failure(result, request_id, _last.return_code)

    return execute_function_warm


@patches.wrap(stepfunctions, "_call_lambda", "25830369")
def _with_named_throttling(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def call_lambda(function: Any, event: Any) -> Any:
        try:
            return call(function, event)
        except stepfunctions._ExecutionError as error:
            raise throttled_or_same(error) from None

    return call_lambda


def named_failure(result: dict[str, Any], request_id: str, return_code: int | None) -> dict[str, Any]:
    """Return a result of MiniStack's executor with AWS's name for a failure of the process.

    The return code of the worker's process is negative for a signal, and None if unknown.
    """
    body = result.get("body")
    if not result.get("error") or not isinstance(body, dict):
        return result
    message = str(body.get("errorMessage"))
    if message.startswith(_TIMED_OUT):
        kind = "Sandbox.Timedout"
    elif message in _CRASHED:
        kind, message = "Runtime.ExitError", f"Runtime exited with error: {_end_of_process(return_code)}"
    else:
        return result
    text = f"RequestId: {request_id} Error: {message}"
    log = "\n".join(part for part in (result.get("log", ""), text) if part)
    return result | {"body": {"errorType": kind, "errorMessage": text}, "log": log}


def _end_of_process(return_code: int | None) -> str:
    """Return how a process ended, in the words of AWS's runtime."""
    if return_code is None:
        return "unknown"
    if return_code >= 0:
        return f"exit status {return_code}"
    signals = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated"}
    return f"signal: {signals.get(signal.Signals(-return_code), str(-return_code))}"


def throttled_or_same(error: Any) -> Any:
    """Return AWS's error for a throttled call, or else the given one."""
    try:
        body = json.loads(error.cause)
    except ValueError:
        return error
    if not isinstance(body, dict) or body.get("__type") != "TooManyRequestsException":
        return error
    return stepfunctions._ExecutionError(
        "Lambda.TooManyRequestsException",
        f"Rate Exceeded. (Service: Lambda, Status Code: 429, Request ID: {uuid.uuid4()})",
    )
