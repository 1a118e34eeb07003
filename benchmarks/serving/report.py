"""The figures of a serving benchmark, and the tables that show them."""

import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.serving.subjects import Subject, TimedRun

# By subject's name and clients: one TimedRun per repeat.
Runs = dict[tuple[str, int], list[TimedRun]]

OURS = "invocations"
# Of the seconds of an answer, with one client.
RATIOS = {
    "invocations_to_bare": (OURS, "bare"),
    "invocations_to_bare_traced": (OURS, "bare_traced"),  # /invocations runs the traced network
    "bare_to_bare_one_look": ("bare", "bare_one_look"),  # the cost of test-time augmentation
}
THROUGHPUT = "throughput_to_better_container_server"
# The project's targets, shown beside the measurements.
MOST_TIMES_BARE = 1.5
LEAST_TIMES_CONTAINER = 2.0
MOST_SECONDS_TO_FIRST_ANSWER = 10.0


def quartiles(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Return the quartiles of at least one value; of fewer than three, their extremes."""
    low, high = min(values), max(values)
    if len(values) > 2:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    named = {"q1": low, "median": statistics.median(values), "q3": high}
    return {name: round(value, digits) for name, value in named.items()}


def figures(subjects: Sequence[Subject], runs: Runs, containers: Sequence[str]) -> dict[str, Any]:
    """Return medians and quartiles over the repeats, and the ratios within each repeat.

    `containers` are the names of the subjects that are servers of SageMaker's containers.
    """
    found: dict[str, Any] = {
        "subjects": {
            subject.name: {
                "title": subject.title,
                "clients": {
                    str(clients): {
                        "ms": quartiles([run.median_s * 1e3 for run in runs[subject.name, clients]]),
                        "per_s": quartiles([run.per_s for run in runs[subject.name, clients]], 1),
                    }
                    for clients in subject.clients
                },
            }
            for subject in subjects
        },
        "ratios": {
            name: quartiles([a.median_s / b.median_s for a, b in zip(runs[above, 1], runs[below, 1], strict=True)])
            for name, (above, below) in RATIOS.items()
        },
    }
    if containers:
        most = max(clients for _, clients in runs)
        better = max(containers, key=lambda name: statistics.median(run.per_s for run in runs[name, most]))
        found["better_container_server"] = better
        pairs = zip(runs[OURS, most], runs[better, most], strict=True)
        found["ratios"][THROUGHPUT] = quartiles([ours.per_s / theirs.per_s for ours, theirs in pairs])
    return found


def show(report: dict[str, Any], console: Console) -> None:
    """Print a report as tables."""
    title = f"Serving: {report['repeats']} repeats in turns, {report['cores']} cores"
    table = Table("", "clients", "ms, median", "quartiles", "pictures/s", "quartiles", title=title)
    for subject in report["subjects"].values():
        for clients, measured in subject["clients"].items():
            table.add_row(subject["title"], clients, *_cells(measured["ms"], 2), *_cells(measured["per_s"], 0))
    console.print(table)
    targets = Table("", "median", "spread", "target", title="Serving: targets")
    rows = {
        "invocations_to_bare": ("/invocations to bare, 1 client", f"at most {MOST_TIMES_BARE}"),
        "invocations_to_bare_traced": ("/invocations to bare, traced", ""),
        "bare_to_bare_one_look": ("all views of a picture to one, bare", ""),
        THROUGHPUT: (
            f"throughput to {report.get('better_container_server')}, 8 clients",
            f"at least {LEAST_TIMES_CONTAINER}",
        ),
    }
    for name, ratio in report["ratios"].items():
        title, target = rows[name]
        targets.add_row(title, *_cells(ratio, 2), target)
    first = report["first_answer_s"]
    targets.add_row(
        "seconds to an endpoint's first answer",
        f"{first['median']}",
        f"{first['min']} to {first['max']}",
        f"at most {MOST_SECONDS_TO_FIRST_ANSWER:.0f}",
    )
    console.print(targets)
    for name, reason in report["not_measured"].items():
        console.print(f"{name} was not measured: {reason}", markup=False)
    console.print(
        f"{report['machine']}, {report['cores']} cores used, {report['pictures']} pictures"
        f" of {report['data']}, input {report['input_size']}, weights {report['weights_bytes']:,}"
        " bytes",
        markup=False,
    )


def _cells(values: dict[str, float], digits: int) -> tuple[str, str]:
    return f"{values['median']:.{digits}f}", f"{values['q1']:.{digits}f} to {values['q3']:.{digits}f}"
