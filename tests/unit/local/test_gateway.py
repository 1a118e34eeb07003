"""The gateway rejects web browsers and foreign host names."""

import asyncio
import json
from typing import Any

import pytest

from local.gateway import Gateway

PAGE = "https://example.org"


class MiniStack:
    """Records the paths that reach it."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: dict[str, Any], _receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def send_request(
    ministack: MiniStack, headers: dict[str, str], kind: str = "http", **scope: str
) -> list[dict[str, Any]]:
    """Send one request through a gateway on port 4599 and return the messages that answer it."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = {"type": kind, "method": "POST", "path": "/", "headers": raw} | scope
    sagemaker: Any = None  # no request reaches it
    controls: Any = None
    asyncio.run(Gateway(ministack, sagemaker, 4599, controls)(request, receive, send))
    return sent


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site"])
@pytest.mark.parametrize("value", [PAGE, "null", "none", "cross-site", "http://127.0.0.1:4599"])
@pytest.mark.parametrize("path", ["/2015-03-31/functions", "/_local/faults/scones", "/endpoints/scones/invocations"])
@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "GET"])
def test_request_of_browser_is_forbidden(name, value, path, method):
    ministack = MiniStack()
    start, body = send_request(ministack, {"Host": "127.0.0.1:4599", name: value}, path=path, method=method)
    assert start["status"] == 403
    assert "does not answer web browsers" in json.loads(body["body"])["error"]
    assert not [name for name, _ in start["headers"] if name.startswith(b"access-control")]
    assert ministack.paths == []


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1", "127.0.0.1:4598", "localhost", "evil.example:4599", "pictures.s3.localhost"],
)
def test_request_for_foreign_host_is_forbidden(host):
    """A page whose host name resolves to 127.0.0.1 sends no Origin with a GET."""
    ministack = MiniStack()
    start, body = send_request(ministack, {"Host": host} if host else {})
    assert start["status"] == 403
    assert f"for the host {host!r}: use http://127.0.0.1:4599" in json.loads(body["body"])["error"]
    assert ministack.paths == []


@pytest.mark.parametrize("host", ["127.0.0.1:4599", "localhost:4599", "LocalHost:4599", "laptop-aws:4566"])
def test_request_for_own_host_is_answered(host):
    ministack = MiniStack()
    start, _ = send_request(ministack, {"Host": host}, path="/bucket/key")
    assert (start["status"], ministack.paths) == (200, ["/bucket/key"])


def test_web_socket_of_browser_is_closed():
    ministack = MiniStack()
    headers = {"Host": "127.0.0.1:4599", "Origin": PAGE}
    assert send_request(ministack, headers, kind="websocket") == [{"type": "websocket.close"}]
    assert ministack.paths == []
