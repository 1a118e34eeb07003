"""The figures of a run, and how they are shown."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from common.metrics import quantile, share, wilson_interval
from common.predictions import ACCEPTED, FAILED, REVIEW
from common.tables import decimal, figures_table, print_first
from operations.sending.arrivals import AS_IT_IS, Arrival
from operations.sending.odd_pictures import KINDS

LEVELS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1.0}
NOT_SENT = "not sent"
NOT_UPLOADED = "upload failed"
NO_ANSWER = "no answer"
SECONDS_BETWEEN_LINES = 10.0  # of progress, without a terminal
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


@contextmanager
def progress(console: Console, arrivals: Sequence[Arrival], follows: bool) -> Iterator[Callable[[], None]]:
    """Yield a function that shows the run's progress; `follows` says whether outcomes are tracked."""
    last = time.monotonic()
    with console.status("Sending") if console.is_terminal else nullcontext() as status:

        def tick() -> None:
            nonlocal last
            if status is None and time.monotonic() - last < SECONDS_BETWEEN_LINES:
                return
            last = time.monotonic()
            uploads, ended, outcomes = count_ended(arrivals)
            line = f"Sent {uploads} of {len(arrivals)}"
            if follows:
                line += f", ended {ended}{f' ({outcomes})' if outcomes else ''}"
            if status is None:
                console.print(line, markup=False)
            else:
                status.update(line)

        yield tick


def count_ended(arrivals: Sequence[Arrival]) -> tuple[int, int, str]:
    """Return how many uploads and how many pictures have ended, and the latter by outcome as text."""
    counts = Counter(map(outcome_of, arrivals))
    final = {name: counts[name] for name in (ACCEPTED, REVIEW, FAILED, NOT_UPLOADED) if counts[name]}
    by_outcome = ", ".join(f"{count} {name}" for name, count in final.items())
    return len(arrivals) - counts[NOT_SENT], sum(final.values()), by_outcome


def show(console: Console, report: dict[str, Any], arrivals: Sequence[Arrival]) -> None:
    """Print the result of a run: `report` has its figures and its load, and says how it ended."""
    console.print(_latency_table(report))
    if not set(report["by_kind"]) <= {AS_IT_IS}:
        console.print(_kind_table(report))
    console.print(_outcome_table(report))
    _show_notes(console, report, arrivals)


def _outcome_table(report: dict[str, Any]) -> Table:
    rows = [(f"accepted as {label}", n) for label, n in report["accepted_by_label"].items()]
    rows += [("review", report["review"])] if report["followed"] else []
    rows += [(f"failed: {error}", n) for error, n in report["failed_by_error"].items()]
    if not report["followed"]:
        no_answer = "uploaded, answer not waited for"
    elif report["interrupted"] or report["problem"]:
        no_answer = "no answer yet"
    else:
        no_answer = f"no answer within {report['load']['wait']:g} s of the last upload"
    rows.append((no_answer, report["no_answer"]))
    rows += [(f"upload failed: {error}", n) for error, n in report["upload_failed_by_error"].items()]
    rows += [("not sent", report["not_sent"])] if report["not_sent"] else []
    table = figures_table("outcome", "pictures", "share", title="Outcomes")
    total = report["pictures"]
    for name, number in rows:
        table.add_row(name, str(number), f"{number / total:.1%}" if total else "-")
    table.add_section()
    table.add_row("all", str(total), "")
    return table


def _kind_table(report: dict[str, Any]) -> Table:
    counts = ("pictures", ACCEPTED, REVIEW, FAILED, NO_ANSWER)
    table = figures_table("kind", *counts, "accuracy of accepted", title="By kind of picture")
    for kind, facts in report["by_kind"].items():
        cells = [str(facts[name.replace(" ", "_")]) for name in counts]
        table.add_row(kind, *cells, decimal(facts["accuracy_accepted"]))
    return table


def _latency_table(report: dict[str, Any]) -> Table:
    rows = {"upload": "upload alone", "late": "due until its upload began"}
    if report["followed"]:
        rows |= {f"answer_{name}": f"due until execution's end, {name}" for name in (ACCEPTED, REVIEW, FAILED)}
        rows["answer"] = "due until execution's end, all"
    table = figures_table("from, to", "pictures", *LEVELS, title="Latency in seconds")
    for name, title in rows.items():
        spread = report["latency_s"][name]
        if spread["count"]:
            table.add_row(title, str(spread["count"]), *(decimal(spread[level]) for level in LEVELS))
    return table


def _show_notes(console: Console, report: dict[str, Any], arrivals: Sequence[Arrival]) -> None:
    """Print what qualifies the tables, and name the pictures without an answer or an upload."""
    notes = []
    if report["accuracy_accepted"] is not None:
        low, high = report["accuracy_accepted_interval_95"]
        notes.append(f"Accuracy among accepted: {report['accuracy_accepted']:.3f} (95 %: {low:.3f} to {high:.3f})")
    decided = report["accepted"] + report["review"] + report["failed"]
    if untimed := decided - report["latency_s"]["answer"]["count"]:
        notes.append(f"The latencies lack {untimed} decided pictures, whose execution's end was not listed.")
    if report["clock_offset_s"]:
        offset = f"{report['clock_offset_s']:+.1f} s"
        notes.append(f"AWS's clock is {offset} from this machine's; the latencies are corrected for it.")
    if report["tracking_error"]:
        notes.append(f"The last poll for outcomes failed: {report['tracking_error']}")
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)
    for outcome in (NO_ANSWER, NOT_UPLOADED) if report["followed"] else (NOT_UPLOADED,):
        lines = []
        for arrival in [arrival for arrival in arrivals if outcome_of(arrival) == outcome]:
            # A file name that is not UTF-8 has surrogates, which a terminal does not print.
            key = arrival.key.encode("utf-8", "backslashreplace").decode()
            lines.append(f"{outcome}: {key}" + (f": {arrival.upload_error}" if arrival.upload_error else ""))
        print_first(console, lines, "; --out lists all")
