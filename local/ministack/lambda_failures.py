"""AWS's error names for functions that raise, crash, time out or are throttled.

MiniStack reports an exception or a crash as `Runtime.HandlerError`, and a throttled call to Step Functions as
`Lambda.Unknown`. AWS reports the class name of an exception, which `Retry` and `Catch` of a state machine match,
`Runtime.ExitError` (with the exit status or signal) for a crash, and `Lambda.TooManyRequestsException`. As on AWS, and
unlike in MiniStack, a worker stays warm after an exception.
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
MARK = "__laptop_aws_function_error__"
_last = threading.local()  # .return_code: of the last worker whose end this thread saw
patches = Patches(__name__)
patches.rely_on(lambda_runtime.Worker, "invoke", "96751a75")

_HANDLER_EXCEPT = """\
        except Exception as e:
            _real_stdout.write(json.dumps({"status": "error", "error": str(e), \
"trace": traceback.format_exc()}) + "\\n")
"""
_HANDLER_EXCEPT_NAMED = f"""\
        except Exception as e:
            _real_stdout.write(json.dumps({{"status": "ok", "result": {{"{MARK}": {{
                "errorType": type(e).__name__, "errorMessage": str(e),
                "requestId": context.aws_request_id,
                "stackTrace": traceback.format_tb(e.__traceback__)[1:],
                "trace": traceback.format_exc()}}}}}}) + "\\n")
"""
_INIT_EXCEPT = """\
    except Exception as e:
        _real_stdout.write(json.dumps({"status": "error", "error": str(e)}) + "\\n")
"""
_INIT_EXCEPT_NAMED = f"""\
    except Exception as e:
        _ms_name, _ms_text = type(e).__name__, str(e)
        if isinstance(e, ImportError):
            _ms_name = "Runtime.ImportModuleError"
            _ms_text = "Unable to import module '" + module_name + "': " + _ms_text
        elif isinstance(e, SyntaxError):
            _ms_name = "Runtime.UserCodeSyntaxError"
        _real_stdout.write(json.dumps({{"status": "error", "error": json.dumps({{"{MARK}": {{
            "errorType": _ms_name, "errorMessage": _ms_text, "requestId": "",
            "stackTrace": traceback.format_tb(e.__traceback__)[1:],
            "trace": traceback.format_exc()}}}})}}) + "\\n")
"""
_INIT_PREFIX = "Worker init failed: "


@patches.wrap(lambda_runtime, "_PYTHON_WORKER_SCRIPT", "368800ad")
def named_errors_script(script: str) -> str:
    """Return MiniStack's Python worker script, changed to send the names of exceptions."""
    return script.replace(_HANDLER_EXCEPT, _HANDLER_EXCEPT_NAMED).replace(_INIT_EXCEPT, _INIT_EXCEPT_NAMED)


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
        result = execute(func, event, request_id)
        return aws_result(result, request_id, _last.return_code)

    return execute_function_warm


@patches.wrap(stepfunctions, "_call_lambda", "25830369")
def _with_named_throttling(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def call_lambda(function: Any, event: Any) -> Any:
        try:
            return call(function, event)
        except stepfunctions._ExecutionError as error:
            raise throttled_or_same(error) from None

    return call_lambda


def aws_result(result: dict[str, Any], request_id: str, return_code: int | None) -> dict[str, Any]:
    """Return a result of MiniStack's executor with AWS's name for a failure, and its text in the log.

    The return code of the worker's process is negative for a signal, and None if unknown.
    """
    body = result.get("body")
    if not isinstance(body, dict):
        return result
    message = str(body.get("errorMessage"))
    if result.get("error") and message.startswith(_INIT_PREFIX + "{"):
        body = json.loads(message.removeprefix(_INIT_PREFIX))
    if MARK in body:
        details = dict(body[MARK])
        text = details.pop("trace")
    elif result.get("error") and message.startswith(_TIMED_OUT):
        text = f"RequestId: {request_id} Error: {message}"
        details = {"errorType": "Sandbox.Timedout", "errorMessage": text}
    elif result.get("error") and message in _CRASHED:
        text = f"RequestId: {request_id} Error: Runtime exited with error: {_end_of_process(return_code)}"
        details = {"errorType": "Runtime.ExitError", "errorMessage": text}
    else:
        return result
    log = "\n".join(part for part in (result.get("log", ""), text) if part)
    return {"body": details, "error": True, "log": log}


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
