"""A container that dies: started again once at a time, in the background, and not after `stop`."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.sagemaker.host import Host
from local.sagemaker.model_server import ModelServer


class Process:
    """A process that has ended with an exit code, or runs: None."""

    def __init__(self, exit_code: int | None) -> None:
        self.exit_code = exit_code

    def poll(self) -> int | None:
        return self.exit_code


class Clients:
    """The clients of an AWS that no test here asks anything."""

    logs = boto3.client("logs", region_name="us-east-1")


class Children:
    """Starts what the test says, and takes down what is stopped."""

    def __init__(self) -> None:
        self.starting: Callable[[], Any] = lambda: Process(None)
        self.stopped: list[Any] = []

    def start(self, *_: object) -> Any:
        return self.starting()

    def stop(self, process: Any) -> None:
        self.stopped.append(process)


@pytest.fixture
def children() -> Children:
    return Children()


@pytest.fixture
def server(tmp_path: Path, children: Children) -> ModelServer:
    """A server whose process has died."""
    clients: Any = Clients()
    starter: Any = children
    host = Host(tmp_path, "http://127.0.0.1:1", clients, starter)
    server = ModelServer("scones", {"VariantName": "AllTraffic"}, tmp_path, host)
    dead: Any = Process(1)
    server._process = dead
    return server


def revive(server: ModelServer) -> None:
    """Have a server started again and wait until that is over."""
    server.revive()
    wait_for_revival()


def wait_for_revival() -> None:
    for thread in threading.enumerate():
        if thread.name == "revive AllTraffic":
            thread.join(10)
            assert not thread.is_alive()


def test_a_process_that_starts_while_the_server_is_stopped_is_stopped_too(
    server: ModelServer, children: Children
) -> None:
    started = Process(None)

    def stopped_meanwhile() -> Process:
        server.stop()
        return started

    children.starting = stopped_meanwhile
    revive(server)
    assert children.stopped[-1] is started
    children.starting = pytest.fail
    revive(server)  # does nothing once stopped


def test_it_does_not_wait_for_a_slow_start_and_starts_one_at_a_time(server: ModelServer, children: Children) -> None:
    begun, go_on = threading.Event(), threading.Event()
    starts: list[Process] = []

    def slowly() -> Process:
        starts.append(Process(1))
        begun.set()
        assert go_on.wait(10)
        return starts[-1]

    children.starting = slowly
    server.revive()
    assert begun.wait(10)
    server.revive()
    go_on.set()
    wait_for_revival()
    assert len(starts) == 1


def test_a_start_that_fails_is_logged_and_tried_again(
    server: ModelServer, children: Children, caplog: pytest.LogCaptureFixture
) -> None:
    def without_memory() -> Process:
        raise OSError("Cannot allocate memory")

    children.starting = without_memory
    revive(server)
    assert "Variant AllTraffic is not started again" in caplog.text
    assert "Cannot allocate memory" in caplog.text
    tried = []

    def again() -> Process:
        tried.append(Process(1))
        return tried[-1]

    children.starting = again
    server._log.touch()
    revive(server)
    assert len(tried) == 1
    assert "did not pass the ping health check" in caplog.text
