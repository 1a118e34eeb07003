"""The ASGI application on the one port: SageMaker and `/_local/` here, the rest in MiniStack."""

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local.controls import Controls
from local.sagemaker.errors import AwsError
from local.sagemaker.invocations import MAX_BODY_BYTES
from local.sagemaker.stand_in import SageMakerStandIn

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_INVOCATION = re.compile(r"/endpoints/([^/]+)/invocations")
_CONTAINER_HOST = "laptop-aws:4566"  # the name for containers, from docker_network.py
_BROWSER_HEADERS = ("origin", "sec-fetch-site")  # a script in a page cannot omit these
_TARGET_PREFIX = "SageMaker."
# Not the loop's threads: MiniStack's Lambda calls may use all of those while they wait for an
# endpoint, which would then wait for a thread.
_THREADS = 64

logger = logging.getLogger(__name__)


class Gateway:
    """Routes each request to the SageMaker stand-in, to the controls or to MiniStack."""

    def __init__(self, ministack: Application, sagemaker: SageMakerStandIn, port: int, controls: Controls) -> None:
        """Set up the routes; `port` is the TCP port of 127.0.0.1 that clients connect to."""
        self._ministack = ministack
        self._sagemaker = sagemaker
        self._controls = controls
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}", _CONTAINER_HOST)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sagemaker")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or forward the server's start and stop."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
        kind, path = scope["type"], scope.get("path", "")
        rejection = "" if kind == "lifespan" else self._rejection(headers)
        invoked = _INVOCATION.fullmatch(path)
        target = headers.get("x-amz-target", "")
        # An S3 request to a bucket named `endpoints` is signed for another service.
        signature = headers.get("authorization") or "/sagemaker/aws4_request"
        if rejection and kind == "websocket":
            await send({"type": "websocket.close"})  # before it opens: HTTP 403
        elif rejection:
            logger.warning("%s %s refused: %s", scope["method"], path, rejection)
            await _send_json(send, 403, {"error": rejection})
        elif kind != "http":
            await self._ministack(scope, receive, send)
        elif path.startswith("/_local/"):
            await _send_json(send, *self._controls.answer(scope["method"], path, await _body(receive)))
        elif target.startswith(_TARGET_PREFIX):
            await self._control_plane(target.removeprefix(_TARGET_PREFIX), receive, send)
        elif invoked and scope["method"] == "POST" and "/sagemaker/aws4_request" in signature:
            await self._runtime(invoked.group(1), headers, receive, send)
        else:
            await self._ministack(scope, receive, send)

    def _rejection(self, headers: dict[str, str]) -> str:
        """Return why a request is rejected, or an empty string.

        MiniStack accepts requests of every web page, and a client can run code as the user. So reject
        all requests of browsers, also with a host name of the page that resolves to 127.0.0.1.
        """
        if any(name in headers for name in _BROWSER_HEADERS):
            return "The laptop's AWS does not answer web browsers: use the AWS CLI, an SDK or curl."
        if headers.get("host", "").lower() not in self._hosts:
            return (
                f"The laptop's AWS does not answer for the host {headers.get('host', '')!r}: "
                f"use http://{self._hosts[0]}."
            )
        return ""

    async def _control_plane(self, operation: str, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        headers = {"content-type": "application/x-amz-json-1.1"}
        try:
            answer = await self._in_thread(self._sagemaker.answer, operation, body)
        except AwsError as error:
            logger.info("SageMaker.%s: %s", operation, error)
            return await _send_error(send, error, "message", headers)
        logger.info("SageMaker.%s", operation)
        return await _send(send, 200, answer, headers)

    async def _runtime(self, endpoint: str, headers: dict[str, str], receive: Receive, send: Send) -> None:
        body = await _body(receive, MAX_BODY_BYTES + 1)
        try:
            answer, variant = await self._in_thread(self._sagemaker.invocations.invoke, endpoint, body, headers)
        except AwsError as error:
            logger.info("InvokeEndpoint %s: %s", endpoint, error.code)
            return await _send_error(send, error, "Message", {"content-type": "application/json"})
        answer_headers = {"content-type": answer.content_type, "x-amzn-invoked-production-variant": variant}
        return await _send(send, 200, answer.body, answer_headers)

    def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


async def _body(receive: Receive, limit: int | None = None) -> bytes:
    """Return the request's body; read and drop the rest after `limit` bytes."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        if limit is None or size < limit:
            parts.append(part)
        size += len(part)
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(parts)


async def _send_error(send: Send, error: AwsError, message_key: str, headers: dict[str, str]) -> None:
    members = {"__type": error.code, message_key: error.message, **error.fields}
    if error.code.isdigit():  # errors of AWS's front end have a status and no code
        del members["__type"]
    else:
        headers = headers | {"x-amzn-errortype": error.code}
    await _send(send, error.status, json.dumps(members).encode(), headers)


async def _send_json(send: Send, status: int, members: dict[str, Any]) -> None:
    await _send(send, status, json.dumps(members).encode(), {"content-type": "application/json"})


async def _send(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    request_id = str(uuid.uuid4())
    headers = {"x-amzn-requestid": request_id, "content-length": str(len(body)), **headers}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
