"""Functions that die, run out of time or are throttled, in the words that AWS has for it.

MiniStack 1.5.33 reports a worker process that died as `Runtime.HandlerError`, and a call over the
function's reserved concurrency to Step Functions as `Lambda.Unknown`. AWS reports
`Runtime.ExitError` (with what ended the process) and `Lambda.TooManyRequestsException`; a call that
is out of time is `Sandbox.Timedout` in both. tests/integration/test_ministack_gaps.py fails when
MiniStack closes the gap.
"""

import functools
import json
import signal
import subprocess
import threading
import uuid
from typing import Any, NoReturn

from ministack.core import lambda_runtime
from ministack.services import lambda_svc, stepfunctions

from local.ministack.ministack_source import check_source

_FILE = "local/ministack/lambda_failures.py"
_DEAD = ("Worker process died", "Worker returned no response", "[Errno 32] Broken pipe")
_TIMED_OUT = "Task timed out after "
_last = threading.local()  # .ended: the return code of the worker that this thread saw end


def install() -> None:
    """Change MiniStack's Lambda and Step Functions in this process; call once, at first.

    Raises:
        MiniStackChangedError: when MiniStack's version has changed.
    """
    collect = lambda_runtime._collect
    execute = lambda_svc._execute_function_warm
    call = stepfunctions._call_lambda
    check_source(collect, "16607ef8", _FILE)
    check_source(lambda_runtime.Worker.invoke, "96751a75", _FILE)
    check_source(call, "25830369", _FILE)

    def collect_and_note(process: subprocess.Popen[str] | None, deadline: float) -> None:
        collect(process, deadline)
        if process is not None:
            _last.ended = process.returncode

    @functools.wraps(execute)  # local/ministack/lambda_workers.py looks at its source
    def execute_function_warm(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        _last.ended = None
        result: dict[str, Any] = execute(func, event, request_id)
        return named_failure(result, request_id, _last.ended)

    def call_lambda(function: Any, event: Any) -> Any:
        try:
            return call(function, event)
        except stepfunctions._ExecutionError as error:
            _raise_throttled(error)

    lambda_runtime._collect = collect_and_note
    lambda_svc._execute_function_warm = execute_function_warm
    stepfunctions._call_lambda = call_lambda


def named_failure(result: dict[str, Any], request_id: str, ended: int | None) -> dict[str, Any]:
    """Return what MiniStack's executor answered, with AWS's name for a failure of the process.

    Args:
        result: the answer.
        request_id: of the call.
        ended: the return code of the worker's process, below 0 for a signal, None if unknown.
    """
    body = result.get("body")
    if not result.get("error") or not isinstance(body, dict):
        return result
    message = str(body.get("errorMessage"))
    if message.startswith(_TIMED_OUT):
        kind = "Sandbox.Timedout"
    elif message in _DEAD:
        kind, message = "Runtime.ExitError", f"Runtime exited with error: {_how(ended)}"
    else:
        return result
    text = f"RequestId: {request_id} Error: {message}"
    log = "\n".join(part for part in (result.get("log", ""), text) if part)
    return result | {"body": {"errorType": kind, "errorMessage": text}, "log": log}


def _how(ended: int | None) -> str:
    """Return how a process ended, in the words of AWS's runtime."""
    if ended is None:
        return "unknown"
    if ended >= 0:
        return f"exit status {ended}"
    words = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated"}
    return f"signal: {words.get(signal.Signals(-ended), str(-ended))}"


def _raise_throttled(error: Any) -> NoReturn:
    """Raise a failed call's error again, a throttled one under AWS's name."""
    try:
        body = json.loads(error.cause)
    except ValueError:
        raise error from None
    if not isinstance(body, dict) or body.get("__type") != "TooManyRequestsException":
        raise error
    raise stepfunctions._ExecutionError(
        "Lambda.TooManyRequestsException",
        f"Rate Exceeded. (Service: Lambda, Status Code: 429, Request ID: {uuid.uuid4()})",
    ) from error
