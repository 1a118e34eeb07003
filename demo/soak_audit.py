"""Where every picture of a soak run is, by what AWS holds, and what is wrong with it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from operations.sending.executions import LOW_CONFIDENCE


class Version(NamedTuple):
    """One version of one object: what a person calls a picture."""

    key: str
    version_id: str


class Execution(NamedTuple):
    """An execution that has ended; `error` is empty for one that succeeded."""

    arn: str
    picture: Version
    error: str


@dataclass
class Evidence:
    """What was sent, and what AWS holds after the run.

    Attributes:
        sent: every version that S3 has in the inbox.
        items: the predictions table, an item of DynamoDB's for each version.
        reviews: the bodies of the review queue's messages.
        told: the bodies of the failed-pictures queue's messages.
        executions: those of the workflow, all ended.
        wanted: how many pictures were to be sent.
        events_sent_twice: how many upload events came a second time.
    """

    sent: Sequence[Version]
    items: Mapping[Version, dict[str, Any]]
    reviews: Sequence[dict[str, Any]]
    told: Sequence[dict[str, Any]]
    executions: Sequence[Execution]
    wanted: int
    events_sent_twice: int


def audit(evidence: Evidence, threshold: float) -> dict[str, Any]:
    """Return the figures of a run; `threshold` is a probability.

    A picture's item in the table says where it ended: what another execution of the same picture
    came to does not count. A picture without an item failed, if an execution of it did; `notified`
    says of how many of these somebody was told.
    `duplicated` counts pictures with more than one review message, or with one although the table
    does not say review.
    """
    sent = set(evidence.sent)
    outcome = {version: item["outcome"]["S"] for version, item in evidence.items.items()}
    accepted = {v for v in sent if outcome.get(v) == "accepted"}
    messages = Counter(picture_of(body) for body in evidence.reviews)
    review = {v for v in sent if outcome.get(v) == "review" and messages[v]}
    told = Counter(told_by(body) for body in evidence.told)
    failures = [e for e in evidence.executions if e.error not in {"", LOW_CONFIDENCE}]
    told_of = [e for e in failures if told[e.arn, e.picture] or told[e.arn, None]]
    failed = {e.picture for e in failures} & sent - set(outcome)
    notified = {e.picture for e in told_of} & failed
    low = [
        item
        for item in evidence.items.values()
        if item["outcome"]["S"] == "accepted" and float(item["confidence"]["N"]) < threshold
    ]
    seen = {*outcome, *messages, *(e.picture for e in evidence.executions)}
    return {
        "wanted": evidence.wanted,
        "pictures": len(sent),
        "accepted": len(accepted),
        "review": len(review),
        "failed": len(failed),
        "notified": len(notified),
        "lost": len(sent - accepted - review - failed),
        "duplicated": sum(n > 1 or outcome.get(v) != "review" for v, n in messages.items()),
        "accepted_below_threshold": len(low),
        "executions": len(evidence.executions),
        "repeated_executions": repeated(evidence.executions),
        "events_sent_twice": evidence.events_sent_twice,
        "failed_executions": len(failures),
        "notified_executions": len(told_of),
        "notified_twice": sum(count > 1 for count in told.values()),
        "notified_without_failure": len({arn for arn, _ in told} - {e.arn for e in failures}),
        "failed_by_error": dict(Counter(e.error for e in failures).most_common()),
        "never_uploaded": len(seen - sent),
        "lost_pictures": sorted(sent - accepted - review - failed)[:20],
    }


def problems(figures: Mapping[str, Any]) -> list[str]:
    """Return, in words, what must not be so."""
    found = [
        f"{figures[name]} {words}"
        for name, words in (
            ("lost", "pictures are nowhere"),
            ("duplicated", "pictures are in the review queue twice, or there and accepted"),
            ("accepted_below_threshold", "answers were accepted below the threshold"),
            ("notified_twice", "failures were told twice"),
            ("notified_without_failure", "failures were told that were none"),
            ("never_uploaded", "pictures are somewhere that were never uploaded"),
        )
        if figures[name]
    ]
    for expected, got, words in (
        ("wanted", "pictures", "pictures were to be uploaded, and S3 has"),
        ("failed", "notified", "pictures failed, and somebody was told of"),
        ("failed_executions", "notified_executions", "executions failed, and told of were"),
        ("events_sent_twice", "repeated_executions", "events came twice, and executions repeated"),
    ):
        if figures[expected] != figures[got]:
            found.append(f"{figures[expected]} {words} {figures[got]}")
    return found


def repeated(executions: Iterable[Execution]) -> int:
    """Return how many executions had a picture that an earlier one had as well."""
    counts = Counter(execution.picture for execution in executions)
    return sum(count - 1 for count in counts.values())


def picture_of(body: Mapping[str, Any]) -> Version:
    """Return the picture that a message of the workflow is about."""
    return Version(str(body.get("s3_key")), str(body.get("s3_version_id") or "null"))


def told_by(body: Mapping[str, Any]) -> tuple[str, Version | None]:
    """Return which execution a failure message is about, and the picture if the workflow told.

    EventBridge, which tells of an execution alone, may tell again of an error of Step Functions'
    own that the workflow did catch and tell of.
    """
    if "execution_arn" in body:
        return str(body["execution_arn"]), picture_of(body)
    return str(body["executionArn"]), None
