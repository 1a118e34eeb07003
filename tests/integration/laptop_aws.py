"""A laptop's AWS for tests, on a free port and with a temporary state folder."""

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from local.address import client_environment

ROOT = Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::000000000000:role/test"
T = TypeVar("T")


@dataclass(frozen=True)
class LaptopAws:
    """A running laptop's AWS; tests/conftest.py sets the credentials."""

    endpoint_url: str
    env: dict[str, str]  # the environment variables that point AWS's tools at it
    state: Path  # its state folder, with logs and files of jobs and endpoints

    def client(self, service: str, **config: Any) -> Any:
        """Return a boto3 client; `config` are arguments of botocore's Config."""
        region = self.env["AWS_REGION"]
        return boto3.client(service, endpoint_url=self.endpoint_url, region_name=region, config=Config(**config))

    def control(self, method: str, path: str, members: object = None) -> Any:
        """Send a request to a path below `/_local/` and return the JSON of its answer."""
        body = None if members is None else json.dumps(members).encode()
        url = f"{self.endpoint_url}{path}"
        request = urllib.request.Request(url, body, method=method)  # noqa: S310  http on loopback
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  as above
            return json.loads(response.read())

    def create_function(self, text: str, **settings: Any) -> str:
        """Create a function from the text of its module, and return its name."""
        name = unique("function")
        self.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": zipped(text)},
            **({"Timeout": 60} | settings),
        )
        return name

    def invoke(self, function: str, event: object = None) -> tuple[str | None, Any]:
        """Return the error mark of an invocation, or None, and its payload."""
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        return answer.get("FunctionError"), json.loads(answer["Payload"].read())

    def create_machine(self, definition: dict[str, Any], **settings: Any) -> str:
        """Create a state machine and return its ARN; a definition without `States` is its only state."""
        if "States" not in definition:
            definition = {"StartAt": "Only", "States": {"Only": definition | {"End": True}}}
        answer = self.client("stepfunctions").create_state_machine(
            name=unique("machine"), definition=json.dumps(definition), roleArn=ROLE, **settings
        )
        return str(answer["stateMachineArn"])

    def start(self, machine: str, event: object = None) -> str:
        """Start an execution and return its ARN."""
        started = self.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(event or {}))
        return str(started["executionArn"])

    def ended(self, execution: str, seconds: float = 90) -> Any:
        """Return the description of an execution after its end."""
        stepfunctions = self.client("stepfunctions")

        def poll() -> Any:
            found = stepfunctions.describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        return wait_until(poll, seconds)

    def execute(self, machine: str, event: object = None) -> Any:
        """Run a state machine and return the description of the execution after its end."""
        return self.ended(self.start(machine, event))

    def statistics(self, namespace: str, name: str, **dimensions: str) -> Any:
        """Return the statistics of a metric over the last hours, or None without data points."""
        now = datetime.now(UTC)
        found = self.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - timedelta(hours=12),
            EndTime=now + timedelta(minutes=1),
            Period=3600 * 24,
            Statistics=["Sum", "SampleCount", "Maximum"],
        )["Datapoints"]
        [point] = found or [None]
        return point

    def create_queue(self) -> tuple[str, str]:
        """Create a queue and return its URL and ARN."""
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def send_events_to_queue(self, pattern: dict[str, Any], input_path: str) -> str:
        """Send matching events of EventBridge to a new queue and return its URL."""
        url, arn = self.create_queue()
        events, name = self.client("events"), unique("rule")
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn, "InputPath": input_path}])
        return url

    def receive(self, queue: str, **settings: Any) -> list[Any]:
        """Receive up to ten messages of a queue, and return their JSON."""
        answer = self.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, **settings)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def task(function: str, **fields: Any) -> dict[str, Any]:
    """Return a Task state that invokes a function with its input."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload.$": "$"},
        "OutputPath": "$.Payload",
    } | fields


def unique(kind: str) -> str:
    """Return a new name."""
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def zipped(text: str) -> bytes:
    """Return the package of a function with one module, app.py."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", text)
    return package.getvalue()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_address() -> str:
    """Return an address of this machine other than 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        try:
            route.connect(("192.0.2.1", 9))  # sends nothing; selects the address of the interface
        except OSError:
            return "127.0.0.2"
        address = str(route.getsockname()[0])
    return address if address != "127.0.0.1" else "127.0.0.2"


def is_listening(address: str, port: int) -> bool:
    """Tell whether a server accepts connections."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def local_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m local` with arguments."""
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@contextmanager
def run_laptop_aws(state: Path) -> Iterator[LaptopAws]:
    """Start a laptop's AWS on a free port with a state folder; stop it at the end."""
    port = free_port()
    started = local_command("start", "--port", str(port), "--state-dir", str(state))
    assert started.returncode == 0, started.stderr
    environment = client_environment(port)
    try:
        yield LaptopAws(environment["AWS_ENDPOINT_URL"], environment, state)
    finally:
        stopped = local_command("stop", "--state-dir", str(state))
    assert stopped.returncode == 0, stopped.stderr


def wait_until(poll: Callable[[], T | None], seconds: float = 90.0) -> T:
    """Poll until the result is true and return it; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not (found := poll()):
        if time.monotonic() > deadline:
            pytest.fail(f"nothing within {seconds} s; last result: {found!r}")
        time.sleep(0.05)
    return found


def processes(marks: list[str]) -> set[int]:
    """Return the ids of the processes with one of the marks in their command line or folder."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            seen = (folder / "cmdline").read_text() + os.readlink(folder / "cwd")
            alive = "\nState:\tZ" not in (folder / "status").read_text()
        except OSError:
            continue
        if alive and any(mark in seen for mark in marks):
            found.add(int(folder.name))
    return found
