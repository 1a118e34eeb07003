"""The process that serves one model: `/ping` and `/invocations`, as a SageMaker container does.

It runs by itself (`python -P serving_host.py`) and imports nothing of this project, because the
model's `inference.py` must find there what it finds on AWS: its own folder and the site-packages.
The contract is the one of the sagemaker-inference-toolkit: `model_fn(model_dir)`,
`input_fn(body, content_type)`, `predict_fn(data, model)`, `output_fn(prediction, accept)`; an
exception with a `status_code` between 400 and 599 becomes that status, every other one becomes 500.
The toolkit's defaults for functions that a program leaves out are not here, nor is `context`.
"""

import argparse
import asyncio
import importlib
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ModelProgramError(Exception):
    """The model's program breaks the contract; the message says which function is missing."""


class Model:
    """The four functions of a model's program, and what its `model_fn` loaded."""

    def __init__(self, model_dir: str, program: str) -> None:
        """Import the program and load the model.

        Raises:
            ModelProgramError: for a program without one of the four.
        """
        sys.path.insert(0, str(Path(model_dir) / "code"))
        module = importlib.import_module(Path(program).stem)
        load = _function(module, "model_fn")
        self._input = _function(module, "input_fn")
        self._predict = _function(module, "predict_fn")
        self._output = _function(module, "output_fn")
        self._loaded = load(model_dir)

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[bytes, str]:
        """Return the body and content type that answer one invocation.

        Args:
            body: the request's body.
            headers: its headers, names in lower case.
        """
        content_type = headers.get("content-type", "application/json")
        accept = headers.get("accept", "*/*")
        if accept in ("", "*/*"):
            accept = "application/json"
        prediction = self._predict(self._input(body, content_type), self._loaded)
        result = self._output(prediction, accept)
        if isinstance(result, tuple):
            result, accept = result
        return (result.encode() if isinstance(result, str) else bytes(result)), accept


class Application:
    """The ASGI application: two routes, with the model's work in a few threads."""

    def __init__(self, model: Model) -> None:
        """Take the loaded model."""
        self._model = model
        # As many at once as there are cores: more would only take turns inside torch.
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="model")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one connection's request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = await _body(receive)
        match (scope["method"], scope["path"]):
            case ("GET", "/ping"):
                await _send(send, 200, b"", "application/json")
            case ("POST", "/invocations"):
                headers = {
                    name.decode("latin-1").lower(): value.decode("latin-1")
                    for name, value in scope["headers"]
                }
                loop = asyncio.get_running_loop()
                await _send(send, *await loop.run_in_executor(self._pool, self._run, body, headers))
            case _:
                await _send(send, 404, b"Not found", "text/plain")

    def _run(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        try:
            return 200, *self._model.answer(body, headers)
        except Exception as error:  # noqa: BLE001  user code may raise anything; it becomes a status
            traceback.print_exc()
            status = getattr(error, "status_code", 500)
            if not isinstance(status, int) or not 400 <= status <= 599:
                status = 500
            message = getattr(error, "message", None)  # where the toolkit's errors keep it
            return status, str(message or error).encode(), "text/plain"


def _function(module: ModuleType, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] | None = getattr(module, name, None)
    if found is None:
        raise ModelProgramError(
            f"{module.__name__}.py defines no {name}; the laptop's AWS serves programs with "
            "model_fn, input_fn, predict_fn and output_fn"
        )
    return found


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(send: Send, status: int, body: bytes, content_type: str) -> None:
    headers = [
        (b"content-type", content_type.encode("latin-1")),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone, however it went."""
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(1.0)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Load the model, listen on a free port of 127.0.0.1, and say which in the port file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-dir", required=True, help="folder with the unpacked model.tar.gz")
    parser.add_argument("--program", default="inference.py", help="file in its code/ folder")
    parser.add_argument("--port-file", required=True, help="written once the port is open")
    arguments = parser.parse_args()
    parent = os.getppid()
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    model = Model(arguments.model_dir, arguments.program)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.loglevel = "WARNING"
    port_file = Path(arguments.port_file)
    unfinished = port_file.with_suffix(".unfinished")
    unfinished.write_text(str(listener.getsockname()[1]))
    unfinished.rename(port_file)
    asyncio.run(serve(cast("Any", Application(model)), config))


if __name__ == "__main__":
    main()
