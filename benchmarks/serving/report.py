"""The figures of a serving benchmark, and the tables that show them."""

import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.serving.subjects import Subject, TimedRun

# By subject's name and clients: one TimedRun per repeat.
Runs = dict[tuple[str, int], list[TimedRun]]

BARE, ONE_LOOK, TRACED, OURS = "bare", "bare_one_look", "bare_traced", "invocations"
# Of the seconds that an answer takes one client.
RATIOS = {
    "invocations_to_bare": (OURS, BARE),
    "invocations_to_bare_traced": (OURS, TRACED),  # traced is what /invocations runs
    "bare_to_bare_one_look": (BARE, ONE_LOOK),  # what the averaging over looks costs
}
# What the project aims at; shown beside what was measured.
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
    """Return medians and quartiles over the repeats, and the ratios, taken within each repeat.

    Args:
        subjects: what was measured.
        runs: how it went.
        containers: the names of those that are servers of SageMaker's containers.
    """
    found: dict[str, Any] = {"subjects": {}, "ratios": {}}
    for subject in subjects:
        found["subjects"][subject.name] = {
            "title": subject.title,
            "clients": {
                str(clients): {
                    "ms": quartiles([run.median_s * 1e3 for run in runs[subject.name, clients]]),
                    "per_s": quartiles([run.per_s for run in runs[subject.name, clients]], 1),
                }
                for clients in subject.clients
            },
        }
    for name, (above, below) in RATIOS.items():
        found["ratios"][name] = quartiles(
            [one.median_s / other.median_s for one, other in zip(runs[above, 1], runs[below, 1], strict=True)]
        )
    if containers:
        most = max(clients for _, clients in runs)
        better = max(containers, key=lambda name: statistics.median(run.per_s for run in runs[name, most]))
        found["better_container_server"] = better
        found["ratios"]["throughput_to_better_container_server"] = quartiles(
            [ours.per_s / theirs.per_s for ours, theirs in zip(runs[OURS, most], runs[better, most], strict=True)]
        )
    return found


def show(report: dict[str, Any], console: Console) -> None:
    """Print a report as tables."""
    table = Table(
        "",
        "clients",
        "ms, median",
        "quartiles",
        "pictures/s",
        "quartiles",
        title=f"Serving: {report['repeats']} repeats in turns, {report['cores']} cores",
    )
    for subject in report["subjects"].values():
        for clients, measured in subject["clients"].items():
            ms, per_s = measured["ms"], measured["per_s"]
            table.add_row(
                *(subject["title"], clients),
                *(f"{ms['median']:.2f}", f"{ms['q1']:.2f} to {ms['q3']:.2f}"),
                *(f"{per_s['median']:.0f}", f"{per_s['q1']:.0f} to {per_s['q3']:.0f}"),
            )
    console.print(table)
    targets = Table("", "median", "spread", "wanted", title="Serving: targets")
    ratios, first = report["ratios"], report["first_answer_s"]
    _add(targets, "/invocations to bare, 1 client", ratios["invocations_to_bare"], f"at most {MOST_TIMES_BARE}")
    _add(targets, "/invocations to bare, traced", ratios["invocations_to_bare_traced"], "")
    _add(targets, "all looks at a picture to one, bare", ratios["bare_to_bare_one_look"], "")
    throughput = ratios.get("throughput_to_better_container_server")
    if throughput is not None:
        title = f"throughput to {report['better_container_server']}, 8 clients"
        _add(targets, title, throughput, f"at least {LEAST_TIMES_CONTAINER}")
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


def _add(table: Table, title: str, values: dict[str, float], wanted: str) -> None:
    table.add_row(title, f"{values['median']:.2f}", f"{values['q1']:.2f} to {values['q3']:.2f}", wanted)
