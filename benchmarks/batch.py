"""How fast the batch is beside its endpoint: `python -m benchmarks.batch`.

On a laptop's AWS of its own: a model trained on drawn pictures, its endpoint, the deployed
workflow. The batch machine classifies every picture below a prefix; in the same run the bare
endpoint is asked for the same pictures by as many callers as the batch has at once. The two take
turns, so that a machine whose speed drifts slows both.
"""

import argparse
import json
import platform
import statistics
import sys
import time
import uuid
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from common import settings
from common.arguments import positive_integer
from common.command import run_command
from common.errors import ExpectedError
from common.parallel import run_parallel
from common.progress import progress_bar
from common.reports import write_json
from common.stack import stack_outputs
from common.waiting import make_console
from demo.session import LaptopSession
from local.address import DEFAULT_PORT

FOLDER = settings.REPORTS_FOLDER / "bench"
REPORT = FOLDER / "batch.json"
CONCURRENCY = 50  # MyBatchStateMachine's: 5 children with 10 pictures each
EPOCHS, PICTURES_PER_CLASS = 60, 300  # a model that is sure of most pictures, within a minute
POLL_SECONDS = 0.2
SECONDS_PER_PICTURE = 1.0  # the wait for a batch is bounded by this and a minute: far from any run


class BatchFailedError(ExpectedError):
    """The batch did not end with a summary of every picture."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table and write the report; return the exit status."""
    return run_command("batch", lambda: run(parse_arguments(argv), make_console()))


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start the laptop's AWS, measure all pairs, report, and stop. Raises ExpectedError."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    REPORT.unlink(missing_ok=True)  # a run that fails leaves no older figures
    session = LaptopSession(arguments.port, console, FOLDER)
    with session.laptop_aws():
        staged = session.prepare_workflow(PICTURES_PER_CLASS, EPOCHS)
        outputs = stack_outputs(session.client("cloudformation"), settings.project().stack_name)
        bodies = pictures(staged / "test", arguments.pictures)
        warm_up(session, outputs, bodies[:CONCURRENCY])
        pairs = []
        for number in range(arguments.pairs):
            with session.stage(f"pair_{number + 1}", f"Pair {number + 1} of {arguments.pairs}"):
                pairs.append(measure_pair(session, outputs, bodies, batch_first=number % 2 == 0))
            show_pair(pairs[-1], console)
    report = about(arguments) | figures(pairs) | {"pairs": pairs, "seconds": session.seconds}
    write_json(REPORT, report)
    show(report, console)


def pictures(folder: Path, count: int) -> list[bytes]:
    """Return `count` PNG files: those below the folder, over and over."""
    found = [path.read_bytes() for path in sorted(folder.rglob("*.png"))]
    return [found[number % len(found)] for number in range(count)]


def warm_up(session: LaptopSession, outputs: dict[str, str], bodies: list[bytes]) -> None:
    """Have every process of functions and endpoint started before anything is timed."""
    with session.stage("warm_up", f"Warm up with {len(bodies)} pictures"):
        time_batch(session, outputs, bodies)
        time_endpoint(session, bodies)


def measure_pair(
    session: LaptopSession, outputs: dict[str, str], bodies: list[bytes], *, batch_first: bool
) -> dict[str, Any]:
    """Return what the batch and the bare endpoint took for the same pictures, in seconds."""
    if batch_first:
        batch = time_batch(session, outputs, bodies)
        endpoint_s = time_endpoint(session, bodies)
    else:
        endpoint_s = time_endpoint(session, bodies)
        batch = time_batch(session, outputs, bodies)
    count = len(bodies)
    return {
        "first": "batch" if batch_first else "endpoint",
        "batch_s": round(batch["seconds"], 2),
        "endpoint_s": round(endpoint_s, 2),
        "batch_pictures_per_s": round(count / batch["seconds"], 1),
        "endpoint_pictures_per_s": round(count / endpoint_s, 1),
        "ratio": round(endpoint_s / batch["seconds"], 3),
        "summary": batch["summary"],
    }


