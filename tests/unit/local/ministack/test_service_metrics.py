from typing import Any

import pytest

from local.ministack.service_metrics import queue_points

NOW = 1_000.0


def message(sent: float, visible: float, received: int = 0, **more: float) -> dict[str, Any]:
    return {"sent_at": sent, "visible_at": visible, "receive_count": received} | more


@pytest.mark.parametrize(
    ("messages", "visible", "received", "age"),
    [
        ([], 0, 0, 0),
        ([message(990, 990), message(980.5, 1_010, 1), message(999, 1_020)], 1, 1, 19),
        ([message(100, 990, enqueued_at=995)], 1, 0, 5),
    ],
    ids=["empty queue", "waiting, received and delayed", "moved by a redrive policy"],
)
def test_queue_points_count_messages_and_age(messages, visible, received, age):
    assert {name: value for name, value, _ in queue_points(messages, NOW)} == {
        "ApproximateNumberOfMessagesVisible": visible,
        "ApproximateNumberOfMessagesNotVisible": received,
        "ApproximateAgeOfOldestMessage": age,
    }
