"""Run the commands of this project against a fresh laptop's AWS."""

import argparse
import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from common.arguments import port
from common.errors import ExpectedError
from local.address import DEFAULT_PORT, UNSET, client_environment
from local.control import DEFAULT_STATE, find_running
from training.endpoint.deployment import parameter_overrides

LOG_LINES_SHOWN = 30
INTERRUPTED_SECONDS = 60  # for a command to end after Ctrl-C


class CommandFailedError(ExpectedError):
    """A command ended with a status other than 0."""


class LaptopAwsRunningError(ExpectedError):
    """A laptop's AWS is already running."""


def add_port_argument(parser: argparse.ArgumentParser) -> None:
    """Add --port."""
    port_help = f"loopback port of the laptop's AWS ({DEFAULT_PORT})"
    parser.add_argument("--port", metavar="N", type=port, default=DEFAULT_PORT, help=port_help)


class LaptopSession:
    """The commands of one run: their environment, their console, and the seconds of each stage."""

    def __init__(self, port: int, console: Console, report: Path) -> None:
        """Run commands against the laptop's AWS on a port; write their logs into `report`."""
        caller = {name: value for name, value in os.environ.items() if name not in UNSET}
        self.environment = {**caller, "PATH": command_path(), **client_environment(port)}
        self.console = console
        self.port = port
        self.report = report
        self.seconds: dict[str, float] = {}
        self.keep = False  # whether the laptop's AWS stays running at the end

    @contextlib.contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        """Print a stage's title and measure its time."""
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
        output = ""
        if log is None:
            status = wait(subprocess.Popen(command, env=self.environment))  # noqa: S603  our own commands
        else:
            path = self.report / log
            with path.open("w") as file, self.console.status(f"{shown} (output in {path})"):
                streams: Any = {"stdout": file, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
                status = wait(subprocess.Popen(command, env=self.environment, **streams))  # noqa: S603
            output = "\n".join(path.read_text().splitlines()[-LOG_LINES_SHOWN:])
        if status:
            raise CommandFailedError(f"{output}\n`{shown}` ended with status {status}.".strip())

    def client(self, service: str, **config: Any) -> Any:
        """Return a boto3 client for the laptop's AWS; `config` goes into botocore's Config."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(**config),
        )

    @contextlib.contextmanager
    def laptop_aws(self) -> Iterator[None]:
        """Start a fresh laptop's AWS; stop it at the end. Raises LaptopAwsRunningError."""
        running = find_running(DEFAULT_STATE)
        if running:
            raise LaptopAwsRunningError(
                f"The laptop's AWS is already running at {running.url}, and this needs a fresh one: stop it with"
                " `python -m local stop`."
            )
        with self.stage("laptop_aws", "Start the laptop's AWS"):
            self.run(sys.executable, "-m", "local", "start", "--fresh", "--port", str(self.port))
        try:
            yield
        finally:
            if not self.keep and find_running(DEFAULT_STATE):
                self.run(sys.executable, "-m", "local", "stop")

    def prepare_workflow(self, pictures_per_class: int, epochs: int) -> Path:
        """Draw pictures, train a small model, create its endpoint and deploy the workflow.

        Returns the staged folder. Raises CommandFailedError.
        """
        staged = self.report / "staged"
        python = (sys.executable, "-m")
        with self.stage("stage_data", "Draw the pictures"):
            options = ("--count", str(pictures_per_class), "--out", str(staged))
            self.run(*python, "training.stage_data", "synthetic", *options)
        with self.stage("create_endpoint", "Train a small model and create its endpoint"):
            epochs_option = f"epochs={epochs}"
            self.run(*python, "training.create_endpoint", "--hyperparameters", epochs_option, log="create-endpoint.log")
        self.deploy()
        return staged

    def deploy(self, parameters: Mapping[str, str] | None = None) -> None:
        """Build the functions and deploy the workflow, with these parameters or samconfig.toml's.

        Raises CommandFailedError.
        """
        overrides = parameter_overrides(parameters) if parameters else []
        with self.stage("sam_build", "Build the functions"):
            self.run("sam", "build", log="sam-build.log")
        with self.stage("sam_deploy", "Deploy the workflow"):
            self.run("sam", "deploy", "--config-env", "local", *overrides, log="sam-deploy.log")


def command_path() -> str:
    """Return PATH with this environment's commands first, `sam` above all, also if it is not activated."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def wait(process: "subprocess.Popen[bytes]") -> int:
    """Return the process's exit status. On Ctrl-C, which reaches the process too, give it time to end."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(INTERRUPTED_SECONDS)
        process.kill()  # does nothing to one that has ended
        raise
