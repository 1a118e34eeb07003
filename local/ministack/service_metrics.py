"""Metrics of Lambda functions, SNS topics and SQS queues.

MiniStack counts only function calls over HTTP, not those of Step Functions or EventBridge, and counts a throttled call
as an invocation; it has no metrics of topics and queues. AWS samples queues once a minute, the patch every few seconds.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from ministack.services import lambda_svc, sns, sqs

from local.ministack import metrics
from local.ministack.patches import Patches

SAMPLE_SECONDS = 5.0
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


@patches.wrap(sns, "_fanout", "984cdd91")
def _count_messages(fanout: Callable[..., Any]) -> Callable[..., Any]:
    def count_and_fanout(topic_arn: str, *arguments: Any, **named: Any) -> Any:
        name = topic_arn.rpartition(":")[2]
        metrics.record("AWS/SNS", "NumberOfMessagesPublished", 1, "Count", dimensions={"TopicName": name})
        return fanout(topic_arn, *arguments, **named)

    return count_and_fanout


def sample_queues() -> None:
    """Record the metrics of every queue."""
    now = time.time()
    for url, queue in sqs._queues.items():
        dimensions = {"QueueName": url.rpartition("/")[2]}
        for name, value, unit in queue_points(list(queue["messages"]), now):
            metrics.record("AWS/SQS", name, value, unit, dimensions=dimensions)


def queue_points(messages: Iterable[dict[str, Any]], now: float) -> list[tuple[str, float, str]]:
    """Return name, value and unit of each metric of a queue; times are in seconds since 1970.

    A message of MiniStack has `enqueued_at` if a redrive policy moved it.
    """
    waiting = list(messages)
    visible = sum(message["visible_at"] <= now for message in waiting)
    received = sum(message["visible_at"] > now and message["receive_count"] > 0 for message in waiting)
    oldest = min((message.get("enqueued_at", message["sent_at"]) for message in waiting), default=now)
    return [
        ("ApproximateNumberOfMessagesVisible", float(visible), "Count"),
        ("ApproximateNumberOfMessagesNotVisible", float(received), "Count"),
        ("ApproximateAgeOfOldestMessage", float(int(max(0.0, now - oldest))), "Seconds"),
    ]
