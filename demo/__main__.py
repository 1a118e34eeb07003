"""Run a user's commands for AWS, from pictures to answers, on the laptop's AWS: `python -m demo` (`make demo`)."""

import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common import settings
from common.command import run_command
from common.errors import ExpectedError
from common.pages.formatting import percent
from common.predictions import FAILED
from common.progress import progress_bar
from common.reports import write_json
from common.stack import stack_outputs
from common.waiting import make_console
from demo.captures import wait_for_captures
from demo.leftovers import leftovers
from demo.outcomes import (
    PictureOutcome,
    count_transitions,
    figures,
    picture_outcomes,
    queued_reviews,
    read_predictions,
    wait_for_executions,
)
from demo.page import threshold_reason, write_demo_page
from demo.session import LaptopSession, add_port_argument
from local.address import DEFAULT_PORT

REPORT = settings.REPORTS_FOLDER / "demo"
CREATE_REPORT = settings.REPORTS_FOLDER / "create_endpoint" / "endpoint.json"
EVALUATION = settings.REPORTS_FOLDER / "evaluate" / "evaluation.json"
# Limits for a slow machine: on two cores an execution takes 0.3 s.
SECONDS_PER_PICTURE = 3
SECONDS_TO_START = 120
SECONDS_TO_CAPTURE = 60  # the laptop's AWS writes captures every two seconds
SMOKE_TESTS = 1  # calls of create_endpoint
MONITORED = ("files", "lines", "damaged", "predictions", "threshold", "coverage", "mean_confidence")
DEFINITION = settings.ROOT / "statemachine" / "MyStateMachine.asl.json"


class RunCheckError(ExpectedError):
    """The run ended, and its figures are not what they must be."""


