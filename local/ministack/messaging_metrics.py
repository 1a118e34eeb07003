"""Metrics of topics and queues, which MiniStack 1.5.33 does not have.

`NumberOfMessagesPublished` of a topic is counted where every message to a topic passes. How many
messages wait in a queue, and how long the oldest has waited, are sampled every few seconds; AWS
samples them once a minute. tests/integration/test_ministack_gaps.py fails when MiniStack closes the
gap.
"""

import functools
import time
from collections.abc import Iterable
from typing import Any

from ministack.services import sns, sqs

from local.ministack import metrics
from local.ministack.ministack_source import check_source

SAMPLE_SECONDS = 5.0


def install() -> None:
    """Change MiniStack's SNS in this process; call once, before the first message.

    Raises:
        MiniStackChangedError: when MiniStack's version has changed.
    """
    fanout = sns._fanout
    check_source(fanout, "984cdd91", "local/ministack/messaging_metrics.py")

    @functools.wraps(fanout)
    def count_and_fanout(topic_arn: str, *arguments: Any, **named: Any) -> Any:
        name = topic_arn.rpartition(":")[2]
        metrics.record("AWS/SNS", "NumberOfMessagesPublished", 1, "Count", dimensions={"TopicName": name})
        return fanout(topic_arn, *arguments, **named)

    sns._fanout = count_and_fanout


def sample_queues() -> None:
    """Record how every queue stands now."""
    now = time.time()
    for url, queue in sqs._queues.items():
        dimensions = {"QueueName": url.rpartition("/")[2]}
        for name, value, unit in queue_points(list(queue["messages"]), now):
            metrics.record("AWS/SQS", name, value, unit, dimensions=dimensions)


def queue_points(messages: Iterable[dict[str, Any]], now: float) -> list[tuple[str, float, str]]:
    """Return name, value and unit of what is measured of a queue.

    Args:
        messages: the queue's, as MiniStack keeps them: `sent_at`, `visible_at` and, for one that a
            queue's redrive policy has moved, `enqueued_at`, in seconds since 1970.
        now: in seconds since 1970.
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
