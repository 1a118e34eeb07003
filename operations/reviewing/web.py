"""The review page as a web application: the page, its pictures, and what its buttons ask for."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from common.errors import ExpectedError
from common.labels.question import NEITHER
from common.pages.page import render
from operations.reviewing.desk import Desk, DeskClosedError, Held, UnknownAnswerError, View

TEMPLATE = Path(__file__).with_name("review.html.j2")
CLIENT_ID = re.compile(r"[0-9a-f-]{16,64}")


class BadRequestError(Exception):
    """The page did not send what it should."""


def review_app(desk: Desk, reviewer: str) -> tuple[Starlette, dict[str, str]]:
    """Return the application, and the headers that belong on each of its answers."""
    heartbeat = min(30.0, max(0.5, desk.hold_seconds / 10))
    page = render(TEMPLATE, reviewer=reviewer, neither=NEITHER, heartbeat_ms=round(1000 * heartbeat))
    web = _Web(desk, page)
    actions = {
        "look": web.look,
        "decide": web.decide,
        "skip": web.skip,
        "undo": web.undo,
        "keep": web.keep,
        "leave": web.leave,
    }
    routes = [
        Route("/", web.page),
        Route("/pictures/{message_id}", web.picture),
        *[Route(f"/{name}", action, methods=["POST"]) for name, action in actions.items()],
    ]
    handlers: Any = {
        BadRequestError: _answer(400),
        UnknownAnswerError: _answer(400),
        ExpectedError: _answer(409),
        DeskClosedError: _answer(503),
        ClientError: _answer(502),
        BotoCoreError: _answer(502),
    }
    return Starlette(routes=routes, exception_handlers=handlers), security_headers(page)


def security_headers(page: str) -> dict[str, str]:
    """Return headers that let a browser run this page's own script and style, and nothing else."""
    scripts, styles = (_hashes(page, tag) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cache-control": "no-store",
    }


def _hashes(page: str, tag: str) -> str:
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in found]
    return " ".join(f"'sha256-{digest.decode()}'" for digest in digests) or "'none'"


class _Web:
    """Answers requests by asking the desk, in threads: it waits for AWS."""

    def __init__(self, desk: Desk, page: str) -> None:
        self._desk, self._page = desk, page

    async def page(self, _: Request) -> Response:
        return HTMLResponse(self._page)

    async def picture(self, request: Request) -> Response:
        shown = self._desk.picture(request.path_params["message_id"])
        if shown is None or not shown.content:
            return Response("There is no such picture.\n", 404, media_type="text/plain")
        return Response(shown.content, media_type=shown.media_type)

    async def look(self, request: Request) -> Response:
        client, _ = await _read(request)
        return _view(await run_in_threadpool(self._desk.look, client))

    async def decide(self, request: Request) -> Response:
        client, fields = await _read(request)
        picture, answer = _text(fields, "picture"), _text(fields, "answer")
        return _view(await run_in_threadpool(self._desk.decide, client, picture, answer))

    async def skip(self, request: Request) -> Response:
        client, fields = await _read(request)
        return _view(await run_in_threadpool(self._desk.skip, client, _text(fields, "picture")))

    async def undo(self, request: Request) -> Response:
        client, _ = await _read(request)
        return _view(await run_in_threadpool(self._desk.undo, client))

    async def keep(self, request: Request) -> Response:
        client, _ = await _read(request)
        return _view(await run_in_threadpool(self._desk.keep, client))

    async def leave(self, request: Request) -> Response:
        client, _ = await _read(request)
        await run_in_threadpool(self._desk.leave, client)
        return Response(status_code=204)


async def _read(request: Request) -> tuple[str, dict[str, Any]]:
    """Return the page's id and all that it sent."""
    try:
        fields = await request.json()
    except ValueError as error:
        raise BadRequestError("the request is not JSON") from error
    if not isinstance(fields, dict):
        raise BadRequestError("the request is no JSON object")
    client = _text(fields, "client")
    if not CLIENT_ID.fullmatch(client):
        raise BadRequestError("the page's id is none")
    return client, fields


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise BadRequestError(f"the request has no {name}")
    return value


def _view(view: View) -> Response:
    last = view.last
    undo = None if last is None else {"label": last.label.label if last.label else None}
    return JSONResponse(
        {
            "pictures": [_picture(held) for held in view.pictures],
            "waiting": view.waiting,
            "put_off": view.put_off,
            "undo": undo,
            "note": view.note,
        }
    )


def _picture(held: Held) -> dict[str, Any]:
    question, shown = held.question, held.shown
    return {
        "id": held.message.message_id,
        "key": question.picture.key,
        "sent": held.message.sent.isoformat(),
        "width": shown.width,
        "height": shown.height,
        "problem": shown.problem,
        "for_good": shown.for_good,
        "guess": question.guess,
        "confidence": question.confidence,
        "threshold": question.threshold,
        "classes": [{"name": name, "probability": probability} for name, probability in question.probabilities()],
    }


def _answer(status: int) -> Any:
    async def handler(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status)

    return handler
