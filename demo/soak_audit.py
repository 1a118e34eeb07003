"""Compare what AWS holds after a soak run with the promises of the workflow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from common.predictions import ACCEPTED, LOW_CONFIDENCE_ERROR, REVIEW, Prediction, PredictionKey, meets_threshold
from common.s3_picture import find_picture
from operations.sending.executions import DescribedExecution

ALL_UPLOADED = "every picture is uploaded"
ALL_ENDED = "every execution ends"


def audit(
    *,
    sent: set[PredictionKey],
    items: Mapping[PredictionKey, Prediction],
    reviews: Sequence[dict[str, Any]],
    notifications: Sequence[dict[str, Any]],
    executions: Sequence[DescribedExecution],
    threshold: float,
) -> dict[str, Any]:
    """Return the figures of a run.

    `sent` are all versions in the bucket's inbox and `items` the predictions table; `reviews` and `notifications` are
    the bodies of the messages in the review queue and the failed-pictures queue. All `executions` have ended.

    A picture's item overrides the failures of its other executions. A picture without an item failed, if an execution
    of it did; `notified` counts those of them with a notification. `duplicated` counts pictures with more than one
    review message, or with one although the table does not say review.
    """
    outcome = {key: prediction.stored_outcome for key, prediction in items.items()}
    accepted = {key for key in sent if outcome.get(key) == ACCEPTED}
    messages = Counter(_picture_of(body) for body in reviews)
    review = {key for key in sent if outcome.get(key) == REVIEW and messages[key]}
    notified = Counter(_subject_of(body) for body in notifications)
    failures = [e for e in executions if e.error not in {"", LOW_CONFIDENCE_ERROR}]
    notified_failures = [e for e in failures if notified[e.arn, e.picture] or notified[e.arn, None]]
    failed = {e.picture for e in failures if e.picture} & sent - set(outcome)
    lost = sent - accepted - review - failed
    answers = [p for p in items.values() if p.stored_outcome == ACCEPTED]
    executed = {e.picture for e in executions}
    return {
        "pictures": len(sent),
        "accepted": len(accepted),
        "review": len(review),
        "failed": len(failed),
        "notified": len({e.picture for e in notified_failures} & failed),
        "lost": len(lost),
        "duplicated": sum(n > 1 or key not in outcome or outcome[key] != REVIEW for key, n in messages.items()),
        "accepted_below_threshold": sum(not meets_threshold(p.confidence, threshold) for p in answers),
        "executions": len(executions),
        "repeated_executions": len(executions) - len(executed),
        "failed_executions": len(failures),
        "notified_executions": len(notified_failures),
        "notified_twice": sum(count > 1 for count in notified.values()),
        "notified_without_failure": len({arn for arn, _ in notified} - {e.arn for e in failures}),
        "failed_by_error": dict(Counter(e.error for e in failures).most_common()),
        "never_uploaded": len({*outcome, *messages, *executed} - sent),
        "lost_pictures": sorted(lost)[:20],
    }


def _picture_of(body: dict[str, Any]) -> PredictionKey | None:
    picture = find_picture(body)
    return PredictionKey.of(picture) if picture else None


def _subject_of(body: dict[str, Any]) -> tuple[str, PredictionKey | None]:
    """Return the execution of a notification, and the picture if the workflow sent it.

    EventBridge sends one for the execution alone, and may repeat an error of Step Functions that the workflow caught.
    """
    if "execution_arn" in body:
        return str(body["execution_arn"]), _picture_of(body)
    return str(body["executionArn"]), None


# By promise: a count, the count that it must equal, and the description of both.
EQUAL = {
    ALL_UPLOADED: ("pictures", "wanted", "pictures are in S3"),
    "every failed picture sends a notification": ("notified", "failed", "failed pictures sent one"),
    "every failed execution sends a notification": ("notified_executions", "failed_executions", "failures sent one"),
    "every repeated event starts an execution": ("repeated_executions", "events_sent_twice", "repeats started one"),
}
# By promise: a count that must be 0, and its description.
ZERO = {
    "no picture is lost": ("lost", "pictures are neither accepted nor in review nor failed"),
    "no picture is queued for review twice": ("duplicated", "pictures have a message too many in the review queue"),
    "no answer below the threshold is accepted": ("accepted_below_threshold", "answers were accepted"),
    "no failure sends two notifications": ("notified_twice", "failures sent more than one"),
    "only failures send notifications": ("notified_without_failure", "executions sent one without having failed"),
    "every outcome belongs to an upload": ("never_uploaded", "pictures were never uploaded"),
}
ALL_OCCUR = "every outcome and every fault occurs"
PROMISES = (*EQUAL, *ZERO, ALL_OCCUR)


def broken_promises(figures: Mapping[str, Any]) -> dict[str, str]:
    """Return how the figures break each promise that they break, by the promise's name."""
    broken = {
        promise: f"{figures[name]} of {figures[expected]} {description}"
        for promise, (name, expected, description) in EQUAL.items()
        if figures[name] != figures[expected]
    }
    broken |= {
        promise: f"{figures[name]} {description}" for promise, (name, description) in ZERO.items() if figures[name]
    }
    cases = {name: figures[name] for name in ("accepted", "review", "failed", "repeated_executions")}
    missing = [name.replace("_", " ") for name, count in (cases | figures["faults"]).items() if not count]
    if missing:
        broken[ALL_OCCUR] = f"none of: {', '.join(missing)}"
    return broken
