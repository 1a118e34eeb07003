"""Lambda's own metrics for every invocation of a function.

MiniStack counts only calls over HTTP, not those of Step Functions or EventBridge, and counts a throttled call as an
invocation. The patch counts every call at the one function that all of them pass.
"""

import time
from collections.abc import Callable
from typing import Any

from ministack.services import lambda_svc

from local.ministack import metrics
from local.ministack.patches import Patches

patches = Patches(__name__)
patches.rely_on(lambda_svc, "_execute_function", "3ceb16d6")


@patches.wrap(lambda_svc, "_execute_function_dispatch", "f62cd259")
def _count_calls(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    def execute_function_dispatch(
        func: dict[str, Any], config: dict[str, Any], event: Any, request_id: str, started: float
    ) -> Any:
        result = dispatch(func, config, event, request_id, started)
        _record(config.get("FunctionName", "unknown"), result, time.time() - started)
        return result

    return execute_function_dispatch


@patches.replace(lambda_svc, "_emit_lambda_metrics", "3b6689d7")
def _count_throttled_call(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
    """Count a call over the concurrency limit, which never reaches the dispatch.

    The HTTP front reports the same call a second time, with a duration.
    """
    del error
    if throttle and not duration_ms:
        _record(function_name, {"throttle": True}, 0.0)


def _record(function_name: str, result: dict[str, Any], seconds: float) -> None:
    throttled = bool(result.get("throttle"))
    points = [("Throttles", float(throttled), "Count")]
    if not throttled:
        points += [
            ("Invocations", 1.0, "Count"),
            ("Errors", float(bool(result.get("error"))), "Count"),
            ("Duration", seconds * 1000, "Milliseconds"),
        ]
    for name, value, unit in points:
        metrics.record("AWS/Lambda", name, value, unit, dimensions={"FunctionName": function_name})
