from typing import Any

from local.ministack.messaging_metrics import queue_points

NOW = 1_000.0


def message(sent: float, visible: float, received: int = 0, **more: float) -> dict[str, Any]:
    return {"sent_at": sent, "visible_at": visible, "receive_count": received} | more


def values(*messages: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value, _ in queue_points(messages, NOW)}


def test_an_empty_queue_has_points_too() -> None:
    assert values() == {
        "ApproximateNumberOfMessagesVisible": 0,
        "ApproximateNumberOfMessagesNotVisible": 0,
        "ApproximateAgeOfOldestMessage": 0,
    }


def test_delayed_waiting_and_received_messages() -> None:
    found = values(message(990, 990), message(980.5, 1_010, 1), message(999, 1_020))
    assert found == {
        "ApproximateNumberOfMessagesVisible": 1,
        "ApproximateNumberOfMessagesNotVisible": 1,
        "ApproximateAgeOfOldestMessage": 19,
    }


def test_a_moved_messages_age_counts_from_the_move() -> None:
    found = values(message(100, 990, enqueued_at=995))
    assert found["ApproximateAgeOfOldestMessage"] == 5
