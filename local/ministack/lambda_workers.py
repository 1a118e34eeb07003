"""Exception names of MiniStack's Python functions, and a limit on their worker processes.

1. MiniStack's worker reports every exception as `Runtime.HandlerError`. AWS reports the name of the
   class, which `Retry` and `Catch` of a state machine match. The patched worker script sends the
   name and the traceback. As on AWS, and unlike in MiniStack, the worker then stays warm.
2. MiniStack starts one worker for each call that arrives while the others are busy, without a
   limit: a burst of executions starts hundreds of Python processes. With the patch a call waits
   for one of a few workers.
"""

import json
import os
import threading
from collections.abc import Callable
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.ministack.patches import Patches

MARK = "__laptop_aws_function_error__"
_WAIT_SECONDS = 120.0  # for a free worker; then the call is throttled, as on AWS
patches = Patches(__name__)
patches.rely_on(lambda_svc, "_throttle_response", "647221d5")

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


def function_error(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of MiniStack's executor with an exception under its own name."""
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


@patches.wrap(lambda_svc, "_execute_function_warm", "62b9218b")
def _limit_workers(execute: Callable[..., Any]) -> Callable[..., Any]:
    limit = workers_per_function()
    slots: dict[str, threading.BoundedSemaphore] = {}

    def execute_function_warm(func: dict[str, Any], event: dict[str, Any], request_id: str) -> dict[str, Any]:
        config = func.get("config") or func
        slot = slots.setdefault(config.get("FunctionArn", ""), threading.BoundedSemaphore(limit))
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

    return execute_function_warm


def workers_per_function() -> int:
    """Return the maximum number of workers of one function: one per core, and at least two.

    docs/laptop-aws.md has the measurement. A function that invokes itself needs two.
    """
    return max(2, os.cpu_count() or 1)


def stop_workers() -> None:
    """End every worker process."""
    lambda_runtime.reset()
