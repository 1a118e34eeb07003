"""Let only the review page's own requests reach its server.

The server listens on 127.0.0.1, but every program of this machine and every page in its browsers can reach that. So
the address contains a random token, the Host header must be this server's (against DNS rebinding), and a request that
changes anything must be a POST with JSON whose Origin is this server.
"""

import hmac
from collections.abc import Mapping

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 10_000  # a request has a picture's id and an answer


class Guard:
    """ASGI middleware: passes allowed requests on, without the token in their path."""

    def __init__(self, app: ASGIApp, token: str, port: int, headers: Mapping[str, str]) -> None:
        """Allow requests with the token to this port; add `headers` to every answer."""
        self._app, self._token = app, token.encode()
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or pass on the server's start and stop."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})  # before it is open: HTTP 403

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        app: ASGIApp = self._app
        token, slash, path = scope["path"].removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(errors="replace"), self._token):
            app = PlainTextResponse("Not found.\n", 404)
        elif refusal := self._refusal(scope):
            app = PlainTextResponse(f"{refusal}\n", 403)
        return await app({**scope, "path": f"/{path}", "raw_path": f"/{path}".encode()}, receive, send_guarded)

    def _refusal(self, scope: Scope) -> str:
        """Return the reason to refuse a request, empty for an allowed one."""
        headers: dict[str, str] = {}
        for raw_name, value in scope["headers"]:
            name = raw_name.decode("latin-1").lower()
            if name in headers:
                return "A header is repeated."
            headers[name] = value.decode("latin-1")
        host, length = headers.get("host", ""), headers.get("content-length", "")
        if host not in self._hosts:
            return "Unknown host."
        if scope["method"] in {"GET", "HEAD"}:
            return ""
        is_own_origin = headers.get("origin") == f"http://{host}"
        is_same_origin = headers.get("sec-fetch-site", "same-origin") == "same-origin"
        is_json = headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        is_short = length.isdecimal() and int(length) <= MOST_BODY_BYTES
        refusals = {
            "Only GET and POST are allowed.": scope["method"] != "POST",
            "Only this server's own page may do that.": not (is_own_origin and is_same_origin),
            "The request must be JSON.": not is_json,
            "The request is too long, or has no Content-Length.": not is_short,
        }
        return next((reason for reason, applies in refusals.items() if applies), "")
