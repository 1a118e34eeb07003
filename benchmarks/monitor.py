"""How fast captured calls are read, and in how much memory: `python -m benchmarks.monitor`.

Writes captures of drawn pictures, as an endpoint's data capture would: a file for each hour, the
same lines as one huge file, and files of one line each, as an endpoint that is seldom asked leaves
them. Runs `python -m operations.monitor` over each, several times.
"""

import argparse
import base64
import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.runs import spread
from common import settings
from common.arguments import positive_integer
from common.command import run_command
from common.errors import ExpectedError
from common.progress import progress_bar
from common.reports import write_json
from common.waiting import make_console
from training.sources.synthetic import draw_picture

REPORT = settings.REPORTS_FOLDER / "bench" / "monitor.json"
WORK = Path("data/bench/monitor")
CLASSES = ("bicycle", "motorcycle")
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
LINES_PER_FILE = 1_000
APART = timedelta(hours=1) / LINES_PER_FILE  # from call to call
DRAWN = 400  # different pictures; drawing one takes as long as reading ten
LOOK_S = 0.1  # between looks at the memory

# What the project promises, on two cores.
MOST_SECONDS = 60.0
MOST_BYTES = 1e9


class MonitorFailedError(ExpectedError):
    """The monitor ended with a status other than 0, or lost lines."""


def main(argv: list[str] | None = None) -> int:
    """Measure; print a table and write the report."""
    arguments = parse_arguments(argv)
    console = make_console()
    return run_command("monitor", lambda: run(arguments, console))


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.monitor",
        description="Write captured calls of drawn pictures, and measure how long the monitoring"
        " report takes over them and the memory of all of its processes.",
    )
    add = parser.add_argument
    add("--lines", type=positive_integer, default=100_000, help="(default: %(default)s)")
    add(
        "--single-lines", type=positive_integer, default=10_000, help="in files of one line each (default: %(default)s)"
    )
    add("--side", type=positive_integer, default=32, help="of a picture, pixels (default: 32)")
    add("--runs", type=positive_integer, default=3, help="of each kind (default: 3)")
    add(
        "--baseline",
        default="none",
        metavar="PLACE",
        help="what to compare with, as operations.monitor takes it (default: none)",
    )
    add("--work", type=Path, default=WORK, metavar="FOLDER", help="where captures are kept (default: %(default)s)")
    add(
        "--report",
        type=Path,
        default=REPORT,
        metavar="FILE",
        help="where the figures go, as JSON (default: %(default)s)",
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Do what the command line says. Raises ExpectedError."""
    layouts = (
        Layout("hourly", arguments.lines, LINES_PER_FILE),
        Layout("huge", arguments.lines, arguments.lines),
        Layout("single", arguments.single_lines, 1),
    )
    captures = {layout: write_captures(arguments, layout, console) for layout in layouts}
    kinds = {layout.name: measure(folder, layout.lines, arguments, console) for layout, folder in captures.items()}
    report = {
        "machine": machine(),
        "lines": arguments.lines,
        "picture_side": arguments.side,
        "baseline": arguments.baseline,
        **kinds,
        "promised": {"seconds": MOST_SECONDS, "bytes": MOST_BYTES},
    }
    write_json(arguments.report, report)
    show(report, kinds, console)


class Layout(NamedTuple):
    """How captured calls are laid out: how many lines there are, and in a file at most."""

    name: str
    lines: int
    per_file: int


def write_captures(arguments: argparse.Namespace, layout: Layout, console: Console) -> Path:
    """Write the captured calls, unless they are there from an earlier time; return the folder."""
    folder: Path = arguments.work / f"{layout.name}-{layout.lines}-{arguments.side}"
    if (folder / "done").exists():
        return folder
    lines = capture_lines(layout.lines, arguments.side)
    with progress_bar(console, f"Write {layout.name}") as report:
        for number, first in enumerate(range(0, layout.lines, layout.per_file)):
            hour = BEGIN + APART * first
            path = folder / f"{hour:scones/AllTraffic/%Y/%m/%d/%H}/00-00-000-{number}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            count = min(layout.per_file, layout.lines - first)
            with path.open("w", encoding="utf-8") as file:
                file.writelines(next(lines) for _ in range(count))
            report(first + count, layout.lines)
    (folder / "done").touch()
    return folder


def capture_lines(count: int, side: int) -> Iterator[str]:
    """Yield captured calls: drawn pictures by turns, made-up answers, evenly spaced."""
    rng = random.Random(0)  # noqa: S311  answers, no secrets
    pictures = []
    for number in range(min(count, DRAWN)):
        stream = io.BytesIO()
        draw_picture(CLASSES[number % 2], number, (side, side), 0).save(stream, "PNG")
        pictures.append(base64.b64encode(stream.getvalue()).decode())
    for number in range(count):
        confidence = 0.5 + 0.5 * rng.random() ** 0.3
        answer = [confidence, 1 - confidence]
        rng.shuffle(answer)
        call = {
            "captureData": {
                "endpointInput": {
                    "observedContentType": "image/png",
                    "mode": "INPUT",
                    "data": pictures[number % len(pictures)],
                    "encoding": "BASE64",
                },
                "endpointOutput": {
                    "observedContentType": "application/json",
                    "mode": "OUTPUT",
                    "data": json.dumps({"labels": CLASSES, "probabilities": answer}),
                    "encoding": "JSON",
                },
            },
            "eventMetadata": {
                "eventId": f"{number:08d}",
                "inferenceTime": f"{BEGIN + APART * number:%Y-%m-%dT%H:%M:%SZ}",
            },
            "eventVersion": "0",
        }
        yield json.dumps(call, separators=(",", ":")) + "\n"


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
            raise MonitorFailedError(f"{figures['predictions']} predictions of {lines} lines: see {out}.")
    size = sum(path.stat().st_size for path in folder.rglob("*.jsonl"))
    return {
        "lines": lines,
        "files": sum(1 for _ in folder.rglob("*.jsonl")),
        "bytes": size,
        "seconds": spread(seconds),
        "peak_bytes": spread(peaks),
    }


def run_measured(command: Sequence[str]) -> tuple[float, int]:
    """Run a command; return its seconds, and the most bytes that all of its processes had at once.

    What processes share counts once (PSS), as in the bill. Raises MonitorFailedError.
    """
    began = time.monotonic()
    peak = 0
    # In a session of its own, whose processes are looked at: the server that forks is no child.
    with subprocess.Popen(  # noqa: S603  our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            while process.poll() is None:
                peak = max(peak, session_bytes(process.pid))
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            process.terminate()
            raise
        said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise MonitorFailedError(f"operations.monitor ended with {process.returncode}: {said}")
    return time.monotonic() - began, peak


def session_bytes(session: int) -> int:
    """Return the proportional set size of all processes of a session, 0 where /proc lacks it."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) != session:
                continue
            for line in (entry / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:  # it has ended meanwhile
            continue
    return total


def show(report: dict[str, Any], kinds: dict[str, dict[str, Any]], console: Console) -> None:
    """Print the figures."""
    table = Table(title=f"Captured calls on {report['machine']}")
    for heading in ("captures", "calls", "files", "seconds", "most", "peak memory"):
        table.add_column(heading, justify="left" if heading == "captures" else "right")
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
