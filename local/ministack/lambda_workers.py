"""A limit on the worker processes of MiniStack's functions.

MiniStack starts one worker for each call that arrives while the others are busy: a burst of executions starts hundreds
of Python processes. With the patch a call waits for one of a few workers.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

from ministack.services import lambda_svc

from local.ministack.patches import Patches

_WAIT_SECONDS = 120.0  # for a free worker; then the call is throttled, as on AWS
patches = Patches(__name__)
patches.rely_on(lambda_svc, "_throttle_response", "647221d5")


@patches.wrap(lambda_svc, "_execute_function_warm", "62b9218b")
def _limit_workers(execute: Callable[..., Any]) -> Callable[..., Any]:
    limit = workers_per_function()
    slots: dict[str, threading.BoundedSemaphore] = {}

    def execute_function_warm(func: dict[str, Any], event: Any, request_id: str) -> Any:
        config = func.get("config") or func
        slot = slots.setdefault(config.get("FunctionArn", ""), threading.BoundedSemaphore(limit))
        if not slot.acquire(timeout=_WAIT_SECONDS):
            return lambda_svc._throttle_response(
                reason_code="ConcurrentInvocationLimitExceeded",
                msg=f"Rate Exceeded: {config.get('FunctionName')} has no free worker",
            )
        try:
            return execute(func, event, request_id)
        finally:
            slot.release()

    return execute_function_warm


def workers_per_function() -> int:
    """Return the maximum number of workers of one function: one per core, and at least two.

    docs/laptop-aws.md has the measurement. A function that invokes itself needs two.
    """
    return max(2, os.cpu_count() or 1)
