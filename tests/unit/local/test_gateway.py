"""The gateway rejects web browsers and foreign host names."""

import asyncio
import json
from typing import Any
from unittest.mock import AsyncMock

import pytest

from local.gateway import Gateway

PAGE = "https://example.org"


@pytest.fixture
def ministack() -> AsyncMock:
    """MiniStack's application."""
    return AsyncMock()


def send_request(ministack: AsyncMock, headers: dict[str, str], kind: str = "http", **scope: str) -> list[Any]:
    """Send one request through a gateway on port 4599 and return the messages that answer it."""
    send, receive = AsyncMock(), AsyncMock(return_value={"type": "http.request", "body": b""})
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = {"type": kind, "method": "POST", "path": "/", "headers": raw} | scope
    unreached: Any = None
    asyncio.run(Gateway(ministack, unreached, 4599, unreached)(request, receive, send))
    return [call.args[0] for call in send.await_args_list]


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site"])
@pytest.mark.parametrize("value", [PAGE, "null", "none", "cross-site", "http://127.0.0.1:4599"])
@pytest.mark.parametrize("path", ["/2015-03-31/functions", "/_local/faults/scones", "/endpoints/scones/invocations"])
@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "GET"])
def test_request_of_browser_is_forbidden(ministack, name, value, path, method):
    start, body = send_request(ministack, {"Host": "127.0.0.1:4599", name: value}, path=path, method=method)
    assert start["status"] == 403
    assert "does not answer web browsers" in json.loads(body["body"])["error"]
    assert not [name for name, _ in start["headers"] if name.startswith(b"access-control")]
    ministack.assert_not_awaited()


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1", "127.0.0.1:4598", "localhost", "evil.example:4599", "pictures.s3.localhost"],
)
def test_request_for_foreign_host_is_forbidden(ministack, host):
    """A page whose host name resolves to 127.0.0.1 sends no Origin with a GET."""
    start, body = send_request(ministack, {"Host": host} if host else {})
    assert start["status"] == 403
    assert f"for the host {host!r}: use http://127.0.0.1:4599" in json.loads(body["body"])["error"]
    ministack.assert_not_awaited()


@pytest.mark.parametrize("host", ["127.0.0.1:4599", "localhost:4599", "LocalHost:4599", "laptop-aws:4566"])
def test_request_for_own_host_reaches_ministack(ministack, host):
    assert send_request(ministack, {"Host": host}, path="/bucket/key") == []
    [scope, _, _] = ministack.await_args.args
    assert scope["path"] == "/bucket/key"


def test_web_socket_of_browser_is_closed(ministack):
    headers = {"Host": "127.0.0.1:4599", "Origin": PAGE}
    assert send_request(ministack, headers, kind="websocket") == [{"type": "websocket.close"}]
    ministack.assert_not_awaited()
