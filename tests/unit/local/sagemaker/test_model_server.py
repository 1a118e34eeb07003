"""Restart of a model server whose process has ended."""

import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from local.sagemaker.host import Host
from local.sagemaker.model_server import ModelServer

ENDED: Any = Mock(poll=lambda: 1)


@pytest.fixture
def children() -> Mock:
    """Starts and stops processes."""
    return Mock()


@pytest.fixture
def server(tmp_path: Path, children: Mock) -> ModelServer:
    """A server whose process has ended."""
    host = Host(tmp_path, "http://127.0.0.1:1", children, Mock(), Mock())
    server = ModelServer("scones", {"VariantName": "AllTraffic"}, tmp_path, host)
    server._process = ENDED
    (tmp_path / "log.txt").touch()
    return server


def wait_for_revival() -> None:
    for thread in threading.enumerate():
        if thread.name == "revive AllTraffic":
            thread.join(60)
            assert not thread.is_alive()


def test_revive_while_stopping_stops_the_new_process(server, children):
    started = Mock()

    def stop_and_start(*_: object) -> Mock:
        server.stop()
        return started

    children.start.side_effect = stop_and_start
    server.revive()
    wait_for_revival()
    children.stop.assert_called_with(started)
    server.revive()  # does nothing once stopped
    children.start.assert_called_once()


def test_revive_twice_during_a_slow_start_starts_one_process(server, children):
    begun, go_on = threading.Event(), threading.Event()

    def start_slowly(*_: object) -> Any:
        begun.set()
        assert go_on.wait(60)
        return ENDED

    children.start.side_effect = start_slowly
    server.revive()
    assert begun.wait(60)
    server.revive()
    go_on.set()
    wait_for_revival()
    children.start.assert_called_once()


def test_revive_with_failing_start_is_logged_and_repeated(server, children, caplog):
    children.start.side_effect = [OSError("Cannot allocate memory"), ENDED]
    server.revive()
    wait_for_revival()
    assert "Variant AllTraffic could not be restarted" in caplog.text
    assert "Cannot allocate memory" in caplog.text
    server.revive()
    wait_for_revival()
    assert children.start.call_count == 2
    assert "did not pass the ping health check" in caplog.text
