"""The whole workflow on a laptop, from pictures to answers: `python -m local.demo` (`make demo`).

Runs the very commands that a user runs on AWS, one after the other, against the laptop's AWS.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.demo_leftovers import leftovers
from local.demo_outcomes import (
    Outcome,
    figures,
    outcomes,
    queued_reviews,
    recorded_predictions,
    wait_for_executions,
)
from local.server import DEFAULT_PORT
from local.session import LaptopSession, run_command
from training import settings
from training.errors import ExpectedError
from training.progress import progress_bar
from training.reports import write_json
from training.sending.stack import stack_outputs
from training.waiting import make_console

REPORT = settings.REPORTS_FOLDER / "demo"
CREATE_REPORT = settings.REPORTS_FOLDER / "create_endpoint" / "endpoint.json"
EVALUATION = settings.REPORTS_FOLDER / "evaluate" / "evaluation.json"
# What one execution may take, times the pictures, and a start: a bound for a machine far slower
# than the 0.3 s that one takes on two cores.
SECONDS_PER_PICTURE = 3
SECONDS_TO_START = 120


class PicturesLostError(ExpectedError):
    """The run ended, and its figures are not what they must be."""


def main(argv: list[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    arguments = parse_arguments(argv)
    console = make_console()
    REPORT.mkdir(parents=True, exist_ok=True)
    return run_command("demo", lambda: run(arguments, console))


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start the laptop's AWS, go through every stage, report, and stop it unless it is kept."""
    (REPORT / "summary.json").unlink(missing_ok=True)  # a run that fails leaves no older figures
    began = time.monotonic()
    session = LaptopSession(arguments.port, console, REPORT)
    with session.laptop_aws():
        report = go_through(session, arguments.data)
        session.keep = arguments.keep
        if not session.keep:
            report["resources_left"] = clean_up(session)
        report["seconds"] = session.seconds | {"total": round(time.monotonic() - began, 1)}
        write_json(REPORT / "summary.json", report)
        show(report, console)
        check(report)
    if session.keep:
        console.print(what_to_try(arguments.port), markup=False, highlight=False)


def go_through(session: LaptopSession, data: str) -> dict[str, Any]:
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
        pictures = run_workflow(session, staged / "test", sum(manifest["counts"]["test"].values()))
    with session.stage("evaluate", "Evaluate the endpoint"):
        session.run(python, "-m", "training.evaluate", "--staged", str(staged))
    evaluation = json.loads(EVALUATION.read_text())
    training = created["training"]
    return {
        "data": manifest["counts"],
        "training": {
            "seconds": training["seconds"],
            "validation_accuracy": training["validation_accuracy"],
        },
        **figures(pictures, float(parameters["ConfidenceThreshold"])),
        "recommendation": created["recommendation"],
        "evaluated_threshold": evaluation["threshold"],
        "expected_calibration_error": evaluation["expected_calibration_error"],
        "failures": [f"{p.key}: {p.error}" for p in pictures if p.place == "failed"],
    }


def run_workflow(session: LaptopSession, folder: Path, expected: int) -> list[Outcome]:
    """Send the pictures below `folder` to the inbox and return where each ended up."""
    session.run(sys.executable, "-m", "training.send_pictures", str(folder))
    outputs = stack_outputs(session.client("cloudformation"), settings.STACK_NAME)
    stepfunctions = session.client("stepfunctions")
    with progress_bar(session.console, "Executions") as report:
        executions = wait_for_executions(
            stepfunctions,
            outputs["StateMachineArn"],
            expected,
            SECONDS_TO_START + SECONDS_PER_PICTURE * expected,
            report,
        )
    return outcomes(
        stepfunctions,
        executions,
        recorded_predictions(session.client("dynamodb"), outputs["PredictionsTableName"]),
        queued_reviews(session.client("sqs"), outputs["ReviewQueueUrl"]),
    )


def clean_up(session: LaptopSession) -> int:
    """Delete all that the demo made; return how many resources are left, and name them."""
    with session.stage("clean_up", "Clean up"):
        session.run(sys.executable, "-m", "training.cleanup", "--yes")
        session.run("sam", "delete", "--no-prompts", "--config-env", "local", log="sam-delete.log")
        left = leftovers(session.client, session.environment["AWS_REGION"])
        for name in left:
            session.console.print(f"left: {name}", markup=False, style="red")
    return len(left)


