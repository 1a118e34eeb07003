"""Compare importing each handler with importing boto3 and making its clients: `python -m benchmarks.import_time`.

A Lambda function's cold start pays for its imports. Each measurement is a new interpreter; handler and baseline take
turns, so that a change of the machine's speed affects both.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.runs import FOLDER, machine, median_and_range
from common import settings
from common.arguments import positive_integer
from common.command import run_command
from common.reports import write_json
from common.waiting import make_console

REPORT = FOLDER / "imports.json"
# The clients of each baseline: those that the function makes; for the one that makes none, S3's.
CLIENTS = {
    "serialize_image_data": ["s3"],
    "image_classification": ["sagemaker-runtime", "s3"],
    "filter_low_confidence": ["s3"],
}
ENVIRONMENT = {"AWS_DEFAULT_REGION": "us-east-1", "POWERTOOLS_METRICS_NAMESPACE": "benchmark"}


def main(argv: list[str] | None = None) -> int:
    """Measure every function, print a table and write the report."""
    return run_command("import_time", lambda: run(parse_arguments(argv), make_console()), "no report was written")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.import_time",
        description="Compare importing each handler with importing boto3 and making its clients.",
    )
    runs_help = "pairs of interpreters per function, after one to warm up (9)"
    parser.add_argument("--runs", type=positive_integer, default=9, metavar="N", help=runs_help)
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Measure every function, print a table and write the report."""
    runs, functions = arguments.runs, {}
    for function in CLIENTS:
        with console.status(f"{function}: {runs} pairs"):
            functions[function] = measure(function, runs)
    report = {"machine": machine(), "python": platform.python_version(), "runs": runs, "functions": functions}
    write_json(REPORT, report)
    show(report, console)
    console.print(f"Figures: {REPORT}")


def measure(function: str, runs: int) -> dict[str, float]:
    """Return medians in seconds, and the ratio of handler to baseline within each pair."""
    baseline = "import boto3" + "".join(f";boto3.client({client!r})" for client in CLIENTS[function])
    folder = str(settings.ROOT / "functions" / function)
    handler = f"import sys;sys.path.insert(0,{folder!r});import app"
    pairs = [(seconds(baseline), seconds(handler)) for _ in range(runs + 1)][1:]
    return {
        "boto3_and_client_s": round(statistics.median(pair[0] for pair in pairs), 4),
        "handler_s": round(statistics.median(pair[1] for pair in pairs), 4),
        **median_and_range([ours / theirs for theirs, ours in pairs], "ratio"),
    }


def seconds(code: str) -> float:
    """Return the wall-clock seconds of a new interpreter that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | ENVIRONMENT)  # noqa: S603  our own code
    return time.perf_counter() - start


def show(report: dict[str, Any], console: Console) -> None:
    """Print a report as a table."""
    table = Table("function", "boto3 and clients", "handler", "ratio", "min to max", title="Import time")
    for function, row in report["functions"].items():
        table.add_row(
            function,
            f"{row['boto3_and_client_s']:.3f} s",
            f"{row['handler_s']:.3f} s",
            f"{row['ratio']:.2f}",
            f"{row['ratio_min']:.2f} to {row['ratio_max']:.2f}",
        )
    console.print(table)
    console.print(f"Medians of {report['runs']} pairs; {report['machine']}, Python {report['python']}.")


if __name__ == "__main__":
    sys.exit(main())
