"""Merge the reports of all benchmarks into one, and print them: `python -m benchmarks.summary`."""

import argparse
import importlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from benchmarks.runs import FOLDER
from common.command import run_command
from common.errors import ExpectedError
from common.reports import write_json
from common.waiting import make_console


class Part(NamedTuple):
    """A report: the module whose `show` prints it, the command that makes it, and the member that `show` takes."""

    module: str
    command: str
    member: str | None = None


PARTS = {
    "serving": Part("benchmarks.serving.report", "python -m benchmarks.serving"),
    "training": Part("benchmarks.training", "python -m benchmarks.training"),
    "imports": Part("benchmarks.import_time", "python -m benchmarks.import_time"),
    "neither": Part("benchmarks.neither.__main__", "python -m benchmarks.neither", "models"),
    "adapt": Part("benchmarks.adapt", "python -m benchmarks.adapt", "tasks"),
    "drift": Part("benchmarks.drift", "make bench-drift"),
    "batch": Part("benchmarks.batch", "make bench-batch"),
}


class ReportError(ExpectedError):
    """A benchmark's report is missing or cannot be read; the message names the command to run."""


def main(argv: list[str] | None = None) -> int:
    """Merge the reports, print them, and return the exit status."""
    return run_command("summary", lambda: summarise(FOLDER, parse_arguments(argv).require, make_console()))


def summarise(folder: Path, required: list[str], console: Console) -> None:
    """Write summary.json from the reports in a folder and print them.

    Raises ReportError for a missing report that is required, one that is not JSON, or one of an older version.
    """
    reports, written, missing = {}, {}, []
    for name, part in PARTS.items():
        path = folder / f"{name}.json"
        if path.exists():
            try:
                reports[name] = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ReportError(f"{path} is not JSON ({error}): delete it and run it again") from error
            written[name] = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        elif name in required:
            raise ReportError(f"{path} is missing: run `{part.command}`")
        else:
            missing.append(name)
    if not reports:
        raise ReportError(f"There are no reports in {folder}: run `make bench`")
    summary = folder / "summary.json"
    write_json(summary, {**reports, "written": written, "not_measured": missing})
    for name, report in reports.items():
        console.rule(f"{name}, written {written[name]}", align="left")
        show(name, report, folder, console)
    for name in missing:
        console.print(f"Not measured here: {name} (`{PARTS[name].command}`)", markup=False)
    console.print(f"Figures: {summary}")


def show(name: str, report: Any, folder: Path, console: Console) -> None:
    """Print a report. Raises ReportError for one of an older version."""
    part = PARTS[name]
    module = importlib.import_module(part.module)
    try:
        module.show(report if part.member is None else report[part.member], console)
    except (LookupError, TypeError, AttributeError) as error:
        raise ReportError(
            f"{folder}/{name}.json cannot be shown ({error!r}), as one of an older version: run `{part.command}` again"
        ) from error


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.summary",
        description=f"Merge the reports of all benchmarks into {FOLDER / 'summary.json'} and print them.",
    )
    require_help = f"fail when one of these is missing: {', '.join(PARTS)}"
    parser.add_argument("--require", nargs="+", choices=PARTS, default=[], metavar="NAME", help=require_help)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
