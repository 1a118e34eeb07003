"""MiniStack's Python functions, made to fail and to queue as AWS's do.

Two gaps of MiniStack 1.5.33 are closed here, in its own process:

1. Its worker reports every exception as `Runtime.HandlerError`. AWS reports the class's name, and
   `Retry` and `Catch` of a state machine match on it. The worker script gets one more `except`
   that sends the name and the traceback, and the function that makes Lambda's answer of it reads
   them. As on AWS, and unlike in MiniStack, the worker then stays warm.
2. It starts one worker for each call that comes while the others are busy, without a limit, so
   that a burst of executions starts hundreds of Python processes. Here a call waits for one of a
   few workers.

tests/integration/test_ministack_gaps.py fails when MiniStack closes the first gap itself.
"""

import json
import os
import threading
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.ministack.ministack_source import check_source

_FILE = "local/ministack/lambda_workers.py"
MARK = "__laptop_aws_function_error__"
_WAIT_SECONDS = 120.0  # for a free worker; then the call is throttled, as on AWS


class WorkerScriptError(Exception):
    """MiniStack's worker script is not the one that this module knows how to change."""


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


def named_errors_script(script: str) -> str:
    """Return MiniStack's Python worker script, changed to send the names of exceptions.

    Raises:
        WorkerScriptError: when the script is not the known one; MiniStack's version has changed.
    """
    for old, new in (
        (_HANDLER_EXCEPT, _HANDLER_EXCEPT_NAMED),
        (_INIT_EXCEPT, _INIT_EXCEPT_NAMED),
    ):
        if script.count(old) != 1:
            raise WorkerScriptError(
                "MiniStack's Python worker script has changed: compare "
                "ministack/core/lambda_runtime.py with local/ministack/lambda_workers.py, and drop the "
                "change there if MiniStack now reports the names of exceptions itself"
            )
        script = script.replace(old, new)
    return script


def function_error(result: dict[str, Any]) -> dict[str, Any]:
    """Return what MiniStack's executor answered, with the exception under its own name."""
    body = result.get("body")
    if not isinstance(body, dict):
        return result
    if result.get("error"):
        message = str(body.get("errorMessage"))
        if not message.startswith(_INIT_PREFIX + "{"):
            return result
        body = json.loads(message.removeprefix(_INIT_PREFIX))
    if MARK not in body:
        return result
    details = dict(body[MARK])
    log = "\n".join(part for part in (result.get("log", ""), details.pop("trace")) if part)
    return {"body": details, "error": True, "log": log}


def install() -> None:
    """Change MiniStack's Lambda in this process; call once, before its first function.

    Raises:
        MiniStackChangedError: when MiniStack's version has changed.
        WorkerScriptError: when its worker script has.
    """
    execute = lambda_svc._execute_function_warm
    check_source(execute, "62b9218b", _FILE)
    check_source(lambda_svc._throttle_response, "647221d5", _FILE)
    lambda_runtime._PYTHON_WORKER_SCRIPT = named_errors_script(lambda_runtime._PYTHON_WORKER_SCRIPT)
    most = workers_per_function()
    slots: dict[str, threading.BoundedSemaphore] = {}

    def execute_function_warm(func: dict[str, Any], event: dict[str, Any], request_id: str) -> dict[str, Any]:
        config = func.get("config") or func
        slot = slots.setdefault(config.get("FunctionArn", ""), threading.BoundedSemaphore(most))
        if not slot.acquire(timeout=_WAIT_SECONDS):
            throttled: dict[str, Any] = lambda_svc._throttle_response(
                reason_code="ConcurrentInvocationLimitExceeded",
                msg=f"Rate Exceeded: {config.get('FunctionName')} has no free worker",
            )
            return throttled
        try:
            return function_error(execute(func, event, request_id))
        finally:
            slot.release()

    lambda_svc._execute_function_warm = execute_function_warm


def workers_per_function() -> int:
    """Return how many workers one function may have: one for each core, and at least two.

    docs/laptop-aws.md has the measurement. Two is the least with which a function can call itself.
    """
    return max(2, os.cpu_count() or 1)


def stop_workers() -> None:
    """End every worker process."""
    lambda_runtime.reset()
