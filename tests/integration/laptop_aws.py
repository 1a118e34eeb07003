"""A laptop's AWS of the tests' own: a free port, a folder for state that goes away with it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from local.address import client_environment

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


@dataclass(frozen=True)
class LaptopAws:
    """A running laptop's AWS.

    Attributes:
        endpoint_url: where it answers.
        env: the environment variables that point AWS's tools at it.
        state: its folder for logs and files of jobs and endpoints.
    """

    endpoint_url: str
    env: dict[str, str]
    state: Path

    def client(self, service: str, **config: Any) -> Any:
        """Return a boto3 client for it; `config` goes into botocore's Config."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  the laptop's AWS knows no other
            region_name=self.env["AWS_REGION"],
            config=Config(**config),
        )


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def local_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m local` with arguments and return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def run_laptop_aws(state: Path) -> Iterator[LaptopAws]:
    """Start a laptop's AWS on a free port, with its files in `state`; stop it at the end."""
    port = free_port()
    started = local_command("start", "--port", str(port), "--state-dir", str(state))
    assert started.returncode == 0, started.stderr
    environment = client_environment(port)
    try:
        yield LaptopAws(environment["AWS_ENDPOINT_URL"], environment, state)
    finally:
        stopped = local_command("stop", "--state-dir", str(state))
    assert stopped.returncode == 0, stopped.stderr


def wait_until(look: Callable[[], T | None], seconds: float = 90.0) -> T:
    """Return what `look` finds, once it finds something true; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"nothing within {seconds} s; last seen: {found!r}")
        time.sleep(0.05)
    return found


def processes(marks: list[str]) -> set[int]:
    """Return the ids of the processes whose command line or folder has one of the marks."""
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
