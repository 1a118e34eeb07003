"""Figures of a run: functions of its arrivals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.metrics import quantile, share, wilson_interval
from common.predictions import ACCEPTED, FAILED, REVIEW
from operations.sending.arrivals import AS_IT_IS, Arrival
from operations.sending.odd_pictures import KINDS

LEVELS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1.0}
NOT_SENT = "not sent"
NOT_UPLOADED = "upload failed"
NO_ANSWER = "no answer"
OUTCOMES = (ACCEPTED, REVIEW, FAILED, NO_ANSWER, NOT_UPLOADED, NOT_SENT)


def outcome_of(arrival: Arrival) -> str:
    """Return the one of OUTCOMES that the picture has."""
    if arrival.outcome:
        return arrival.outcome
    if arrival.version_id is not None:
        return NO_ANSWER
    return NOT_UPLOADED if arrival.upload_error else NOT_SENT


def answer_s(arrival: Arrival, began: float, offset_s: float) -> float | None:
    """Return the seconds from when the picture was due to the end of its execution, None while that is unknown.

    `began` is when the run began, in seconds since 1970, and `offset_s` AWS's clock minus this machine's. Counted from
    when the picture was due, not from when its upload began, so that the latency includes what delays the sender.
    """
    return None if arrival.stopped is None else arrival.stopped - offset_s - (began + arrival.at)


def figures(arrivals: Sequence[Arrival], began: float, offset_s: float) -> dict[str, Any]:
    """Return counts, latencies in seconds, and shares in [0, 1] of a run."""
    answered = {
        name: [answer_s(a, began, offset_s) for a in arrivals if a.outcome == name]
        for name in (ACCEPTED, REVIEW, FAILED)
    }
    return {
        "pictures": len(arrivals),
        **count(arrivals),
        "accepted_by_label": _counts(a.label for a in arrivals if a.outcome == ACCEPTED),
        "failed_by_error": _counts(a.error for a in arrivals if a.outcome == FAILED),
        "upload_failed_by_error": _counts(a.upload_error.partition(":")[0] for a in arrivals if a.upload_error),
        **accuracy(arrivals),
        "by_kind": {
            kind: {"pictures": len(members), **count(members), **accuracy(members)}
            for kind in (AS_IT_IS, *KINDS)
            if (members := [arrival for arrival in arrivals if arrival.kind == kind])
        },
        "latency_s": {
            "upload": spread(a.upload_s for a in arrivals),
            "late": spread(a.late_s for a in arrivals),
            "answer": spread(s for seconds in answered.values() for s in seconds),
            **{f"answer_{name}": spread(seconds) for name, seconds in answered.items()},
        },
        "clock_offset_s": round(offset_s, 3),
    }


def count(arrivals: Iterable[Arrival]) -> dict[str, int]:
    """Return how many pictures have each of OUTCOMES."""
    counts = Counter(map(outcome_of, arrivals))
    return {outcome.replace(" ", "_"): counts[outcome] for outcome in OUTCOMES}


def accuracy(arrivals: Iterable[Arrival]) -> dict[str, Any]:
    """Return the share of correct labels among accepted pictures of known class."""
    known = [a for a in arrivals if a.outcome == ACCEPTED and a.truth is not None]
    right = sum(a.label == a.truth for a in known)
    return {
        "accuracy_accepted": share(right, len(known)),
        "accuracy_accepted_interval_95": wilson_interval(right, len(known)) if known else None,
    }


def spread(values: Iterable[float | None]) -> dict[str, float | int | None]:
    """Return percentiles and count of the values that are not None."""
    known = [value for value in values if value is not None]
    levels = {name: quantile(known, level) for name, level in LEVELS.items()}
    return {name: None if v is None else round(v, 4) for name, v in levels.items()} | {"count": len(known)}


def picture_facts(arrival: Arrival, began: float, offset_s: float) -> dict[str, Any]:
    """Return the facts of one picture, without its bytes."""
    facts = asdict(arrival)
    body = facts.pop("body")
    facts["file"] = str(body) if isinstance(body, Path) else None
    answer = answer_s(arrival, began, offset_s)
    return facts | {"outcome": outcome_of(arrival), "answer_s": None if answer is None else round(answer, 4)}


def _counts(names: Iterable[str | None]) -> dict[str, int]:
    """Count names, the most frequent first."""
    return dict(Counter(str(name) for name in names).most_common())
