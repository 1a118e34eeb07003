"""The soak's audit finds each way in which a picture can go wrong."""

from typing import Any

import pytest

from demo.soak import untried
from demo.soak_audit import Evidence, Execution, Version, audit, problems
from operations.sending.executions import LOW_CONFIDENCE

THRESHOLD = 0.9
A, R, F = Version("inbox/a.png", "1"), Version("inbox/r.png", "2"), Version("inbox/f.png", "3")


def item(outcome: str, confidence: float = 0.95) -> dict[str, Any]:
    return {"outcome": {"S": outcome}, "confidence": {"N": str(confidence)}}


def message(version: Version, arn: str = "arn:r") -> dict[str, Any]:
    return {"s3_key": version.key, "s3_version_id": version.version_id, "execution_arn": arn}


def evidence(**changes: Any) -> Evidence:
    """One picture accepted, one in review, one failed and told of."""
    given: dict[str, Any] = {
        "sent": [A, R, F],
        "items": {A: item("accepted"), R: item("review", 0.6)},
        "reviews": [message(R)],
        "told": [message(F, "arn:f")],
        "executions": [
            Execution("arn:a", A, ""),
            Execution("arn:r", R, LOW_CONFIDENCE),
            Execution("arn:f", F, "NotAPictureError"),
        ],
        "wanted": 3,
        "events_sent_twice": 0,
    }
    return Evidence(**given | changes)


def evidence_without_failure() -> list[Execution]:
    return [execution for execution in evidence().executions if execution.picture != F]


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        ({"items": {R: item("review", 0.6)}}, "lost", "1 pictures are nowhere"),
        ({"reviews": []}, "lost", "1 pictures are nowhere"),
        ({"told": []}, "failed", "1 pictures failed, and somebody was told of 0"),
        ({"executions": evidence_without_failure()}, "lost", "1 pictures are nowhere"),
        ({"reviews": [message(R), message(R)]}, "duplicated", "twice"),
        ({"reviews": [message(R), message(A)]}, "duplicated", "there and accepted"),
        (
            {"items": {A: item("accepted", 0.89), R: item("review")}},
            "accepted_below_threshold",
            "accepted below the threshold",
        ),
        ({"told": [message(F, "arn:f")] * 2}, "notified_twice", "told twice"),
        (
            {"told": [message(F, "arn:f"), message(R, "arn:r")]},
            "notified_without_failure",
            "told that were none",
        ),
        ({"told": [message(A, "arn:f")]}, "failed", "1 executions failed, and told of were 0"),
        ({"sent": [A, R]}, "never_uploaded", "never uploaded"),
    ],
)
def test_what_went_wrong_is_counted_and_named(changes, name, says):
    figures = audit(evidence(**changes), THRESHOLD)
    assert figures[name] == 1
    assert any(says in problem for problem in problems(figures))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"wanted": 4}, "4 pictures were to be uploaded, and S3 has 3"),
        ({"events_sent_twice": 1}, "1 events came twice, and executions repeated 0"),
    ],
)
def test_a_run_that_was_not_as_asked_is_no_proof(changes, says):
    assert says in problems(audit(evidence(**changes), THRESHOLD))


def test_an_answer_below_the_threshold_counts_whatever_its_picture():
    stranger = Version("inbox/x.png", "4")
    items = {**evidence().items, stranger: item("accepted", 0.5)}
    assert audit(evidence(items=items), THRESHOLD)["accepted_below_threshold"] == 1


def test_every_picture_in_one_place_is_no_problem():
    figures = audit(evidence(), THRESHOLD)
    assert problems(figures) == []
    assert {n: figures[n] for n in ("pictures", "accepted", "review", "failed", "lost")} == {
        "pictures": 3,
        "accepted": 1,
        "review": 1,
        "failed": 1,
        "lost": 0,
    }


def test_a_picture_that_another_execution_decided_has_not_failed():
    again = Execution("arn:again", A, "EndpointNotFoundError")
    both = evidence(
        executions=[*evidence().executions, again],
        told=[*evidence().told, message(A, "arn:again")],
        events_sent_twice=1,
    )
    figures = audit(both, THRESHOLD)
    assert (figures["accepted"], figures["failed"], figures["lost"]) == (1, 1, 0)
    assert (figures["failed_executions"], figures["notified_executions"]) == (2, 2)
    assert figures["notified"] == 1
    assert figures["repeated_executions"] == 1
    assert problems(figures) == []


def test_what_eventbridge_told_counts_as_told():
    figures = audit(evidence(told=[{"executionArn": "arn:f", "status": "FAILED"}]), THRESHOLD)
    assert problems(figures) == []


def test_a_run_that_shows_nothing_is_no_proof():
    figures = audit(evidence(), THRESHOLD) | {"faults": {"slow": 3, "gone": 0}}
    assert untried(figures) == [
        "repeated executions: none, so nothing is shown of them",
        "gone: none, so nothing is shown of them",
    ]


def test_what_the_workflow_and_eventbridge_both_told_is_no_problem():
    told = [message(F, "arn:f"), {"executionArn": "arn:f", "status": "FAILED"}]
    assert problems(audit(evidence(told=told), THRESHOLD)) == []
