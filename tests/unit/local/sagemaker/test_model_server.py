"""Restart of a model server whose process has ended."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.sagemaker.host import Host
from local.sagemaker.model_server import ModelServer


class FakeProcess:
    """A process with an exit code, or None while it runs."""

    def __init__(self, exit_code: int | None) -> None:
        self.exit_code = exit_code

    def poll(self) -> int | None:
        return self.exit_code


class FakeClients:
    logs = boto3.client("logs", region_name="us-east-1")


class FakeChildren:
    """Starts what a test sets, and records what is stopped."""

    def __init__(self) -> None:
        self.starting: Callable[[], Any] = lambda: FakeProcess(None)
        self.stopped: list[Any] = []

    def start(self, *_: object) -> Any:
        return self.starting()

    def stop(self, process: Any) -> None:
        self.stopped.append(process)


@pytest.fixture
def children() -> FakeChildren:
    return FakeChildren()


@pytest.fixture
def server(tmp_path: Path, children: FakeChildren) -> ModelServer:
    """A server whose process has ended."""
    clients: Any = FakeClients()
    starter: Any = children
    host = Host(tmp_path, "http://127.0.0.1:1", clients, starter)
    server = ModelServer("scones", {"VariantName": "AllTraffic"}, tmp_path, host)
    dead: Any = FakeProcess(1)
    server._process = dead
    return server


def revive(server: ModelServer) -> None:
    """Revive a server and wait for the end of the revival."""
    server.revive()
    wait_for_revival()


def wait_for_revival() -> None:
    for thread in threading.enumerate():
        if thread.name == "revive AllTraffic":
            thread.join(60)
            assert not thread.is_alive()


def test_revive_while_stopping_stops_the_new_process(server: ModelServer, children: FakeChildren) -> None:
    started = FakeProcess(None)

    def stopped_meanwhile() -> FakeProcess:
        server.stop()
        return started

    children.starting = stopped_meanwhile
    revive(server)
    assert children.stopped[-1] is started
    children.starting = pytest.fail
    revive(server)  # does nothing once stopped


def test_revive_twice_during_a_slow_start_starts_one_process(server: ModelServer, children: FakeChildren) -> None:
    begun, go_on = threading.Event(), threading.Event()
    starts: list[FakeProcess] = []

    def slowly() -> FakeProcess:
        starts.append(FakeProcess(1))
        begun.set()
        assert go_on.wait(60)
        return starts[-1]

    children.starting = slowly
    server.revive()
    assert begun.wait(60)
    server.revive()
    go_on.set()
    wait_for_revival()
    assert len(starts) == 1


def test_revive_with_failing_start_is_logged_and_repeated(
    server: ModelServer, children: FakeChildren, caplog: pytest.LogCaptureFixture
) -> None:
    def without_memory() -> FakeProcess:
        raise OSError("Cannot allocate memory")

    children.starting = without_memory
    revive(server)
    assert "Variant AllTraffic could not be restarted" in caplog.text
    assert "Cannot allocate memory" in caplog.text
    tried = []

    def again() -> FakeProcess:
        tried.append(FakeProcess(1))
        return tried[-1]

    children.starting = again
    server._log.touch()
    revive(server)
    assert len(tried) == 1
    assert "did not pass the ping health check" in caplog.text
