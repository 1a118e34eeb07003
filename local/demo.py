"""The whole workflow on a laptop, from pictures to answers: `python -m local.demo` (`make demo`).

Runs the very commands that a user runs on AWS, one after the other, against the laptop's AWS.
"""

import argparse
import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.control import DEFAULT_STATE, find_running
from local.demo_leftovers import leftovers
from local.demo_outcomes import (
    Outcome,
    figures,
    outcomes,
    queued_reviews,
    recorded_predictions,
    wait_for_executions,
)
from local.server import DEFAULT_PORT, UNSET, client_environment
from training import settings
from training.errors import ExpectedError
from training.progress import progress_bar
from training.reports import write_json
from training.send_pictures import stack_outputs
from training.waiting import make_console

REPORT = settings.REPORTS_FOLDER / "demo"
CREATE_REPORT = settings.REPORTS_FOLDER / "create_endpoint" / "endpoint.json"
# What one execution may take, times the pictures, and a start: a bound for a machine far slower
# than the 0.3 s that one takes on two cores.
SECONDS_PER_PICTURE = 3
SECONDS_TO_START = 120
LOG_LINES_SHOWN = 30


class AlreadyRunningError(ExpectedError):
    """A laptop's AWS is there already, with things in it that are not the demo's."""


class CommandFailedError(ExpectedError):
    """A command of the demo ended with a status other than 0."""


class PicturesLostError(ExpectedError):
    """The run ended, and its figures are not what they must be."""


class Demo:
    """One run: its environment, its console, and the seconds that each stage took."""

    def __init__(self, environment: Mapping[str, str], console: Console) -> None:
        """Run commands in this process's environment, with `environment` on top."""
        # The venv's own commands, `sam` above all, also where the venv is not activated.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        caller = {name: value for name, value in os.environ.items() if name not in UNSET}
        self.environment = {**caller, "PATH": path, **environment}
        self.console = console
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        """Head a stage with its title and note how long it takes."""
        self.console.rule(f"[bold]{len(self.seconds) + 1}. {title}", align="left")
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 1)
        self.console.print(f"[dim]{self.seconds[name]} s[/]")

    def run(self, *command: str, log: str | None = None) -> None:
        """Run a command as a user would type it; with `log`, keep its output in that file.

        Raises CommandFailedError.
        """
        shown = shlex.join("python" if part == sys.executable else part for part in command)
        self.console.print(f"[bold]$[/] {shown}", highlight=False)
        if log is None:
            status = subprocess.run(command, env=self.environment, check=False).returncode  # noqa: S603  our own commands
            words = ""
        else:
            path = REPORT / log
            with path.open("w") as output, self.console.status(f"{shown} (output in {path})"):
                status = subprocess.run(  # noqa: S603  our own commands
                    command,
                    env=self.environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    check=False,
                ).returncode
            words = "\n".join(path.read_text().splitlines()[-LOG_LINES_SHOWN:])
        if status:
            raise CommandFailedError(f"{words}\n`{shown}` ended with status {status}.".strip())

    def client(self, service: str) -> Any:
        """Return a boto3 client for the laptop's AWS."""
        import boto3  # noqa: PLC0415  --help does without

        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )


