"""The process that serves one model: `/ping` and `/invocations`, as a SageMaker container does.

It runs on its own (`python -P serving_host.py`) and imports nothing of this project, because the model's `inference.py`
must find the same modules as on AWS: its own folder and the site-packages. The contract is that of the
sagemaker-inference-toolkit: `model_fn(model_dir)`, `input_fn(body, content_type)`, `predict_fn(data, model)`,
`output_fn(prediction, accept)`, without its defaults and its `context`. An exception with a `status_code` between 400
and 599 becomes that status, any other becomes 500.

Each connection has its own thread: with a model that answers in a millisecond or two, every hand-over between threads
is measurable (`python -m benchmarks.serving`).
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
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any

# TorchServe's default; InvokeEndpoint accepts less (6 MiB).
MAX_BODY_BYTES = 6_553_500
_LENGTH_DIGITS = 10  # longer values of Content-Length are not parsed
SILENCE_S = 60.0  # maximum pause of a client within a request
# Limits for reading a rejected body before the connection is closed.
_DRAIN_BYTES, DRAIN_S, DRAIN_SILENCE_S = 64 * 1024 * 1024, 10.0, 1.0


class ModelProgramError(Exception):
    """The model's program lacks a function of the contract; the message names it."""


class ModelProgram:
    """The four functions of a model's program and its loaded model.

    Threads call it, and so `input_fn`, `predict_fn` and `output_fn`, at the same time.
    """

    def __init__(self, model_dir: str, program: str) -> None:
        """Import the program and load the model; raise ModelProgramError without one of the four functions."""
        sys.path.insert(0, str(Path(model_dir) / "code"))
        module = importlib.import_module(Path(program).stem)
        names = ("model_fn", "input_fn", "predict_fn", "output_fn")
        for name in names:
            if not hasattr(module, name):
                raise ModelProgramError(
                    f"{program} defines no {name}; the laptop's AWS serves programs with {', '.join(names)}"
                )
        load, self._input, self._predict, self._output = (getattr(module, name) for name in names)
        on_macos = not hasattr(os, "sched_getaffinity")
        cores = (os.cpu_count() or 1) if on_macos else len(os.sched_getaffinity(0))
        # Decoding a picture may take a hundred megabytes, and the result tens of megabytes, so few
        # are decoded at a time and the others wait as bytes. More requests than cores are admitted,
        # because a program may process several in one batch.
        self._admission = threading.Semaphore(4 * cores)
        self._decoding = threading.Semaphore(cores)
        self._loaded = load(model_dir)

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[bytes, str]:
        """Return body and content type of the response to one invocation; header names are in lower case."""
        content_type = headers.get("content-type", "application/json")
        accept = headers.get("accept", "*/*")
        if accept in ("", "*/*"):
            accept = "application/json"
        with self._admission:
            # No variable holds the data, so that predict_fn can free it.
            prediction = self._predict(self._decode(body, content_type), self._loaded)
        result = self._output(prediction, accept)
        if isinstance(result, tuple):
            result, accept = result
        return (result.encode() if isinstance(result, str) else bytes(result)), accept

    def respond(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """Return status, body and content type of the response to one invocation, also for an error."""
        try:
            return 200, *self.answer(body, headers)
        except Exception as error:  # noqa: BLE001  any error of the program becomes a status
            traceback.print_exc()
            status = getattr(error, "status_code", 500)
            if not isinstance(status, int) or not 400 <= status <= 599:
                status = 500
            message = getattr(error, "message", None)  # the attribute of the toolkit's errors
            return status, str(message or error).encode(), "text/plain"

    def _decode(self, body: bytes, content_type: str) -> Any:
        with self._decoding:
            return self._input(body, content_type)


class ModelHttpServer(ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1, with a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, model: ModelProgram) -> None:
        """Open the port."""
        super().__init__(("127.0.0.1", 0), Connection)
        self.model = model

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error, unless the client closed the connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Connection(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: ModelHttpServer
    protocol_version = "HTTP/1.1"  # connections are kept open
    disable_nagle_algorithm = True
    wbufsize = -1  # sends head and body together

    def handle_one_request(self) -> None:
        """Answer one request; the pause before it is not limited."""
        self.connection.settimeout(None)
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read the rest of the head; pauses are limited from here on."""
        self.connection.settimeout(SILENCE_S)
        return super().parse_request()

    def handle_expect_100(self) -> bool:
        """Send 100 Continue at once: the client waits for it."""
        continues = super().handle_expect_100()
        self.wfile.flush()
        return continues

    def do_GET(self) -> None:
        """Answer the health check."""
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
        """Log nothing: the log belongs to the model's program."""

    def _body(self) -> bytes | None:
        """Return the body of the request, or None after rejecting it or losing the client."""
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()) or "transfer-encoding" in self.headers:
            self._reject(HTTPStatus.LENGTH_REQUIRED, "send the body with a Content-Length")
            return None
        if len(length) > _LENGTH_DIGITS or int(length) > MAX_BODY_BYTES:
            size = f"{int(length):,}" if len(length) <= _LENGTH_DIGITS else "too many"
            message = f"the body has {size} bytes; the limit is {MAX_BODY_BYTES:,}"
            self._reject(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # the client closed the connection
            self.close_connection = True
            return None
        return body

    def _reject(self, status: HTTPStatus, message: str) -> None:
        """Reject a request without its body.

        Closing a connection with unread bytes resets it, and the client may lose the response. So
        read some of the body first.
        """
        self.close_connection = True  # the next bytes are the body, not a request
        self._send(status, message.encode(), "text/plain")
        self.wfile.flush()
        deadline, left = time.monotonic() + DRAIN_S, _DRAIN_BYTES
        with contextlib.suppress(OSError):  # the client is silent or closed the connection
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(DRAIN_SILENCE_S)
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


def _end_with_parent(parent: int) -> None:
    """End this process when its parent has ended in any way."""
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(1.0)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Load the model, listen on a free port of 127.0.0.1, and write it to the port file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-dir", required=True, help="folder with the unpacked model.tar.gz")
    parser.add_argument("--program", default="inference.py", help="file in its code/ folder")
    parser.add_argument("--port-file", required=True, help="file for the number of the open port")
    arguments = parser.parse_args()
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    with ModelHttpServer(ModelProgram(arguments.model_dir, arguments.program)) as server:
        port_file = Path(arguments.port_file)
        unfinished = port_file.with_suffix(".unfinished")
        unfinished.write_text(str(server.server_address[1]))
        unfinished.rename(port_file)
        server.serve_forever()


if __name__ == "__main__":
    main()