def main(argv: list[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    return run_command("demo", lambda: run(parse_arguments(argv), make_console()))


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start the laptop's AWS, run every stage, report, and stop it unless it is kept."""
    delete_older_run()
    REPORT.mkdir(parents=True, exist_ok=True)
    began, since = datetime.now(UTC), time.monotonic()
    session = LaptopSession(arguments.port, console, REPORT)
    with session.laptop_aws():
        report = run_stages(session, arguments.data)
        session.keep = arguments.keep
        if not session.keep:
            report["resources_left"] = clean_up(session)
        report["began"] = began.isoformat(timespec="seconds")
        report["seconds"] = session.seconds | {"total": round(time.monotonic() - since, 1)}
        write_json(REPORT / "summary.json", report)
        with session.stage("page", "Write the page"):
            page = write_demo_page(settings.REPORTS_FOLDER, settings.STAGED_FOLDER, DEFINITION)
        show(report, console)
        console.print(f"Page of this run: {page.resolve().as_uri()}", markup=False, soft_wrap=True)
        check(report)
    if session.keep:
        console.print(next_commands(arguments.port), markup=False, highlight=False)


def delete_older_run() -> None:
    """Delete the report of an older run, so that a failed run does not leave it as its own."""
    for path in (REPORT / "summary.json", REPORT / "index.html", *REPORT.glob("page-*.png")):
        path.unlink(missing_ok=True)
    shutil.rmtree(REPORT / "monitor", ignore_errors=True)


def run_stages(session: LaptopSession, data: str) -> dict[str, Any]:
    """Run all stages up to the evaluation; return the report without times."""
    python = sys.executable
    staged = settings.STAGED_FOLDER
    with session.stage("stage_data", "Stage the pictures"):
        session.run(python, "-m", "training.stage_data", data, "--out", str(staged))
    with session.stage("create_endpoint", "Train a model and create its endpoint"):
        session.run(python, "-m", "training.create_endpoint")
    created = json.loads(CREATE_REPORT.read_text())
    parameters = created["deploy_parameters"]  # with the threshold that the model recommends
    session.deploy(parameters)
    with session.stage("workflow", "Upload the test pictures; each starts the workflow"):
        manifest = json.loads((staged / "manifest.json").read_text())
        expected = sum(manifest["counts"]["test"].values())
        pictures, transitions = run_workflow(session, staged / "test", expected)
    with session.stage("monitor", "Report on the captured calls of the endpoint"):
        # Before the evaluation classifies the same pictures again, which would overstate the significance of drift.
        calls = sum(p.outcome != FAILED for p in pictures) + SMOKE_TESTS
        monitor = run_monitor(session, created, calls)
    with session.stage("evaluate", "Evaluate the endpoint"):
        session.run(python, "-m", "training.evaluate", "--staged", str(staged))
    evaluation = json.loads(EVALUATION.read_text())
    training = created["training"]
    return {
        "source": manifest["source"],
        "data": manifest["counts"],
        "training": {name: training[name] for name in ("seconds", "validation_accuracy")},
        **figures(pictures, float(parameters["ConfidenceThreshold"])),
        "recommendation": created["recommendation"],
        "evaluated_threshold": evaluation["threshold"],
        "expected_calibration_error": evaluation["expected_calibration_error"],
        "monitor": monitor,
        "failures": [f"{p.key}: {p.error}" for p in pictures if p.outcome == FAILED],
        "transitions": transitions,
        "pictures": [asdict(p) for p in pictures],
    }


def run_workflow(
    session: LaptopSession, folder: Path, expected: int
) -> tuple[list[PictureOutcome], list[dict[str, Any]]]:
    """Send the pictures below `folder` to the inbox; return the outcomes, and the counts of state transitions."""
    session.run(sys.executable, "-m", "operations.send_pictures", str(folder))
    outputs = stack_outputs(session.client("cloudformation"), settings.project().stack_name)
    stepfunctions = session.client("stepfunctions")
    timeout_s = SECONDS_TO_START + SECONDS_PER_PICTURE * expected
    with progress_bar(session.console, "Executions") as report:
        executions = wait_for_executions(stepfunctions, outputs["StateMachineArn"], lambda: expected, timeout_s, report)
    found = picture_outcomes(
        stepfunctions,
        executions,
        read_predictions(session.client("dynamodb"), outputs["PredictionsTableName"]),
        queued_reviews(session.client("sqs"), outputs["ReviewQueueUrl"]),
    )
    with progress_bar(session.console, "Histories") as report:
        return found, count_transitions(stepfunctions, executions, report)


def run_monitor(session: LaptopSession, created: dict[str, Any], calls: int) -> dict[str, Any]:
    """Report on the captures once they have so many calls; return the main figures."""
    prefix = f"{settings.CAPTURES_PREFIX}/{created['endpoint']}/"
    s3 = session.client("s3")
    wait_for_captures(s3, created["bucket"], prefix, calls, SECONDS_TO_CAPTURE)
    folder = REPORT / "monitor"
    session.run(sys.executable, "-m", "operations.monitor", "--out", str(folder))
    found = json.loads((folder / "monitor.json").read_text())
    drift = found["drift"]
    return {name: found[name] for name in MONITORED} | {"drifted": drift["drifted"], "drift_verdict": drift["verdict"]}


def clean_up(session: LaptopSession) -> int:
    """Delete all resources of the demo; return how many are left, and name them."""
    with session.stage("clean_up", "Clean up"):
        session.run(sys.executable, "-m", "training.cleanup", "--yes")
        session.run("sam", "delete", "--no-prompts", "--config-env", "local", log="sam-delete.log")
        left = leftovers(session.client, session.environment["AWS_REGION"])
        for name in left:
            session.console.print(f"left: {name}", markup=False, style="red")
    return len(left)


def show(report: dict[str, Any], console: Console) -> None:
    """Print the figures, and the path of the run's files."""
    table = Table(title="Result", show_header=False)
    for split, counts in report["data"].items():
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        table.add_row(f"{split} pictures", Text(listed))  # a class may be called [so]
    table.add_row("training", f"{report['training']['seconds']} s")
    table.add_row("validation accuracy", percent(report["training"]["validation_accuracy"]))
    table.add_section()
    executions = report["executions"]
    table.add_row("executions", str(executions["started"]))
    table.add_row("  accepted", f"{executions['accepted']} (recorded in the predictions table)")
    table.add_row("  review", f"{executions['review']} (sent to the review queue)")
    table.add_row("  failed", str(executions["failed"]))
    table.add_section()
    table.add_row("threshold", f"{report['threshold']:g} ({threshold_reason(report)})")
    table.add_row("accuracy, all test pictures", percent(report["accuracy"]))
    table.add_row("accuracy, accepted answers", percent(report["accuracy_accepted"]))
    table.add_row("coverage (share accepted)", percent(report["coverage"]))
    table.add_row("expected calibration error", percent(report["expected_calibration_error"]))
    monitor = report["monitor"]
    table.add_row("calls captured", f"{monitor['predictions']} ({monitor['damaged']} damaged)")
    table.add_row("drift", Text(monitor["drift_verdict"]))
    table.add_section()
    for stage, seconds in report["seconds"].items():
        table.add_row(stage.replace("_", " "), f"{seconds} s")
    if "resources_left" in report:
        table.add_section()
        table.add_row("resources left", str(report["resources_left"]))
    console.print(table)
    console.print(f"Figures: {REPORT / 'summary.json'}; logs beside it.", markup=False)


def check(report: dict[str, Any]) -> None:
    """Raise RunCheckError unless every picture has an outcome and no resource is left."""
    executions, monitor, left = report["executions"], report["monitor"], report.get("resources_left", 0)
    expected = sum(report["data"]["test"].values())
    below, threshold = report["accepted_below_threshold"], report["threshold"]
    problems = (
        (executions["started"] != expected, f"{executions['started']} executions for {expected} pictures"),
        (executions["failed"], f"{executions['failed']} executions failed: {', '.join(report['failures'][:1])}"),
        (below, f"{below} answers accepted below the threshold"),
        (monitor["damaged"], f"{monitor['damaged']} of {monitor['lines']} captured calls are damaged"),
        (left, f"{left} resources left"),
        *(
            (used != threshold, f"{step} at a threshold of {used:g} and deployed with {threshold:g}")
            for step, used in (("evaluated", report["evaluated_threshold"]), ("monitored", monitor["threshold"]))
        ),
    )
    if found := [text for problem, text in problems if problem]:
        raise RunCheckError("; ".join(found))


def next_commands(laptop_port: int) -> str:
    """Return commands for a laptop's AWS that was kept running."""
    option = f" --port {laptop_port}" if laptop_port != DEFAULT_PORT else ""
    return f"""\
The laptop's AWS is still running. Try:
    . .venv/bin/activate && eval "$(python -m local env{option})"
    python -m operations.send_pictures events/pictures
    sam remote invoke MyStateMachine --event-file events/my_state_machine.json --config-env local
    sam logs --config-env local
and in the end:
    python -m training.cleanup --yes && sam delete --no-prompts --config-env local
    python -m local stop"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Stage, train, serve, deploy, classify the test split, evaluate and clean up, on the laptop's AWS.",
    )
    data_help = (
        "what to stage: synthetic (the default), cifar100, or the path of an archive or of a folder of"
        " <class>/<picture> files"
    )
    parser.add_argument("data", metavar="SOURCE", nargs="?", default="synthetic", help=data_help)
    add_port_argument(parser)
    keep_help = "leave everything running at the end, and print commands to try"
    parser.add_argument("--keep", action="store_true", help=keep_help)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
