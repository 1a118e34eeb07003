"""Unit tests open no connection, and use all responses of their stubs."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.aws_stubs import STUBBERS


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: socket.socket, address: object) -> None:
        raise AssertionError(f"a unit test connects to {address!r}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture(autouse=True)
def _stubs() -> Iterator[None]:
    """Check that the test has used all responses of its stubs, and end them."""
    yield
    try:
        for stubber in STUBBERS:
            stubber.assert_no_pending_responses()
    finally:
        for stubber in STUBBERS:
            stubber.deactivate()
        STUBBERS.clear()


@pytest.fixture
def usage_error(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[[Any], object], list[str]], str]:
    """Return a function that parses invalid arguments and returns the message on standard error."""

    def parse_invalid(parse: Callable[[Any], object], arguments: list[str]) -> str:
        with pytest.raises(SystemExit) as ended:
            parse(arguments)
        assert ended.value.code == 2
        return capsys.readouterr().err

    return parse_invalid
