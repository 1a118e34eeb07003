"""The review page as a web application: the page, its pictures, and the actions of its buttons."""

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
from common.labels.label import NEITHER
from common.pages.page import render
from common.s3_picture import json_object
from operations.reviewing.desk import Desk, DeskClosedError, Held, UnknownAnswerError

TEMPLATE = Path(__file__).with_name("review.html.j2")
CLIENT_ID = re.compile(r"[0-9a-f-]{16,64}")
# The methods of the desk that the page may call, and the fields that each takes.
ACTIONS = {"poll": (), "decide": ("picture", "answer"), "skip": ("picture",), "undo": (), "heartbeat": (), "leave": ()}


class BadRequestError(Exception):
    """The request is malformed."""


# The HTTP status of each error.
STATUSES = {
    BadRequestError: 400,
    UnknownAnswerError: 400,
    ExpectedError: 409,
    DeskClosedError: 503,
    ClientError: 502,
    BotoCoreError: 502,
}


def review_app(desk: Desk, reviewer: str) -> tuple[Starlette, dict[str, str]]:
    """Return the application, and the headers of each of its answers."""
    heartbeat = min(30.0, max(0.5, desk.hold_seconds / 10))
    page = render(TEMPLATE, reviewer=reviewer, neither=NEITHER, heartbeat_ms=round(1000 * heartbeat))

    async def get_page(_: Request) -> Response:
        return HTMLResponse(page)

    async def get_picture(request: Request) -> Response:
        picture = desk.picture(request.path_params["message_id"])
        if picture is None or not picture.content:
            return Response("There is no such picture.\n", 404, media_type="text/plain")
        return Response(picture.content, media_type=picture.media_type)

    async def act(request: Request) -> Response:
        """Call the desk in a thread: it waits for AWS."""
        action = request.url.path.rpartition("/")[2]
        fields = json_object(await request.body())
        arguments = [fields.get(name) for name in ("client", *ACTIONS[action])]
        if not all(isinstance(argument, str) for argument in arguments):
            raise BadRequestError(f"the request lacks one of {', '.join(('client', *ACTIONS[action]))}")
        if not CLIENT_ID.fullmatch(str(arguments[0])):
            raise BadRequestError("the page's id is malformed")
        view = await run_in_threadpool(getattr(desk, action), *arguments)
        if view is None:
            return Response(status_code=204)
        last = view.last
        return JSONResponse(
            {
                "pictures": [_picture(held) for held in view.pictures],
                "waiting": view.waiting,
                "put_off": view.put_off,
                "undo": None if last is None else {"label": last.label.label if last.label else None},
                "note": view.note,
            }
        )

    routes = [
        Route("/", get_page),
        Route("/pictures/{message_id}", get_picture),
        *[Route(f"/{action}", act, methods=["POST"]) for action in ACTIONS],
    ]
    return Starlette(routes=routes, exception_handlers=dict.fromkeys(STATUSES, _error)), _security_headers(page)


async def _error(_: Request, error: Exception) -> Response:
    status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
    return JSONResponse({"error": str(error)}, status)


def _security_headers(page: str) -> dict[str, str]:
    """Return headers that let a browser run this page's own script and style, and nothing else."""
    policy = (
        f"default-src 'none'; script-src {_hashes(page, 'script')}; style-src {_hashes(page, 'style')};"
        " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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
    contents = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in contents]
    return " ".join(f"'sha256-{digest.decode()}'" for digest in digests)


def _picture(held: Held) -> dict[str, Any]:
    question, picture = held.question, held.picture
    return {
        "id": held.message.message_id,
        "key": question.picture.key,
        "sent": held.message.sent.isoformat(),
        "width": picture.width,
        "height": picture.height,
        "problem": picture.problem,
        "permanent": picture.permanent,
        "guess": question.guess,
        "confidence": question.confidence,
        "threshold": question.threshold,
        "classes": [{"name": name, "probability": probability} for name, probability in question.probabilities()],
    }
