"""Show a run while it goes on, and what it came to."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from operations.sending.arrivals import AS_IT_IS, Arrival
from operations.sending.figures import (
    ACCEPTED,
    FAILED,
    LEVELS,
    NO_ANSWER,
    NOT_SENT,
    NOT_UPLOADED,
    REVIEW,
    place_of,
)

SECONDS_BETWEEN_LINES = 10.0  # where there is no terminal to draw a bar on
LISTED_AT_MOST = 10


@contextmanager
def progress(console: Console, arrivals: Sequence[Arrival], follows: bool) -> Iterator[Callable[[], None]]:
    """Yield a function that shows how far the run is; `follows` tells whether answers are read."""
    if not console.is_terminal:
        yield _lines(console, arrivals, follows)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}", style="dim"),
        console=console,
    ) as bars:
        sent = bars.add_task("Sent ", total=len(arrivals), words="")
        ended = bars.add_task("Ended", total=len(arrivals), words="", visible=follows)

        def tick() -> None:
            done, over, words = how_far(arrivals)
            bars.update(sent, completed=done)
            bars.update(ended, completed=over, words=words)

        yield tick


def _lines(console: Console, arrivals: Sequence[Arrival], follows: bool) -> Callable[[], None]:
    last = time.monotonic()

    def tick() -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            done, over, words = how_far(arrivals)
            line = f"Sent {done} of {len(arrivals)}"
            if follows:
                line += f", ended {over}{f' ({words})' if words else ''}"
            console.print(line, markup=False)

    return tick


def how_far(arrivals: Sequence[Arrival]) -> tuple[int, int, str]:
    """Return how many uploads and how many pictures are over, and where these are, in words."""
    places = Counter(map(place_of, arrivals))
    over = places[ACCEPTED] + places[REVIEW] + places[FAILED] + places[NOT_UPLOADED]
    words = ", ".join(f"{places[place]} {place}" for place in (ACCEPTED, REVIEW, FAILED, NOT_UPLOADED) if places[place])
    return len(arrivals) - places[NOT_SENT], over, words


def show(console: Console, found: dict[str, Any], arrivals: Sequence[Arrival]) -> None:
    """Print what a run came to: `found` is its figures, and how it was asked for and ended."""
    show_latencies(console, found)
    show_kinds(console, found)
    show_places(console, found)
    show_notes(console, found, arrivals)


def show_places(console: Console, found: dict[str, Any]) -> None:
    """Print the table of where every picture went."""
    followed = found["followed"]
    table = Table(title="Where the pictures went")
    table.add_column("place")
    table.add_column("pictures", justify="right")
    table.add_column("share", justify="right")
    rows = [(f"accepted as {label}", n) for label, n in found["accepted_by_label"].items()]
    rows += [("review", found["review"])] if followed else []
    rows += [(f"failed: {error}", n) for error, n in found["failed_by_error"].items()]
    if followed:
        broken = found["interrupted"] or found["problem"]
        unanswered = f"no answer within {found['load']['wait']:g} s of the last upload"
        rows.append(("no answer yet" if broken else unanswered, found["no_answer"]))
    else:
        rows.append(("uploaded, answer not waited for", found["no_answer"]))
    rows += [(f"upload failed: {error}", n) for error, n in found["upload_failed_by_error"].items()]
    rows += [("not sent", found["not_sent"])] if found["not_sent"] else []
    total = found["pictures"]
    for name, number in rows:
        table.add_row(name, str(number), f"{number / total:.1%}" if total else "-")
    table.add_section()
    table.add_row("all", str(total), "")
    console.print(table)


def show_kinds(console: Console, found: dict[str, Any]) -> None:
    """Print the table by kind, where any picture was odd."""
    if set(found["by_kind"]) <= {AS_IT_IS}:
        return
    table = Table(title="By kind of picture")
    table.add_column("kind")
    headings = ("pictures", ACCEPTED, REVIEW, FAILED, NO_ANSWER, "accuracy of accepted")
    for heading in headings:
        table.add_column(heading, justify="right")
    for kind, facts in found["by_kind"].items():
        counts = [str(facts[name.replace(" ", "_")]) for name in headings[:-1]]
        table.add_row(kind, *counts, _figure(facts["accuracy_accepted"]))
    console.print(table)


def show_latencies(console: Console, found: dict[str, Any]) -> None:
    """Print the table of latencies."""
    table = Table(title="Latency in seconds")
    table.add_column("from, to")
    for heading in ("pictures", *LEVELS):
        table.add_column(heading, justify="right")
    rows = {"upload alone": "upload", "due until its upload began": "late"}
    if found["followed"]:
        rows |= {
            "due until execution's end, accepted": "answer_accepted",
            "due until execution's end, review": "answer_review",
            "due until execution's end, failed": "answer_failed",
            "due until execution's end, all": "answer",
        }
    for title, name in rows.items():
        spread = found["latency_s"][name]
        if spread["count"]:
            figures = [_figure(spread[level]) for level in LEVELS]
            table.add_row(title, str(spread["count"]), *figures)
    console.print(table)


def show_notes(console: Console, found: dict[str, Any], arrivals: Sequence[Arrival]) -> None:
    """Print what the tables leave open, and name the pictures that something is wrong with."""
    notes = []
    if found["accuracy_accepted"] is not None:
        low, high = found["accuracy_accepted_interval_95"]
        notes.append(f"Accuracy among accepted: {found['accuracy_accepted']:.3f} (95 %: {low:.3f} to {high:.3f})")
    placed = found["accepted"] + found["review"] + found["failed"]
    if untimed := placed - found["latency_s"]["answer"]["count"]:
        notes.append(f"{untimed} answered pictures are not among the latencies: no end was listed.")
    if found["clock_offset_s"]:
        notes.append(
            f"AWS's clock is {found['clock_offset_s']:+.1f} s from this machine's; the latencies are corrected for it."
        )
    if found["trouble"]:
        notes.append(f"The last look for answers failed: {found['trouble']}")
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)
    for place in (NO_ANSWER, NOT_UPLOADED):
        if place == NO_ANSWER and not found["followed"]:
            continue
        those = [arrival for arrival in arrivals if place_of(arrival) == place]
        for arrival in those[:LISTED_AT_MOST]:
            why = f": {arrival.upload_error}" if arrival.upload_error else ""
            console.print(f"  {place}: {printable(arrival.key)}{why}", markup=False, soft_wrap=True)
        if len(those) > LISTED_AT_MOST:
            console.print(f"  and {len(those) - LISTED_AT_MOST} more; --out lists all")


def printable(key: str) -> str:
    """Return the key with what is no UTF-8, in a file's name, as \\udc..: a terminal takes none."""
    return key.encode("utf-8", "backslashreplace").decode()


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
