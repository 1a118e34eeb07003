"""Whom the laptop's AWS answers: no web browser, and nobody under another host's name."""

import asyncio
import json
from typing import Any

import pytest

from local.gateway import Gateway

PAGE = "https://example.org"


class MiniStack:
    """Takes down what reaches it."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: dict[str, Any], _receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def ask(ministack: MiniStack, headers: dict[str, str], kind: str = "http", **scope: str) -> list[dict[str, Any]]:
    """Send one request through a gateway on port 4599 and return the messages that answer it."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = {"type": kind, "method": "POST", "path": "/", "headers": raw} | scope
    sagemaker: Any = None  # no request here may get as far
    controls: Any = None
    asyncio.run(Gateway(ministack, sagemaker, 4599, controls)(request, receive, send))
    return sent


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": PAGE},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:4599"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
@pytest.mark.parametrize("path", ["/2015-03-31/functions", "/_local/faults/scones", "/endpoints/scones/invocations"])
@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "GET"])
def test_a_web_browser_is_refused(headers: dict[str, str], path: str, method: str) -> None:
    ministack = MiniStack()
    host = {"Host": "127.0.0.1:4599"}
    start, body = ask(ministack, host | headers, path=path, method=method)
    assert start["status"] == 403
    assert "answers no web browser" in json.loads(body["body"])["error"]
    assert not [name for name, _ in start["headers"] if name.startswith(b"access-control")]
    assert ministack.paths == []


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1", "127.0.0.1:4598", "localhost", "evil.example:4599", "pictures.s3.localhost"],
)
def test_another_hosts_name_is_refused(host: str) -> None:
    """A page whose own name resolves to 127.0.0.1 sends no Origin with a GET."""
    ministack = MiniStack()
    start, body = ask(ministack, {"Host": host} if host else {})
    assert start["status"] == 403
    assert f"for the host {host!r}: use http://127.0.0.1:4599" in json.loads(body["body"])["error"]
    assert ministack.paths == []


@pytest.mark.parametrize("host", ["127.0.0.1:4599", "localhost:4599", "LocalHost:4599", "laptop-aws:4566"])
def test_its_own_names_are_answered(host: str) -> None:
    ministack = MiniStack()
    start, _ = ask(ministack, {"Host": host}, path="/bucket/key")
    assert (start["status"], ministack.paths) == (200, ["/bucket/key"])


def test_a_pages_web_socket_is_refused() -> None:
    ministack = MiniStack()
    headers = {"Host": "127.0.0.1:4599", "Origin": PAGE}
    assert ask(ministack, headers, kind="websocket") == [{"type": "websocket.close"}]
    assert ministack.paths == []
