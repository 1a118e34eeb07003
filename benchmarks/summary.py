"""All figures in one file: `python -m benchmarks.summary`.

Each benchmark writes a report of its own into reports/bench/ and knows how to show it. This merges
what is there into reports/bench/summary.json, says what is not, and prints every table.
"""

import argparse
import importlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from common import settings
from common.command import run_command
from common.errors import ExpectedError
from common.reports import write_json
from common.waiting import make_console

FOLDER = settings.REPORTS_FOLDER / "bench"
SUMMARY = "summary.json"


class Part(NamedTuple):
    """A report.

    Attributes:
        module: its `show` prints the report, or
        member: this member of it, where one is named.
        command: makes it.
    """

    module: str
    member: str | None
    command: str


PARTS = {
    "serving": Part("benchmarks.serving.report", None, "python -m benchmarks.serving"),
    "training": Part("benchmarks.training", None, "python -m benchmarks.training"),
    "imports": Part("benchmarks.import_time", None, "python -m benchmarks.import_time"),
    "neither": Part("benchmarks.neither.__main__", "models", "python -m benchmarks.neither"),
    "adapt": Part("benchmarks.adapt", "tasks", "python -m benchmarks.adapt"),
    "drift": Part("benchmarks.drift", None, "make bench-drift"),
    "batch": Part("benchmarks.batch", None, "make bench-batch"),
}


class ReportError(ExpectedError):
    """A benchmark's report is missing or cannot be read; the message says what to run."""


def main(argv: list[str] | None = None) -> int:
    """Merge the reports, print them, and return the exit status."""
    return run_command("summary", lambda: summarise(FOLDER, parse_arguments(argv).require, make_console()))


def summarise(folder: Path, required: list[str], console: Console) -> None:
    """Write summary.json from the reports in a folder and print what they say.

    Raises ReportError for a report that is required and not there, that is no JSON, or that has
    another shape than today's.
    """
    found = {name: read_report(folder / f"{name}.json") for name in PARTS}
    reports = {name: report for name, report in found.items() if report is not None}
    missing = [name for name in PARTS if name not in reports]
    for name in required:
        if name in missing:
            raise ReportError(f"{folder}/{name}.json is missing: run `{PARTS[name].command}`")
    if not reports:
        raise ReportError(f"There are no reports in {folder}: run `make bench`")
    written = {name: written_at(folder / f"{name}.json") for name in reports}
    write_json(folder / SUMMARY, {**reports, "written": written, "not_measured": missing})
    for name, report in reports.items():
        console.rule(f"{name}, written {written[name]}", align="left")
        show(name, report, folder, console)
    for name in missing:
        console.print(f"Not measured here: {name} (`{PARTS[name].command}`)", markup=False)
    console.print(f"Figures: {folder / SUMMARY}")


def show(name: str, report: Any, folder: Path, console: Console) -> None:
    """Print a report. Raises ReportError for one of another shape than today's."""
    part = PARTS[name]
    module = importlib.import_module(part.module)
    try:
        module.show(report if part.member is None else report[part.member], console)
    except (LookupError, TypeError, AttributeError) as error:
        raise ReportError(
            f"{folder}/{name}.json cannot be shown ({error!r}), as one of an older version: run `{part.command}` again"
        ) from error


def written_at(path: Path) -> str:
    """Return when a report was written: it may be older than the others."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_report(path: Path) -> dict[str, Any] | None:
    """Return a report, or None where there is none. Raises ReportError for what is no JSON."""
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ReportError(f"{path} is no JSON ({error}): delete it and run it again") from error
    return report


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.summary",
        description=f"Merge the reports of all benchmarks into {FOLDER / SUMMARY} and print them.",
    )
    parser.add_argument(
        "--require",
        nargs="+",
        choices=PARTS,
        default=[],
        metavar="NAME",
        help=f"fail when one of these is missing: {', '.join(PARTS)}",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
