"""Print the main figures of a monitoring report."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.tables import decimal, figures_table


def show(console: Console, figures: Mapping[str, Any]) -> None:
    """Print the main figures of monitor.json, or that no call is captured."""
    if figures["lines"] == figures["outside"]:
        console.print(_no_call(figures), markup=False, soft_wrap=True)
        return
    if figures["predictions"]:
        console.print(f"{figures['captures']}, {figures['first']} to {figures['last']}", markup=False, soft_wrap=True)
        console.print(class_table(figures))
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in figures["damaged_reasons"].items())
    rows = {
        "Lines": f"{figures['lines']:,} in {figures['files']:,} files = {figures['predictions']:,} predictions"
        f" + {figures['damaged']:,} damaged + {figures['refused']:,} refused + {figures['outside']:,} of other times",
        "Damaged": reasons or "none",
        "Confidence": f"{decimal(figures['mean_confidence'])} mean, {decimal(figures['median_confidence'])} median",
        "Coverage": f"{decimal(figures['coverage'])} at threshold {figures['threshold']:g}"
        f" ({figures['threshold_source']})",
        "Drift": " ".join([figures["drift"]["verdict"], *figures["drift"]["notes"]]),
    }
    for name, text in rows.items():
        console.print(f"{name:11} {text}", markup=False, soft_wrap=True)


def _no_call(figures: Mapping[str, Any]) -> str:
    if not figures["lines"] and not figures["files_left_out"]:
        return f"Nothing has been captured at {figures['captures']} yet: captures arrive some minutes after the calls."
    return (
        f"No call in the requested period has been captured at {figures['captures']} (calls of other times:"
        f" {figures['outside']:,}; files of other hours, not read: {figures['files_left_out']:,})."
    )


def class_table(figures: Mapping[str, Any]) -> Table:
    """Return the figures of each predicted class as a table."""
    table = figures_table("predicted class", "predictions", "share", "accepted", "mean confidence")
    for name, facts in figures["class_figures"].items():
        table.add_row(
            Text(name),  # not markup, which "[old]" would be
            f"{facts['predictions']:,}",
            f"{facts['share']:.3f}",
            f"{facts['accepted']:,}",
            decimal(facts["mean_confidence"]),
        )
    return table
