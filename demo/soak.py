"""Thousands of pictures through a workflow in trouble: `python -m demo.soak` (`make soak`).

A stream of pictures, some of them odd, meets an endpoint that fails a fifth of its calls in every
way it can, and S3 tells of some uploads twice. At the end AWS is asked where each picture is.
"""

import argparse
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from common import settings
from common.arguments import positive_integer, positive_number, seconds
from common.command import run_command
from common.errors import ExpectedError
from common.progress import progress_bar
from common.reports import write_json
from common.stack import stack_outputs
from common.waiting import make_console
from demo.session import LaptopSession
from demo.soak_audit import Evidence, Execution, Version, audit, problems
from local.address import DEFAULT_PORT
from local.sagemaker.faults import FaultKind
from operations.sending.arrivals import INBOX
from operations.sending.executions import ENDED, describe_failure, picture_of

REPORT = settings.REPORTS_FOLDER / "soak"
FAULTY_SHARE = 0.2  # of the endpoint's calls
SLOW_SECONDS = 1.0  # that a slow call takes longer
DUPLICATE_SHARE = 0.1  # of the upload events
DUPLICATE_AFTER_SECONDS = 0.5
ODD_SHARE = 0.05  # of the pictures
POLL_SECONDS = 1.0
# Enough for a model that is sure of some pictures and not of others, in a minute.
EPOCHS, PICTURES_PER_CLASS = 60, 300


class SoakError(ExpectedError):
    """The run ended, and some picture is not where it must be."""


class QueueError(ExpectedError):
    """A queue did not do as it was told, so that its messages cannot be counted."""


class UnfinishedError(ExpectedError):
    """Executions were still running after the time that was given."""


def main(argv: list[str] | None = None) -> int:
    """Run the soak; return the exit status."""
    arguments = parse_arguments(argv)
    console = make_console()
    REPORT.mkdir(parents=True, exist_ok=True)
    return run_command("soak", lambda: run(arguments, console))


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start the laptop's AWS, run all of it, report, and stop. Raises ExpectedError."""
    for name in ("summary.json", "sent.json"):  # a run that fails leaves no older figures
        (REPORT / name).unlink(missing_ok=True)
    began = time.monotonic()
    session = LaptopSession(arguments.port, console, REPORT)
    with session.laptop_aws():
        staged = session.prepare_workflow(PICTURES_PER_CLASS, EPOCHS)
        figures = soak(session, staged, arguments)
    figures["seconds"] = session.seconds | {"total": round(time.monotonic() - began, 1)}
    write_json(REPORT / "summary.json", figures)
    show(figures, console)
    if wrong := problems(figures) + untried(figures):
        raise SoakError("; ".join(wrong) + f": see {REPORT / 'summary.json'}.")


def untried(figures: dict[str, Any]) -> list[str]:
    """Return, in words, what the run was to show and did not come to."""
    shown = {name: figures[name] for name in ("accepted", "review", "failed", "repeated_executions")}
    return [
        f"{name.replace('_', ' ')}: none, so nothing is shown of them"
        for name, count in (shown | figures["faults"]).items()
        if not count
    ]