def check(report: dict[str, Any]) -> None:
    """Raise PicturesLostError unless every picture is accounted for and nothing is left."""
    wrong = []
    executions = report["executions"]
    expected = sum(report["data"]["test"].values())
    if executions["started"] != expected:
        wrong.append(f"{executions['started']} executions for {expected} pictures")
    if executions["failed"]:
        wrong.append(f"{executions['failed']} executions failed: {report['failures'][0]}")
    if report["accepted_below_threshold"]:
        wrong.append(f"{report['accepted_below_threshold']} answers accepted below the threshold")
    if report["evaluated_threshold"] != report["threshold"]:
        wrong.append(
            f"evaluated at a threshold of {report['evaluated_threshold']:g} and deployed with"
            f" {report['threshold']:g}"
        )
    if report.get("resources_left"):
        wrong.append(f"{report['resources_left']} resources left")
    if wrong:
        raise PicturesLostError("; ".join(wrong))


def show(report: dict[str, Any], console: Console) -> None:
    """Print what came out, for a person."""
    table = Table(title="What came out", show_header=False)
    for split, counts in report["data"].items():
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        table.add_row(f"{split} pictures", listed)
    table.add_row("training", f"{report['training']['seconds']} s")
    table.add_row("validation accuracy", percent(report["training"]["validation_accuracy"]))
    table.add_section()
    executions = report["executions"]
    table.add_row("executions", str(executions["started"]))
    table.add_row("  accepted", f"{executions['accepted']} (recorded in the predictions table)")
    table.add_row("  below the threshold", f"{executions['below_threshold']} (in the review queue)")
    table.add_row("  failed", str(executions["failed"]))
    table.add_section()
    table.add_row("threshold", threshold_words(report))
    table.add_row("accuracy, all test pictures", percent(report["accuracy"]))
    table.add_row("accuracy, accepted answers", percent(report["accuracy_accepted"]))
    table.add_row("coverage (share accepted)", percent(report["coverage"]))
    table.add_row("expected calibration error", percent(report["expected_calibration_error"]))
    table.add_section()
    for stage, seconds in report["seconds"].items():
        table.add_row(stage.replace("_", " "), f"{seconds} s")
    if "resources_left" in report:
        table.add_section()
        table.add_row("resources left", str(report["resources_left"]))
    console.print(table)
    console.print(f"Figures: {REPORT / 'summary.json'}; logs beside it.", markup=False)


def threshold_words(report: dict[str, Any]) -> str:
    """Say what the threshold is and why."""
    recommendation = report["recommendation"]
    if recommendation is None or recommendation["threshold"] != report["threshold"]:
        return f"{report['threshold']:g} (samconfig.toml)"
    rate = recommendation["max_error" if recommendation["met"] else "error_bound"]
    return f"{report['threshold']:g} (recommended: at most {rate:.1%} errors)"


def percent(value: float | None) -> str:
    """Write a share in [0, 1] as a percentage."""
    return "-" if value is None else f"{value:.1%}"


def what_to_try(port: int) -> str:
    """Return commands for a laptop's AWS that was kept running."""
    given = f" --port {port}" if port != DEFAULT_PORT else ""
    return f"""\
The laptop's AWS is still running. Try:
    . .venv/bin/activate && eval "$(python -m local env{given})"
    python -m training.send_pictures events/pictures
    sam remote invoke MyStateMachine --event-file events/my_state_machine.json --config-env local
    sam logs --config-env local
and in the end:
    python -m training.cleanup --yes && sam delete --no-prompts --config-env local
    python -m local stop"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m local.demo",
        description="Stage, train, serve, deploy, classify the test pictures, evaluate and clean"
        " up, on the laptop's AWS.",
    )
    parser.add_argument("data", metavar="SOURCE", nargs="?", default="synthetic",
        help="what to stage: synthetic (the default), cifar100, or the path of an archive or of a"
        " folder of <class>/<picture> files")  # fmt: skip
    parser.add_argument("--port", metavar="N", type=int, default=DEFAULT_PORT,
        help=f"loopback port of the laptop's AWS ({DEFAULT_PORT})")  # fmt: skip
    parser.add_argument("--keep", action="store_true",
        help="leave everything running at the end, and say what to try")  # fmt: skip
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
