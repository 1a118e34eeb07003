"""Run pictures through the workflow with injected faults: `python -m demo.soak` (`make soak`).

A fifth of the endpoint's calls fail, with every kind of fault, some pictures are invalid, and S3 repeats some upload
events. At the end the promises of the workflow are compared with what AWS holds.
"""

import argparse
import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from common import settings
from common.arguments import positive_integer, positive_number, seconds
from common.command import run_command
from common.errors import ExpectedError
from common.predictions import PredictionKey
from common.progress import progress_bar
from common.reports import write_json
from common.stack import stack_outputs
from common.waiting import make_console
from demo.outcomes import ExecutionsUnfinishedError, read_predictions, wait_for_executions
from demo.session import CommandFailedError, LaptopSession, add_port_argument
from demo.soak_audit import ALL_ENDED, ALL_UPLOADED, PROMISES, audit, broken_promises
from local.sagemaker.faults import FaultKind
from operations.sending.arrivals import INBOX
from operations.sending.executions import describe

REPORT = settings.REPORTS_FOLDER / "soak"
FAULTY_SHARE = 0.2  # of the endpoint's calls
SLOW_SECONDS = 1.0  # delay of a slow call
DUPLICATE_SHARE = 0.1  # of the upload events
DUPLICATE_AFTER_SECONDS = 0.5
ODD_SHARE = 0.05  # of the pictures
# A model that accepts some pictures and sends others to review, trained in a minute.
EPOCHS, PICTURES_PER_CLASS = 60, 300


class PromiseBrokenError(ExpectedError):
    """The run violated one or more guarantees."""

    def __init__(self, broken: dict[str, str], advice: str) -> None:
        """Name each broken promise with its violation."""
        promises = "; ".join(f'broken promise "{name}": {violation}' for name, violation in broken.items())
        super().__init__(f"{promises}. {advice}")


class QueueError(ExpectedError):
    """SQS refused to delete messages, so that they would be counted twice."""


def main(argv: list[str] | None = None) -> int:
    """Run the soak; return the exit status."""
    return run_command(
        "soak", lambda: run(parse_arguments(argv), make_console()), "the run did not finish, so no promise was verified"
    )


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start the laptop's AWS, run all of it, report, and stop. Raises ExpectedError."""
    REPORT.mkdir(parents=True, exist_ok=True)
    for name in ("summary.json", "sent.json"):  # a run that fails leaves no older figures
        (REPORT / name).unlink(missing_ok=True)
    began = time.monotonic()
    session = LaptopSession(arguments.port, console, REPORT)
    with session.laptop_aws():
        staged = session.prepare_workflow(PICTURES_PER_CLASS, EPOCHS)
        figures = soak(session, staged, arguments)
    broken = broken_promises(figures)
    figures |= {"seconds": session.seconds | {"total": round(time.monotonic() - began, 1)}, "broken_promises": broken}
    write_json(REPORT / "summary.json", figures)
    show(figures, console)
    if broken:
        raise PromiseBrokenError(broken, f"See {REPORT / 'summary.json'}.")


