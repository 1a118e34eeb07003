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
from local.sagemaker.invocations import MAX_BODY_BYTES, Invocation
from local.sagemaker.stand_in import SageMakerStandIn

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
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
        if scope["type"] == "websocket" and self._rejection(_headers(scope)):
            return await send({"type": "websocket.close"})  # before it opens: HTTP 403
        if scope["type"] == "http":
            headers = _headers(scope)
            path = scope["path"]
            rejection = self._rejection(headers)
            if rejection:
                logger.warning("%s %s refused: %s", scope["method"], path, rejection)
                body = json.dumps({"error": rejection}).encode()
                return await _send(send, 403, body, {"content-type": "application/json"})
            if path.startswith("/_local/"):
                return await self._local(scope["method"], path, receive, send)
            target = headers.get("x-amz-target", "")
            if target.startswith(_TARGET_PREFIX):
                return await self._control_plane(target, receive, send)
            invoked = _INVOCATION.fullmatch(path)
            if invoked and scope["method"] == "POST" and _is_signed_for_sagemaker(headers):
                return await self._runtime(invoked.group(1), headers, receive, send)
        return await self._ministack(scope, receive, send)

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

    async def _control_plane(self, target: str, receive: Receive, send: Send) -> None:
        operation = target.removeprefix(_TARGET_PREFIX)
        body = await _body(receive)
        headers: dict[str, str] = {}
        try:
            answer = await self._in_thread(self._sagemaker.answer, operation, body)
            status = 200
            logger.info("SageMaker.%s", operation)
        except AwsError as error:
            status, answer, headers = _error(error, "message")
            logger.info("SageMaker.%s: %s", operation, error)
        headers["content-type"] = "application/x-amz-json-1.1"
        await _send(send, status, answer, headers)

    async def _runtime(self, endpoint: str, headers: dict[str, str], receive: Receive, send: Send) -> None:
        body = await _body(receive, MAX_BODY_BYTES + 1)
        call = Invocation(endpoint, body, headers)
        try:
            answer = await self._in_thread(self._sagemaker.invocations.invoke, call)
        except AwsError as error:
            logger.info("InvokeEndpoint %s: %s", endpoint, error.code)
            status, text, error_headers = _error(error, "Message")
            return await _send(send, status, text, error_headers | {"content-type": "application/json"})
        answer_headers = {
            "content-type": answer.content_type,
            "x-amzn-invoked-production-variant": answer.variant,
        }
        return await _send(send, 200, answer.body, answer_headers)

    async def _local(self, method: str, path: str, receive: Receive, send: Send) -> None:
        status, answer = self._controls.answer(method, path, await _body(receive))
        await _send(send, status, json.dumps(answer).encode(), {"content-type": "application/json"})

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _is_signed_for_sagemaker(headers: dict[str, str]) -> bool:
    """Distinguish an invocation from an S3 request to a bucket named `endpoints`."""
    signature = headers.get("authorization", "")
    return not signature or "/sagemaker/aws4_request" in signature


def _error(error: AwsError, message_key: str) -> tuple[int, bytes, dict[str, str]]:
    members = {"__type": error.code, message_key: error.message, **error.fields}
    headers = {"x-amzn-errortype": error.code}
    if error.code.isdigit():  # errors of AWS's front end have a status and no code
        members.pop("__type")
        headers = {}
    return error.status, json.dumps(members).encode(), headers


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


async def _send(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    request_id = str(uuid.uuid4())
    headers = {"x-amzn-requestid": request_id, "content-length": str(len(body)), **headers}
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
