"""Serve the review page on 127.0.0.1 until a signal ends it."""

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config

from common.errors import ExpectedError
from operations.reviewing.desk import Desk
from operations.reviewing.guard import Guard
from operations.reviewing.web import review_app

HOST = "127.0.0.1"
TOKEN_BYTES = 24
SWEEP_SECONDS = 1.0
GRACE_SECONDS = 3.0  # for requests under way when the server ends


class PortTakenError(ExpectedError):
    """The port is in use or not allowed."""


def serve(desk: Desk, reviewer: str, port: int, ready: Callable[[str], None], give_up: Callable[[], None]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; then give all pictures back to the queue.

    A `port` of 0 chooses a free one. `ready` gets the page's address once the server listens. `give_up` is called at a
    second signal, while the server waits for AWS, and should end the program. Raises PortTakenError.
    """
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise PortTakenError(
            f"The server cannot listen on port {port} ({error.strerror}): give another --port, or leave it out."
        ) from error
    with listening:
        try:
            asyncio.run(_serve(desk, reviewer, listening, ready, give_up))
        finally:
            try:
                desk.close()
            except KeyboardInterrupt:
                give_up()


async def _serve(
    desk: Desk, reviewer: str, listening: socket.socket, ready: Callable[[str], None], give_up: Callable[[], None]
) -> None:
    token, port = secrets.token_urlsafe(TOKEN_BYTES), listening.getsockname()[1]
    app, headers = review_app(desk, reviewer)
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]  # hypercorn closes it
    config.graceful_timeout = GRACE_SECONDS
    config.include_server_header = False
    config.loglevel = "WARNING"
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if ended.is_set():
            give_up()
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            loop.add_signal_handler(number, end)
    sweeping = asyncio.create_task(_sweep(desk))
    sweeping.add_done_callback(lambda _: ended.set())  # it ends only by a bug
    ready(f"http://{HOST}:{port}/{token}/")
    guarded: Any = Guard(app, token, port, headers)
    try:
        await serve_asgi(guarded, config, shutdown_trigger=cast("Any", ended.wait))
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping


async def _sweep(desk: Desk) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await asyncio.to_thread(desk.sweep)
