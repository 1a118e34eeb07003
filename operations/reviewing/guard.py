"""Who may talk to the review page's server: a page that it served itself, and nobody else.

The server listens on 127.0.0.1 only, but so reach it every program of this machine and every page
in its browsers. So the address has a random token in it; the host that a request names must be this
server (no name that somebody lets resolve to 127.0.0.1); and what changes anything is a POST with
JSON whose Origin is this server.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY_BYTES = 10_000  # a request names a picture and an answer


class Guard:
    """ASGI middleware: passes on what it lets in with the token taken off its path."""

    def __init__(self, app: Application, token: str, port: int, headers: Mapping[str, str]) -> None:
        """Let in who knows the token and talks to this port; add `headers` to every answer."""
        self._app, self._token = app, token.encode()
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on the server's start and stop."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})  # before it is open: HTTP 403

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        token, slash, path = scope["path"].removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(errors="replace"), self._token):
            return await _refuse(send_guarded, 404, "There is nothing here.")
        refusal = self._refusal(scope)
        if refusal:
            return await _refuse(send_guarded, 403, refusal)
        inner = {**scope, "path": f"/{path}", "raw_path": f"/{path}".encode()}
        return await self._app(inner, receive, send_guarded)

    def _refusal(self, scope: Scope) -> str:
        """Say why a request is not answered, empty for one that is."""
        headers: dict[str, str] = {}
        for raw_name, value in scope["headers"]:
            name = raw_name.decode("latin-1").lower()
            if name in headers:
                return "A header comes twice."
            headers[name] = value.decode("latin-1")
        host, length = headers.get("host", ""), headers.get("content-length", "")
        if host not in self._hosts:
            return "This server does not answer for that host."
        if scope["method"] in {"GET", "HEAD"}:
            return ""
        own_page = headers.get("origin") == f"http://{host}" and (
            headers.get("sec-fetch-site", "same-origin") == "same-origin"
        )
        is_json = headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        is_short = length.isdecimal() and int(length) <= MOST_BODY_BYTES
        conditions = (
            (scope["method"] == "POST", "Only GET and POST are answered."),
            (own_page, "Only this server's own page may do that."),
            (is_json, "Only JSON is read."),
            (is_short, "The request is too long, or does not say how long it is."),
        )
        return next((refusal for met, refusal in conditions if not met), "")


async def _refuse(send: Send, status: int, why: str) -> None:
    body = (why + "\n").encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
