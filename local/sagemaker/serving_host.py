"""The process that serves one model: `/ping` and `/invocations`, as a SageMaker container does.

It runs by itself (`python -P serving_host.py`) and imports nothing of this project, because the
model's `inference.py` must find there what it finds on AWS: its own folder and the site-packages.
The contract is the one of the sagemaker-inference-toolkit: `model_fn(model_dir)`,
`input_fn(body, content_type)`, `predict_fn(data, model)`, `output_fn(prediction, accept)`; an
exception with a `status_code` between 400 and 599 becomes that status, every other one becomes 500.
The toolkit's defaults for functions that a program leaves out are not here, nor is `context`.

Each connection has a thread, from the first byte to the last: beside a network that answers in a
millisecond or two, every hand-over between threads shows (`python -m benchmarks.serving`).
"""

import argparse
import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from types import ModuleType
from typing import Any

# What TorchServe takes unless it is told otherwise; InvokeEndpoint takes less (6 MiB).
MOST_BODY_BYTES = 6_553_500
_LENGTH_DIGITS = 10  # of a Content-Length that is worth reading as a number
SILENCE_S = 60.0  # after which a client that is in the middle of its request is given up
# What is still taken in of a body that was refused, before the connection is closed.
_DRAINED_BYTES, _DRAINED_S, _DRAINED_SILENCE_S = 64 * 1024 * 1024, 10.0, 1.0


class ModelProgramError(Exception):
    """The model's program breaks the contract; the message says which function is missing."""


class Model:
    """The four functions of a model's program, and what its `model_fn` loaded.

    Threads may call it at the same time, and so its `input_fn`, `predict_fn` and `output_fn`.
    """

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
        cores = _cores()
        # A decoded picture may take a hundred megabytes while it is made and tens afterwards, so
        # few are decoded at a time and the others wait as bytes. More are let in than there are
        # cores, because a program may answer several in one go.
        self._room = threading.Semaphore(4 * cores)
        self._decoding = threading.Semaphore(cores)
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
        with self._room:
            # No name is kept for the data: predict_fn is the last to hold it, and may let it go.
            prediction = self._predict(self._decode(body, content_type), self._loaded)
        result = self._output(prediction, accept)
        if isinstance(result, tuple):
            result, accept = result
        return (result.encode() if isinstance(result, str) else bytes(result)), accept

    def respond(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """Return status, body and content type for one invocation, whatever becomes of it."""
        try:
            return 200, *self.answer(body, headers)
        except Exception as error:  # noqa: BLE001  user code may raise anything; it becomes a status
            traceback.print_exc()
            status = getattr(error, "status_code", 500)
            if not isinstance(status, int) or not 400 <= status <= 599:
                status = 500
            message = getattr(error, "message", None)  # where the toolkit's errors keep it
            return status, str(message or error).encode(), "text/plain"

    def _decode(self, body: bytes, content_type: str) -> Any:
        with self._decoding:
            return self._input(body, content_type)


class Server(ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1, with a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, model: Model) -> None:
        """Open the port."""
        super().__init__(("127.0.0.1", 0), Connection)
        self.model = model

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write down what went wrong, unless it is a client that did not wait for its answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Connection(BaseHTTPRequestHandler):
    """Answers the requests of one connection: two routes."""

    server: Server
    protocol_version = "HTTP/1.1"  # connections are kept open
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one piece, when the request is answered

    def handle_one_request(self) -> None:
        """Answer one request; between two of them the client may be silent as long as it likes."""
        self.connection.settimeout(None)
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read the head of the request, whose first line is there."""
        self.connection.settimeout(SILENCE_S)
        return super().parse_request()

    def handle_expect_100(self) -> bool:
        """Have the client send its body, at once: it waits for that."""
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def do_GET(self) -> None:
        """Say that the model is loaded."""
        if self.path == "/ping":
            self._send(HTTPStatus.OK, b"", "application/json")
        else:
            self._send(HTTPStatus.NOT_FOUND, b"Not found", "text/plain")

    def do_POST(self) -> None:
        """Answer one invocation."""
        body = self._body()
        if body is None:
            return
        if self.path != "/invocations":
            self._send(HTTPStatus.NOT_FOUND, b"Not found", "text/plain")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(*self.server.model.respond(body, headers))

    def log_request(self, *_: object) -> None:
        """Write no line per request: the log belongs to the model's program."""

    def _body(self) -> bytes | None:
        """Read the request's body; None for one that is refused, and the connection is closed."""
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()) or "transfer-encoding" in self.headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "send the body with a Content-Length")
            return None
        if len(length) > _LENGTH_DIGITS or int(length) > MOST_BODY_BYTES:
            size = f"{int(length):,}" if len(length) <= _LENGTH_DIGITS else "too many"
            message = f"the body has {size} bytes: at most {MOST_BODY_BYTES:,} are taken"
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # the client has gone: nobody is left to answer
            self.close_connection = True
            return None
        return body

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer a request without its body.

        Closing a connection on bytes that nobody has read resets it, and the client may lose the
        answer. So some of the body is taken in first.
        """
        self.close_connection = True  # what follows is the body, and no request
        self._send(status, message.encode(), "text/plain")
        self.wfile.flush()
        deadline, left = time.monotonic() + _DRAINED_S, _DRAINED_BYTES
        with contextlib.suppress(OSError):  # the client is silent, or has gone
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DRAINED_SILENCE_S)
            while left > 0 and time.monotonic() < deadline and (part := self.rfile.read1(65536)):
                left -= len(part)

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response_only(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _function(module: ModuleType, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] | None = getattr(module, name, None)
    if found is None:
        raise ModelProgramError(
            f"{module.__name__}.py defines no {name}; the laptop's AWS serves programs with "
            "model_fn, input_fn, predict_fn and output_fn"
        )
    return found


def _cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    with Server(Model(arguments.model_dir, arguments.program)) as server:
        port_file = Path(arguments.port_file)
        unfinished = port_file.with_suffix(".unfinished")
        unfinished.write_text(str(server.server_address[1]))
        unfinished.rename(port_file)
        server.serve_forever()


if __name__ == "__main__":
    main()