def time_batch(session: LaptopSession, outputs: dict[str, str], bodies: list[bytes]) -> dict[str, Any]:
    """Put the pictures below a new prefix and run the batch over it.

    Returns {"seconds": from the execution's start to its end, "summary": its output}.
    Raises BatchFailedError.
    """
    prefix = f"bench/{uuid.uuid4()}/"
    upload(session, outputs["PicturesBucketName"], prefix, bodies)
    stepfunctions = session.client("stepfunctions")
    arn = stepfunctions.start_execution(
        stateMachineArn=outputs["MyBatchStateMachineArn"],
        input=json.dumps({"s3_bucket": outputs["PicturesBucketName"], "prefix": prefix}),
    )["executionArn"]
    deadline = time.monotonic() + 60 + SECONDS_PER_PICTURE * len(bodies)
    with progress_bar(session.console, "Batch") as report:
        while (ended := stepfunctions.describe_execution(executionArn=arn))["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise BatchFailedError(f"The batch was still running after its time: {arn}")
            report(*counted(stepfunctions, arn))
            time.sleep(POLL_SECONDS)
    if ended["status"] != "SUCCEEDED":
        raise BatchFailedError(f"The batch ended {ended['status']}: {ended.get('cause')}")
    summary = json.loads(ended["output"])
    places = [summary[name] for name in ("accepted", "review", "failed")]
    if not summary["found"] == sum(places) == len(bodies) or summary["failed"]:
        raise BatchFailedError(f"Not all {len(bodies)} pictures have an answer: {summary}")
    started: datetime = ended["startDate"]
    return {"seconds": (ended["stopDate"] - started).total_seconds(), "summary": summary}


def counted(stepfunctions: Any, execution_arn: str) -> tuple[int, int | None]:
    """Return how many pictures of a batch are done, and how many there are once that is known."""
    runs = stepfunctions.list_map_runs(executionArn=execution_arn)["mapRuns"]
    if not runs:
        return 0, None
    items = stepfunctions.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["itemCounts"]
    return items["succeeded"] + items["failed"], items["total"]


def upload(session: LaptopSession, bucket: str, prefix: str, bodies: list[bytes]) -> None:
    """Put every picture below the prefix, outside the inbox."""
    s3 = session.client("s3")
    with progress_bar(session.console, "Uploads") as report:
        run_parallel(
            lambda numbered: s3.put_object(Bucket=bucket, Key=f"{prefix}{numbered[0]:06}.png", Body=numbered[1]),
            enumerate(bodies),
            threads=8,
            report=report,
        )


def time_endpoint(session: LaptopSession, bodies: list[bytes]) -> float:
    """Return the seconds that the endpoint takes for the pictures, CONCURRENCY at a time."""
    runtime = session.client(
        "sagemaker-runtime",
        max_pool_connections=CONCURRENCY,
        retries={"total_max_attempts": 1},
    )

    def ask(body: bytes) -> None:
        answer = runtime.invoke_endpoint(
            EndpointName=settings.project().endpoint_name, ContentType="image/png", Body=body
        )
        answer["Body"].read()

    with progress_bar(session.console, "Endpoint") as report:
        start = time.perf_counter()
        run_parallel(ask, bodies, threads=CONCURRENCY, report=report)
        return time.perf_counter() - start


def figures(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians, with the least and the most, over all pairs."""
    found: dict[str, Any] = {}
    for name in ("batch_s", "batch_pictures_per_s", "endpoint_pictures_per_s", "ratio"):
        values = [pair[name] for pair in pairs]
        found[name] = round(statistics.median(values), 3)
        found[f"{name}_min"], found[f"{name}_max"] = min(values), max(values)
    return found


def about(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was measured, where, and with what."""
    return {
        "pictures": arguments.pictures,
        "concurrency": CONCURRENCY,
        "machine": machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("ministack", "boto3", "torch")},
    }


def show_pair(pair: dict[str, Any], console: Console) -> None:
    """Print one pair in a line."""
    console.print(
        f"batch {pair['batch_pictures_per_s']} pictures/s, endpoint"
        f" {pair['endpoint_pictures_per_s']} pictures/s, ratio {pair['ratio']}"
    )


def show(report: dict[str, Any], console: Console) -> None:
    """Print the medians and the last summary as a table."""
    table = Table(title=f"{report['pictures']} pictures, {report['concurrency']} at once")
    for column in ("", "median", "min to max"):
        table.add_column(column)
    for name, title in (
        ("batch_s", "batch, seconds"),
        ("batch_pictures_per_s", "batch, pictures/s"),
        ("endpoint_pictures_per_s", "bare endpoint, pictures/s"),
        ("ratio", "batch / bare endpoint"),
    ):
        spread = f"{report[f'{name}_min']} to {report[f'{name}_max']}"
        table.add_row(title, str(report[name]), spread)
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
    add("--pairs", type=positive_integer, default=3, metavar="N", help="times that both are measured, in turns (3)")
    add("--port", type=int, default=DEFAULT_PORT, help=f"port of 127.0.0.1 for the laptop's AWS ({DEFAULT_PORT})")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