def soak(session: LaptopSession, staged: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Inject faults, send the pictures, wait for the executions, and return the figures. Raises PromiseBrokenError."""
    outputs = stack_outputs(session.client("cloudformation"), settings.project().stack_name)
    share = FAULTY_SHARE / len(FaultKind)
    faults = [{"kind": kind, "share": share, "delay_seconds": SLOW_SECONDS} for kind in FaultKind]
    path = f"faults/{settings.project().endpoint_name}"
    control(session, "PUT", path, {"faults": faults, "seed": 0})
    repeats = {"duplicates": DUPLICATE_SHARE, "delay_seconds": DUPLICATE_AFTER_SECONDS, "seed": 0}
    control(session, "PUT", "uploads", repeats)
    with session.stage("soak", f"Send {arguments.pictures} pictures with injected faults"):
        executions = send(session, staged, outputs["StateMachineArn"], arguments)
    injected = control(session, "GET", path)
    with session.stage("audit", "Verify the outcome of every picture"):
        stepfunctions = session.client("stepfunctions")
        figures = audit(
            sent=versions(session, outputs["PicturesBucketName"]),
            items={p.key: p for p in read_predictions(session.client("dynamodb"), outputs["PredictionsTableName"])},
            reviews=list(drain(session, outputs["ReviewQueueUrl"])),
            notifications=list(drain(session, outputs["FailedPicturesQueueUrl"])),
            executions=[describe(stepfunctions, arn) for arn in executions],
            threshold=settings.project().confidence_threshold,
        )
    repeated = control(session, "GET", "uploads")["sent_twice"]
    figures = {"wanted": arguments.pictures} | figures | {"events_sent_twice": repeated}
    by_kind = {kind.value: injected["injected"].get(kind, 0) for kind in FaultKind}
    return figures | {"endpoint_calls": injected["calls"], "faults": by_kind}


def send(session: LaptopSession, staged: Path, machine: str, arguments: argparse.Namespace) -> list[str]:
    """Send the pictures; return the ARNs of all executions once all have ended. Raises PromiseBrokenError."""
    pictures, rate = arguments.pictures, arguments.rate
    options = ["--staged", staged, "--count", pictures, "--max", pictures, "--rate", rate, "--odd", ODD_SHARE]
    command = [sys.executable, "-m", "operations.send_pictures", *map(str, options), "--no-wait"]

    def expected() -> int:
        """Return how many executions the upload events start."""
        uploads = control(session, "GET", "uploads")
        return int(uploads["events"] + uploads["sent_twice"])

    try:
        session.run(*command, "--out", str(REPORT / "sent.json"))
        with progress_bar(session.console, "Executions ended") as report:
            return wait_for_executions(session.client("stepfunctions"), machine, expected, arguments.wait, report)
    except CommandFailedError as error:
        raise PromiseBrokenError({ALL_UPLOADED: str(error)}, f"See {REPORT / 'sent.json'}.") from error
    except ExecutionsUnfinishedError as error:
        raise PromiseBrokenError({ALL_ENDED: str(error)}, "Give a longer --wait, or a lower --rate.") from error


def control(session: LaptopSession, method: str, path: str, body: Any = None) -> Any:
    """Set the faults of the laptop's AWS, or read how many were injected."""
    request = urllib.request.Request(  # noqa: S310  loopback
        f"{session.environment['AWS_ENDPOINT_URL']}/_local/{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  loopback
        return json.load(answer)


def versions(session: LaptopSession, bucket: str) -> set[PredictionKey]:
    """Return every version in the inbox, also of uploads whose answer the sender did not get."""
    pages = session.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"{INBOX}/")
    found = (version for page in pages for version in page.get("Versions", []))
    return {PredictionKey(f"s3://{bucket}/{version['Key']}", version["VersionId"]) for version in found}


def drain(session: LaptopSession, queue_url: str) -> Iterator[dict[str, Any]]:
    """Receive and delete every message of a queue; yield the bodies. Raises QueueError."""
    sqs = session.client("sqs")
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            yield json.loads(message["Body"])
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        answer = sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)
        if refused := answer.get("Failed"):
            raise QueueError(f"SQS did not delete messages of {queue_url}: {refused}")


def show(figures: dict[str, Any], console: Console) -> None:
    """Print the figures and the promises."""
    table = Table(title="Outcomes", show_header=False)
    for name in ("pictures", "accepted", "review", "failed", "notified", "lost", "duplicated"):
        table.add_row(name, str(figures[name]))
    table.add_row("accepted below the threshold", str(figures["accepted_below_threshold"]))
    table.add_section()
    table.add_row("executions", str(figures["executions"]))
    table.add_row("  by repeated events", str(figures["repeated_executions"]))
    table.add_row("  failed", str(figures["failed_executions"]))
    table.add_row("  failed, with a notification", str(figures["notified_executions"]))
    for error, count in figures["failed_by_error"].items():
        table.add_row(f"    {error}", str(count))
    table.add_section()
    table.add_row("endpoint calls", str(figures["endpoint_calls"]))
    for kind, count in figures["faults"].items():
        table.add_row(f"  {kind}", str(count))
    table.add_row("upload events sent twice", str(figures["events_sent_twice"]))
    table.add_section()
    for stage, took in figures["seconds"].items():
        table.add_row(stage.replace("_", " "), f"{took} s")
    table.add_section()
    for name in (ALL_ENDED, *PROMISES):
        table.add_row(name, "BROKEN" if name in figures["broken_promises"] else "kept")
    console.print(table)
    console.print(f"Figures: {REPORT / 'summary.json'}; logs beside it.", markup=False)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.soak",
        description="Run PICTURES through the workflow with injected faults and verify that none is lost.",
    )
    add = parser.add_argument
    count_help = "how many pictures to send (5000)"
    add("--pictures", metavar="PICTURES", type=positive_integer, default=5000, help=count_help)
    add("--rate", metavar="R", type=positive_number, default=25.0, help="pictures per second on average (25)")
    wait_help = "seconds to wait for executions after the last picture (600)"
    add("--wait", metavar="S", type=seconds, default=600.0, help=wait_help)
    add_port_argument(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