def soak(session: LaptopSession, staged: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Send the pictures into the trouble, wait for the end of it, and return the figures."""
    outputs = stack_outputs(session.client("cloudformation"), settings.project().stack_name)
    share = FAULTY_SHARE / len(FaultKind)
    faults = [{"kind": kind, "share": share, "delay_seconds": SLOW_SECONDS} for kind in FaultKind]
    path = f"faults/{settings.project().endpoint_name}"
    control(session, "PUT", path, {"faults": faults, "seed": 0})
    control(
        session,
        "PUT",
        "uploads",
        {"duplicates": DUPLICATE_SHARE, "delay_seconds": DUPLICATE_AFTER_SECONDS, "seed": 0},
    )
    with session.stage("soak", f"Send {arguments.pictures} pictures into an endpoint in trouble"):
        session.run(
            sys.executable,
            "-m",
            "operations.send_pictures",
            "--staged",
            str(staged),
            "--count",
            str(arguments.pictures),
            "--max",
            str(arguments.pictures),
            "--rate",
            str(arguments.rate),
            "--odd",
            str(ODD_SHARE),
            "--no-wait",
            "--out",
            str(REPORT / "sent.json"),
        )
        executions = ended_executions(session, outputs["StateMachineArn"], arguments.wait)
    injected = control(session, "GET", path)
    uploads = control(session, "GET", "uploads")
    with session.stage("audit", "Look where every picture is"):
        evidence = Evidence(
            sent=versions(session, outputs["PicturesBucketName"]),
            items=ledger(session, outputs),
            reviews=list(drain(session, outputs["ReviewQueueUrl"])),
            told=list(drain(session, outputs["FailedPicturesQueueUrl"])),
            executions=executions,
            wanted=arguments.pictures,
            events_sent_twice=uploads["sent_twice"],
        )
        figures = audit(evidence, settings.project().confidence_threshold)
    hit = {kind.value: injected["injected"].get(kind, 0) for kind in FaultKind}
    return figures | {
        "endpoint_calls": injected["calls"],
        "faults": hit,
    }


def control(session: LaptopSession, method: str, path: str, body: Any = None) -> Any:
    """Ask the laptop's AWS for trouble, or how much of it there was."""
    request = urllib.request.Request(  # noqa: S310  loopback
        f"{session.environment['AWS_ENDPOINT_URL']}/_local/{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  loopback
        return json.load(answer)


def ended_executions(session: LaptopSession, machine: str, wait_s: float) -> list[Execution]:
    """Return all executions, once each upload event has had its own and all have ended.

    Raises UnfinishedError after `wait_s` seconds.
    """
    client = session.client("stepfunctions")
    pages = client.get_paginator("list_executions")
    deadline = time.monotonic() + wait_s
    with progress_bar(session.console, "Executions ended") as report:
        while True:
            uploads = control(session, "GET", "uploads")
            expected = uploads["events"] + uploads["sent_twice"]
            found = [execution for page in pages.paginate(stateMachineArn=machine) for execution in page["executions"]]
            over = sum(execution["status"] in ENDED for execution in found)
            report(over, expected)
            if over >= expected:
                break
            if time.monotonic() > deadline:
                raise UnfinishedError(
                    f"After {wait_s:.0f} s {over} executions had ended of the {expected} that the"
                    " upload events start: give a longer --wait, or a lower --rate."
                )
            time.sleep(POLL_SECONDS)
    return [described(client, execution) for execution in found]


def described(client: Any, listed: dict[str, Any]) -> Execution:
    """Return the execution with its picture and its error."""
    arn = listed["executionArn"]
    if listed["status"] == "SUCCEEDED":
        told = client.describe_execution(executionArn=arn)
        return Execution(arn, Version(*picture_of(told["input"])), "")
    failure = describe_failure(client, arn)
    return Execution(arn, Version(failure.key, failure.version_id), failure.error)


def ledger(session: LaptopSession, outputs: dict[str, str]) -> dict[Version, dict[str, Any]]:
    """Return the predictions table by picture."""
    pages = session.client("dynamodb").get_paginator("scan")
    start = f"s3://{outputs['PicturesBucketName']}/"
    return {
        Version(item["picture"]["S"].removeprefix(start), item["version_id"]["S"]): item
        for page in pages.paginate(TableName=outputs["PredictionsTableName"])
        for item in page["Items"]
    }


def versions(session: LaptopSession, bucket: str) -> list[Version]:
    """Return every version in the inbox: what S3 has, whatever the sender knows of it."""
    pages = session.client("s3").get_paginator("list_object_versions")
    return [
        Version(version["Key"], version["VersionId"])
        for page in pages.paginate(Bucket=bucket, Prefix=f"{INBOX}/")
        for version in page.get("Versions", [])
    ]


def drain(session: LaptopSession, queue_url: str) -> Iterator[dict[str, Any]]:
    """Take every message out of a queue and give its body. Raises QueueError."""
    sqs = session.client("sqs")
    receive: Callable[..., dict[str, Any]] = sqs.receive_message
    while messages := receive(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            yield json.loads(message["Body"])
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        answer = sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)
        if refused := answer.get("Failed"):
            raise QueueError(f"{queue_url} keeps messages that were to be deleted: {refused}")


def show(figures: dict[str, Any], console: Console) -> None:
    """Print what came out, for a person."""
    table = Table(title="Where the pictures are", show_header=False)
    for name in ("pictures", "accepted", "review", "failed", "notified", "lost", "duplicated"):
        table.add_row(name, str(figures[name]))
    table.add_row("accepted below the threshold", str(figures["accepted_below_threshold"]))
    table.add_section()
    table.add_row("executions", str(figures["executions"]))
    table.add_row("  of a picture that had one already", str(figures["repeated_executions"]))
    table.add_row("  failed", str(figures["failed_executions"]))
    table.add_row("  of these somebody was told of", str(figures["notified_executions"]))
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
    console.print(table)
    console.print(f"Figures: {REPORT / 'summary.json'}; logs beside it.", markup=False)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.soak",
        description="Send pictures through the workflow on the laptop's AWS while a fifth of the"
        " endpoint's calls fail and some upload events come twice, and see that none is lost.",
    )
    parser.add_argument("--pictures", metavar="N", type=positive_integer, default=5000, help="how many to send (5000)")
    parser.add_argument(
        "--rate", metavar="R", type=positive_number, default=25.0, help="pictures per second on average (25)"
    )
    parser.add_argument(
        "--wait",
        metavar="S",
        type=seconds,
        default=600.0,
        help="seconds to wait for executions after the last picture (600)",
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=int,
        default=DEFAULT_PORT,
        help=f"loopback port of the laptop's AWS ({DEFAULT_PORT})",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
