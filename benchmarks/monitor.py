"""Measure time and memory of the monitoring report: `python -m benchmarks.monitor`.

Writes captures of drawn pictures as SageMaker does: a file for each hour of 1,000 calls, and files of one call each, as
of an endpoint with few calls. Runs `python -m operations.monitor` over each, several times.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.classifier import png
from benchmarks.runs import FOLDER, WORK, BenchmarkError, machine, spread
from common.arguments import positive_integer
from common.command import run_command
from common.progress import progress_bar
from common.reports import write_json
from common.tables import figures_table
from common.waiting import make_console
from local.sagemaker.data_capture import CapturedInvocation, capture_line
from training.sources.synthetic import draw_picture

CLASSES = ("bicycle", "motorcycle")
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
LINES_PER_FILE = 1_000
CAPTURE = {  # as training/endpoint/endpoint.py configures it
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
}
INTERVAL = timedelta(hours=1) / LINES_PER_FILE  # between calls
DRAWN = 400  # different pictures; drawing one takes as long as reading ten
POLL_S = 0.1  # between measurements of the memory
PROMISED = {"seconds": 60.0, "bytes": 1e9}  # on two cores


def main(argv: list[str] | None = None) -> int:
    """Measure; print a table and write the report."""
    return run_command("monitor", lambda: run(parse_arguments(argv), make_console()), "no report was written")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.monitor",
        description="Write captured calls of drawn pictures, and measure how long the monitoring report takes and the"
        " memory of all its processes.",
    )
    add = parser.add_argument
    add("--lines", type=positive_integer, default=100_000, help="(default: %(default)s)")
    single_help = "in files of one line each (default: %(default)s)"
    add("--single-lines", type=positive_integer, default=10_000, help=single_help)
    add("--side", type=positive_integer, default=32, help="of a picture, pixels (default: 32)")
    add("--runs", type=positive_integer, default=3, help="of each layout (default: 3)")
    add("--baseline", default="none", metavar="LOCATION", help="passed to operations.monitor (default: none)")
    add(
        "--work",
        type=Path,
        default=WORK / "monitor",
        metavar="FOLDER",
        help="where captures are kept (default: %(default)s)",
    )
    add(
        "--report",
        type=Path,
        default=FOLDER / "monitor.json",
        metavar="FILE",
        help="the figures, as JSON (default: %(default)s)",
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Measure and report. Raises ExpectedError."""
    layouts = {"hourly": (arguments.lines, LINES_PER_FILE), "single": (arguments.single_lines, 1)}
    folders = {
        name: write_captures(arguments, name, lines, per_file, console) for name, (lines, per_file) in layouts.items()
    }
    kinds = {name: measure(folder, layouts[name][0], arguments, console) for name, folder in folders.items()}
    report = {
        "machine": machine(),
        "lines": arguments.lines,
        "picture_side": arguments.side,
        "baseline": arguments.baseline,
        **kinds,
        "promised": PROMISED,
    }
    write_json(arguments.report, report)
    show(report, kinds, console)


def write_captures(arguments: argparse.Namespace, name: str, count: int, per_file: int, console: Console) -> Path:
    """Write captured calls, unless an earlier run has written them; return the folder."""
    folder: Path = arguments.work / f"{name}-{count}-{arguments.side}"
    if (folder / "done").exists():
        return folder
    lines = capture_lines(count, arguments.side)
    with progress_bar(console, f"Write {name}") as report:
        for number, first in enumerate(range(0, count, per_file)):
            path = folder / f"{BEGIN + INTERVAL * first:scones/AllTraffic/%Y/%m/%d/%H}/00-00-000-{number}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(islice(lines, per_file)), encoding="utf-8")
            report(min(first + per_file, count), count)
    (folder / "done").touch()
    return folder


def capture_lines(count: int, side: int) -> Iterator[str]:
    """Yield captured calls with drawn pictures and random answers, evenly spaced."""
    rng = random.Random(0)  # noqa: S311  answers, no secrets
    pictures = []
    for number in range(min(count, DRAWN)):
        pictures.append(png(draw_picture(CLASSES[number % 2], number, (side, side), 0)))
    for number in range(count):
        confidence = 0.5 + 0.5 * rng.random() ** 0.3
        answer = [confidence, 1 - confidence]
        rng.shuffle(answer)
        call = CapturedInvocation(
            pictures[number % len(pictures)],
            "image/png",
            json.dumps({"labels": CLASSES, "probabilities": answer}).encode(),
            "application/json",
            BEGIN + INTERVAL * number,
        )
        yield capture_line(CAPTURE, call)


def measure(folder: Path, lines: int, arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the monitor over a folder several times; return seconds and peak bytes."""
    seconds, peaks = [], []
    out = arguments.work / "report"
    command = [sys.executable, "-m", "operations.monitor", "--captures", str(folder)]
    command += ["--out", str(out), "--threshold", "0.9", "--baseline", arguments.baseline]
    for number in range(arguments.runs):
        console.print(f"{folder.name}, run {number + 1} of {arguments.runs}", markup=False)
        spent, peak = run_measured(command)
        seconds.append(round(spent, 2))
        peaks.append(peak)
        figures = json.loads((out / "monitor.json").read_text(encoding="utf-8"))
        if figures["predictions"] != lines:
            raise BenchmarkError(f"{figures['predictions']} predictions of {lines} lines: see {out}.")
    sizes = [path.stat().st_size for path in folder.rglob("*.jsonl")]
    return {
        "lines": lines,
        "files": len(sizes),
        "bytes": sum(sizes),
        "seconds": spread(seconds),
        "peak_bytes": spread(peaks),
    }


def run_measured(command: Sequence[str]) -> tuple[float, int]:
    """Run a command; return its seconds and the peak memory of all its processes together, in bytes.

    Memory that processes share counts once (PSS). Raises BenchmarkError.
    """
    began = time.monotonic()
    peak = 0
    # In a session of its own, whose processes are measured: those that the fork server starts are not children.
    with subprocess.Popen(  # noqa: S603  our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            while process.poll() is None:
                peak = max(peak, session_bytes(process.pid))
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            process.terminate()
            raise
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise BenchmarkError(f"operations.monitor ended with {process.returncode}: {output}")
    return time.monotonic() - began, peak


def session_bytes(session: int) -> int:
    """Return the proportional set size of all processes of a session, 0 without /proc."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) != session:
                continue
            for line in (entry / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:  # the process has ended
            continue
    return total


def show(report: dict[str, Any], kinds: dict[str, dict[str, Any]], console: Console) -> None:
    """Print the figures."""
    headings = ("captures", "calls", "files", "seconds", "most", "peak memory")
    table = figures_table(*headings, title=f"Captured calls on {report['machine']}")
    for name, kind in kinds.items():
        table.add_row(
            name,
            f"{kind['lines']:,}",
            f"{kind['files']:,}",
            f"{kind['seconds']['mean']:.1f}",
            f"{kind['seconds']['most']:.1f}",
            f"{kind['peak_bytes']['most'] / 1e6:.0f} MB",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
