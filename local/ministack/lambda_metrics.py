"""Lambda's own metrics for every call of a function, whoever makes it.

MiniStack 1.5.33 counts invocations and errors only for calls that come in over HTTP, not for those
of Step Functions or EventBridge, and counts a throttled call as an invocation. Here every call is
counted where all of them pass, as on AWS: `Invocations`, `Errors` and `Duration` of a call that
ran, `Throttles` of one that did not. tests/integration/test_ministack_gaps.py fails when MiniStack
closes the gap.
"""

import time
from typing import Any

from ministack.services import lambda_svc

from local.ministack import metrics
from local.ministack.ministack_source import check_source

_NAMESPACE = "AWS/Lambda"


def install() -> None:
    """Change MiniStack's Lambda in this process; call once, before the first call of a function.

    Raises:
        MiniStackChangedError: when MiniStack's version has changed.
    """
    dispatch = lambda_svc._execute_function_dispatch
    check_source(lambda_svc._execute_function, "3ceb16d6", "local/ministack/lambda_metrics.py")
    check_source(dispatch, "f62cd259", "local/ministack/lambda_metrics.py")
    check_source(lambda_svc._emit_lambda_metrics, "3b6689d7", "local/ministack/lambda_metrics.py")

    def execute_function_dispatch(
        func: dict[str, Any], config: dict[str, Any], event: Any, request_id: str, started: float
    ) -> Any:
        result = dispatch(func, config, event, request_id, started)
        _count(config.get("FunctionName", "unknown"), result, time.time() - started)
        return result

    def emit_lambda_metrics(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
        """Count what never reaches the dispatch: a call over the concurrency limit.

        The HTTP front reports the same call again, with the time that it took.
        """
        del error
        if throttle and not duration_ms:
            _count(function_name, {"throttle": True}, 0.0)

    lambda_svc._execute_function_dispatch = execute_function_dispatch
    lambda_svc._emit_lambda_metrics = emit_lambda_metrics


def _count(function_name: str, result: dict[str, Any], seconds: float) -> None:
    throttled = bool(result.get("throttle"))
    points = [("Throttles", float(throttled), "Count")]
    if not throttled:
        points += [
            ("Invocations", 1.0, "Count"),
            ("Errors", float(bool(result.get("error"))), "Count"),
            ("Duration", seconds * 1000, "Milliseconds"),
        ]
    for name, value, unit in points:
        metrics.record(_NAMESPACE, name, value, unit, dimensions={"FunctionName": function_name})
