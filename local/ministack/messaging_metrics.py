"""Metrics of SNS topics and SQS queues, which MiniStack does not have.

The queues are sampled every few seconds; AWS samples them once a minute.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from ministack.services import sns, sqs

from local.ministack import metrics
from local.ministack.patches import Patches

SAMPLE_SECONDS = 5.0
patches = Patches(__name__)


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