def main(argv: list[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    arguments = parse_arguments(argv)
    console = make_console()
    REPORT.mkdir(parents=True, exist_ok=True)
    try:
        run(arguments, console)
    except ExpectedError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; the laptop's AWS is stopped", file=sys.stderr)
        return 130
    return 0


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start the laptop's AWS, go through every stage, report, and stop it unless it is kept."""
    running = find_running(DEFAULT_STATE)
    if running:
        raise AlreadyRunningError(
            f"The laptop's AWS runs already, at {running.url}, and the demo wants a fresh one:"
            " end it with `python -m local stop`."
        )
    (REPORT / "summary.json").unlink(missing_ok=True)  # a run that fails leaves no older figures
    began = time.monotonic()
    python = sys.executable
    demo = Demo(client_environment(arguments.port), console)
    keep = False
    try:
        with demo.stage("laptop_aws", "Start the laptop's AWS"):
            demo.run(python, "-m", "local", "start", "--port", str(arguments.port))
        report = go_through(demo, arguments.data)
        keep = arguments.keep
        if not keep:
            report["resources_left"] = clean_up(demo)
        report["seconds"] = demo.seconds | {"total": round(time.monotonic() - began, 1)}
        write_json(REPORT / "summary.json", report)
        show(report, console)
        check(report)
    finally:
        if keep:
            console.print(what_to_try(arguments.port), markup=False, highlight=False)
        elif find_running(DEFAULT_STATE):
            demo.run(python, "-m", "local", "stop")


def go_through(demo: Demo, data: str) -> dict[str, Any]:
    """Run all stages up to the evaluation; return the report without times."""
    python = sys.executable
    staged = settings.STAGED_FOLDER
    with demo.stage("stage_data", "Stage the pictures"):
        demo.run(python, "-m", "training.stage_data", data, "--out", str(staged))
    with demo.stage("create_endpoint", "Train a model and create its endpoint"):
        demo.run(python, "-m", "training.create_endpoint")
    with demo.stage("sam_build", "Build the functions"):
        demo.run("sam", "build", log="sam-build.log")
    with demo.stage("sam_deploy", "Deploy the workflow"):
        demo.run("sam", "deploy", "--config-env", "local", log="sam-deploy.log")
    with demo.stage("workflow", "Upload the test pictures; each starts the workflow"):
        manifest = json.loads((staged / "manifest.json").read_text())
        pictures = run_workflow(demo, staged / "test", sum(manifest["counts"]["test"].values()))
    with demo.stage("evaluate", "Evaluate the endpoint"):
        demo.run(python, "-m", "training.evaluate", "--staged", str(staged))
    training = json.loads(CREATE_REPORT.read_text())["training"]
    return {
        "data": manifest["counts"],
        "training": {
            "seconds": training["seconds"],
            "validation_accuracy": training["validation_accuracy"],
        },
        **figures(pictures, settings.CONFIDENCE_THRESHOLD),
        "failures": [f"{p.key}: {p.error}" for p in pictures if p.place == "failed"],
    }


def run_workflow(demo: Demo, folder: Path, expected: int) -> list[Outcome]:
    """Send the pictures below `folder` to the inbox and return where each ended up."""
    demo.run(sys.executable, "-m", "training.send_pictures", str(folder))
    outputs = stack_outputs(demo.client("cloudformation"), settings.STACK_NAME)
    stepfunctions = demo.client("stepfunctions")
    with progress_bar(demo.console, "Executions") as report:
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
        recorded_predictions(demo.client("dynamodb"), outputs["PredictionsTableName"]),
        queued_reviews(demo.client("sqs"), outputs["ReviewQueueUrl"]),
    )


def clean_up(demo: Demo) -> int:
    """Delete all that the demo made; return how many resources are left, and name them."""
    with demo.stage("clean_up", "Clean up"):
        demo.run(sys.executable, "-m", "training.cleanup", "--yes")
        demo.run("sam", "delete", "--no-prompts", "--config-env", "local", log="sam-delete.log")
        left = leftovers(demo.client, demo.environment["AWS_REGION"])
        for name in left:
            demo.console.print(f"left: {name}", markup=False, style="red")
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
    table.add_row("threshold", str(report["threshold"]))
    table.add_row("accuracy, all test pictures", percent(report["accuracy"]))
    table.add_row("accuracy, accepted answers", percent(report["accuracy_accepted"]))
    table.add_row("coverage (share accepted)", percent(report["coverage"]))
    table.add_section()
    for stage, seconds in report["seconds"].items():
        table.add_row(stage.replace("_", " "), f"{seconds} s")
    if "resources_left" in report:
        table.add_section()
        table.add_row("resources left", str(report["resources_left"]))
    console.print(table)
    console.print(f"Figures: {REPORT / 'summary.json'}; logs beside it.", markup=False)


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
