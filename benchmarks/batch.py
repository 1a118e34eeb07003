"""Compare the rates of the batch and of its bare endpoint: `python -m benchmarks.batch`.

On a fresh laptop's AWS with a model trained on drawn pictures. The endpoint classifies the same pictures as the batch,
with as many concurrent callers. The two take turns, so that a change of the machine's speed affects both.
"""

import argparse
import json
import platform
import sys
import time
import uuid
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.runs import FOLDER, BenchmarkError, machine, median_and_range
from common import settings
from common.arguments import positive_integer
from common.command import run_command
from common.parallel import run_parallel
from common.progress import progress_bar
from common.reports import write_json
from common.stack import stack_outputs
from common.waiting import make_console
from demo.session import LaptopSession, add_port_argument

REPORT = FOLDER / "batch.json"
CONCURRENCY = 50  # MyBatchStateMachine's: 5 children with 10 pictures each
EPOCHS, PICTURES_PER_CLASS = 60, 300  # a model that accepts most pictures, trained within a minute
POLL_SECONDS = 0.2
SECONDS_PER_PICTURE = 1.0  # limit for a batch, with a minute to start: far above what any takes
FIGURES = {  # of a pair, by the title that the table shows
    "batch_s": "batch, seconds",
    "batch_pictures_per_s": "batch, pictures/s",
    "endpoint_pictures_per_s": "bare endpoint, pictures/s",
    "ratio": "batch / bare endpoint",
}


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table and write the report; return the exit status."""
    return run_command("batch", lambda: run(parse_arguments(argv), make_console()))


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start the laptop's AWS, measure all pairs, report, and stop. Raises ExpectedError."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    REPORT.unlink(missing_ok=True)  # a failed run leaves no older figures
    session = LaptopSession(arguments.port, console, FOLDER)
    with session.laptop_aws():
        staged = session.prepare_workflow(PICTURES_PER_CLASS, EPOCHS)
        outputs = stack_outputs(session.client("cloudformation"), settings.project().stack_name)
        bodies = pictures(staged / "test", arguments.pictures)
        with session.stage("warm_up", f"Warm up with {CONCURRENCY} pictures"):
            time_batch(session, outputs, bodies[:CONCURRENCY])
            time_endpoint(session, bodies[:CONCURRENCY])
        pairs = []
        for number in range(arguments.pairs):
            with session.stage(f"pair_{number + 1}", f"Pair {number + 1} of {arguments.pairs}"):
                pairs.append(measure_pair(session, outputs, bodies, batch_first=number % 2 == 0))
    report = {
        "pictures": arguments.pictures,
        "concurrency": CONCURRENCY,
        "machine": machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("ministack", "boto3", "torch")},
        **figures(pairs),
        "pairs": pairs,
        "seconds": session.seconds,
    }
    write_json(REPORT, report)
    show(report, console)


def pictures(folder: Path, count: int) -> list[bytes]:
    """Return `count` PNG files: those below the folder, repeated as often as necessary."""
    found = [path.read_bytes() for path in sorted(folder.rglob("*.png"))]
    return [found[number % len(found)] for number in range(count)]


def measure_pair(
    session: LaptopSession, outputs: dict[str, str], bodies: list[bytes], *, batch_first: bool
) -> dict[str, Any]:
    """Classify the same pictures with the batch and with the bare endpoint; return seconds, rates and the summary."""
    if batch_first:
        batch_s, summary = time_batch(session, outputs, bodies)
    endpoint_s = time_endpoint(session, bodies)
    if not batch_first:
        batch_s, summary = time_batch(session, outputs, bodies)
    pair = {
        "first": "batch" if batch_first else "endpoint",
        "batch_s": round(batch_s, 2),
        "endpoint_s": round(endpoint_s, 2),
        "batch_pictures_per_s": round(len(bodies) / batch_s, 1),
        "endpoint_pictures_per_s": round(len(bodies) / endpoint_s, 1),
        "ratio": round(endpoint_s / batch_s, 3),
        "summary": summary,
    }
    session.console.print("; ".join(f"{title} {pair[name]}" for name, title in FIGURES.items()))
    return pair


def time_batch(session: LaptopSession, outputs: dict[str, str], bodies: list[bytes]) -> tuple[float, dict[str, Any]]:
    """Upload the pictures below a new prefix and run the batch over it.

    Returns the seconds from the execution's start to its end, and its output. Raises BenchmarkError.
    """
    bucket, prefix = outputs["PicturesBucketName"], f"bench/{uuid.uuid4()}/"  # outside the inbox: no event starts
    s3, stepfunctions = session.client("s3"), session.client("stepfunctions")

    def upload(numbered: tuple[int, bytes]) -> None:
        number, body = numbered
        s3.put_object(Bucket=bucket, Key=f"{prefix}{number:06}.png", Body=body)

    run_with_progress(session, "Uploads", upload, list(enumerate(bodies)), threads=8)
    arn = stepfunctions.start_execution(
        stateMachineArn=outputs["MyBatchStateMachineArn"],
        input=json.dumps({"s3_bucket": bucket, "prefix": prefix}),
    )["executionArn"]
    deadline = time.monotonic() + 60 + SECONDS_PER_PICTURE * len(bodies)
    with progress_bar(session.console, "Batch") as report:
        while (execution := stepfunctions.describe_execution(executionArn=arn))["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise BenchmarkError(f"The batch did not end in time: {arn}")
            report(*batch_progress(stepfunctions, arn))
            time.sleep(POLL_SECONDS)
    if execution["status"] != "SUCCEEDED":
        raise BenchmarkError(f"The batch ended {execution['status']}: {execution.get('cause')}")
    summary = json.loads(execution["output"])
    outcomes = summary["accepted"] + summary["review"] + summary["failed"]
    if not summary["found"] == outcomes == len(bodies) or summary["failed"]:
        raise BenchmarkError(f"Not all {len(bodies)} pictures have an answer: {summary}")
    return (execution["stopDate"] - execution["startDate"]).total_seconds(), summary


def batch_progress(stepfunctions: Any, execution_arn: str) -> tuple[int, int | None]:
    """Return how many pictures of a batch are done, and their total, None before the map run starts."""
    runs = stepfunctions.list_map_runs(executionArn=execution_arn)["mapRuns"]
    if not runs:
        return 0, None
    items = stepfunctions.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["itemCounts"]
    return items["succeeded"] + items["failed"], items["total"]


def time_endpoint(session: LaptopSession, bodies: list[bytes]) -> float:
    """Return the seconds that the endpoint takes for the pictures, CONCURRENCY at a time."""
    retries = {"total_max_attempts": 1}
    runtime = session.client("sagemaker-runtime", max_pool_connections=CONCURRENCY, retries=retries)
    endpoint = settings.project().endpoint_name

    def invoke(body: bytes) -> None:
        runtime.invoke_endpoint(EndpointName=endpoint, ContentType="image/png", Body=body)["Body"].read()

    start = time.perf_counter()
    run_with_progress(session, "Endpoint", invoke, bodies, threads=CONCURRENCY)
    return time.perf_counter() - start


def run_with_progress(
    session: LaptopSession, title: str, work: Callable[[Any], None], items: list[Any], threads: int
) -> None:
    """Do the work for each item in parallel, with a progress bar."""
    with progress_bar(session.console, title) as report:
        run_parallel(work, items, threads=threads, report=report)


def figures(pairs: list[dict[str, Any]]) -> dict[str, float]:
    """Return median and range of each figure over all pairs."""
    found: dict[str, float] = {}
    for name in FIGURES:
        found |= median_and_range([pair[name] for pair in pairs], name)
    return found


def show(report: dict[str, Any], console: Console) -> None:
    """Print the medians and the last summary as a table."""
    table = Table("", "median", "min to max", title=f"{report['pictures']} pictures, {report['concurrency']} at once")
    for name, title in FIGURES.items():
        table.add_row(title, str(report[name]), f"{report[f'{name}_min']} to {report[f'{name}_max']}")
    summary = report["pairs"][-1]["summary"]
    for name in ("found", "accepted", "review", "failed"):
        table.add_row(name, str(summary[name]), "")
    for label, count in sorted(summary["by_class"].items()):
        table.add_row(f"accepted as {label}", str(count), "")
    console.print(table)
    console.print(f"{len(report['pairs'])} pairs; {report['machine']}. Figures: {REPORT}")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batch",
        description="Compare the rate of the batch with the rate at which the bare endpoint"
        " answers the same pictures at the same concurrency, on a laptop's AWS of its own.",
    )
    add = parser.add_argument
    add("--pictures", type=positive_integer, default=2000, metavar="N", help="pictures below the prefix (2000)")
    add("--pairs", type=positive_integer, default=3, metavar="N", help="measurements of both, in turns (3)")
    add_port_argument(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
