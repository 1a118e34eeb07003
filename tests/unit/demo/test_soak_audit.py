"""The audit of a soak run names each broken promise."""

from typing import Any

import pytest

from common.predictions import LOW_CONFIDENCE_ERROR, Prediction, PredictionKey
from demo.soak_audit import PROMISES, audit, broken_promises
from operations.sending.executions import DescribedExecution

THRESHOLD = 0.9
A, R, F = (PredictionKey(f"s3://b/inbox/{name}.png", version) for name, version in (("a", "1"), ("r", "2"), ("f", "3")))
STRANGER = PredictionKey("s3://b/inbox/x.png", "4")


def item(outcome: str, confidence: float | None = 0.95) -> Prediction:
    return Prediction(A, outcome, label="bicycle", confidence=confidence)


def message(key: PredictionKey, arn: str = "arn:r") -> dict[str, Any]:
    bucket, _, name = key.picture.removeprefix("s3://").partition("/")
    return {"s3_bucket": bucket, "s3_key": name, "s3_version_id": key.version_id, "execution_arn": arn}


EXECUTIONS = [
    DescribedExecution("arn:a", A, ""),
    DescribedExecution("arn:r", R, LOW_CONFIDENCE_ERROR),
    DescribedExecution("arn:f", F, "NotAPictureError"),
]
NOTIFICATION = message(F, "arn:f")
OF_EVENTBRIDGE = {"executionArn": "arn:f", "status": "FAILED"}


def figures(wanted: int = 3, events_sent_twice: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the figures of one picture accepted, one in review and one failed, with changes."""
    given: dict[str, Any] = {
        "sent": {A, R, F},
        "items": {A: item("accepted"), R: item("review", 0.6)},
        "reviews": [message(R)],
        "notifications": [NOTIFICATION],
        "executions": EXECUTIONS,
    }
    counts = {"wanted": wanted, "events_sent_twice": events_sent_twice}
    return audit(**given | changes, threshold=THRESHOLD) | counts


def broken(found: dict[str, Any]) -> dict[str, str]:
    return broken_promises(found | {"faults": {"slow": 3}})


@pytest.mark.parametrize(
    ("changes", "promise"),
    [
        ({"items": {R: item("review", 0.6)}}, "no picture is lost"),
        ({"reviews": []}, "no picture is lost"),
        ({"executions": EXECUTIONS[:2]}, "no picture is lost"),
        ({"notifications": []}, "every failed picture sends a notification"),
        ({"notifications": []}, "every failed execution sends a notification"),
        ({"notifications": [message(A, "arn:f")]}, "every failed execution sends a notification"),
        ({"reviews": [message(R), message(R)]}, "no picture is queued for review twice"),
        ({"reviews": [message(R), message(A)]}, "no picture is queued for review twice"),
        ({"items": {A: item("accepted", 0.89), R: item("review")}}, "no answer below the threshold is accepted"),
        ({"items": {A: item("accepted", None), R: item("review")}}, "no answer below the threshold is accepted"),
        (
            {"items": {A: item("accepted"), R: item("review"), STRANGER: item("accepted", 0.5)}},
            "no answer below the threshold is accepted",
        ),
        ({"notifications": [NOTIFICATION] * 2}, "no failure sends two notifications"),
        ({"notifications": [NOTIFICATION, message(R, "arn:r")]}, "only failures send notifications"),
        ({"sent": {A, R}}, "every outcome belongs to an upload"),
        ({"wanted": 4}, "every picture is uploaded"),
        ({"events_sent_twice": 1}, "every repeated event starts an execution"),
    ],
)
def test_broken_promise_is_named(changes, promise):
    assert promise in broken(figures(**changes))


def test_violation_has_the_figures():
    assert broken(figures(wanted=4))["every picture is uploaded"] == "3 of 4 pictures are in S3"
    lost = broken(figures(reviews=[]))["no picture is lost"]
    assert lost == "1 pictures are neither accepted nor in review nor failed"


KEPT = set(PROMISES) - {"every outcome and every fault occurs"}


@pytest.mark.parametrize("notifications", [[NOTIFICATION], [OF_EVENTBRIDGE], [NOTIFICATION, OF_EVENTBRIDGE]])
def test_run_with_every_picture_in_one_place_keeps_its_promises(notifications):
    found = figures(notifications=notifications)
    assert not KEPT & set(broken(found))
    outcomes = {name: found[name] for name in ("pictures", "accepted", "review", "failed", "lost")}
    assert outcomes == {"pictures": 3, "accepted": 1, "review": 1, "failed": 1, "lost": 0}


def test_picture_that_another_execution_decided_has_not_failed():
    again = DescribedExecution("arn:again", A, "EndpointNotFoundError")
    notifications = [NOTIFICATION, message(A, "arn:again")]
    found = figures(executions=[*EXECUTIONS, again], notifications=notifications, events_sent_twice=1)
    assert (found["accepted"], found["failed"], found["lost"]) == (1, 1, 0)
    assert (found["failed_executions"], found["notified_executions"], found["notified"]) == (2, 2, 1)
    assert found["repeated_executions"] == 1
    assert not KEPT & set(broken(found))


def test_run_without_a_repeat_or_a_fault_proves_nothing_about_them():
    found = figures() | {"faults": {"slow": 3, "gone": 0}}
    assert broken_promises(found) == {"every outcome and every fault occurs": "none of: repeated executions, gone"}
