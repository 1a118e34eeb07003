"""The serving process over HTTP: routes, rejected requests, parallel requests."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.serving.subjects import SubjectError, http_connection
from local.sagemaker import serving_host
from local.sagemaker.serving_host import MAX_BODY_BYTES, ModelHttpServer, ModelProgram

ECHO = """
import threading, time

most = inside = 0
lock = threading.Lock()
class RefusedError(Exception):
    status_code, message = 415, "not a word"

def model_fn(model_dir):
    return threading.Barrier(4)

def input_fn(body, content_type):
    global most, inside
    with lock:
        inside += 1
        most = max(most, inside)
    try:
        if body == b"GIF":
            raise RefusedError
        if body == b"together":
            time.sleep(0.05)  # others may arrive in the meantime
        return body.decode()
    finally:
        with lock:
            inside -= 1

def predict_fn(word, barrier):
    if word == "together":
        barrier.wait(120)
    return {"word": word, "decoded_at_once": most}

def output_fn(prediction, accept):
    import json
    return json.dumps(prediction)
"""


@pytest.fixture(autouse=True)
def _slow_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for clients on a slow machine."""
    monkeypatch.setattr(serving_host, "DRAIN_S", 120.0)
    monkeypatch.setattr(serving_host, "DRAIN_SILENCE_S", 120.0)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("model")
    (folder / "code").mkdir()
    (folder / "code" / "echoing_program.py").write_text(ECHO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        model = ModelProgram(str(folder), "echoing_program.py")
    with ModelHttpServer(model) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def request(port: int, method: str, path: str, **more) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, path, **more)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def raw(port: int, text: bytes) -> bytes:
    """Send bytes on a new connection and return the answer until its end."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(text)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ping", 200),
        ("GET", "/invocations", 404),
        ("POST", "/ping", 404),
        ("POST", "/models", 404),
        ("PUT", "/invocations", 501),
    ],
)
def test_unknown_route_is_not_found(port, method, path, status):
    body = b"word" if method == "POST" else None
    assert request(port, method, path, body=body)[0] == status


def test_connection_serves_several_requests_also_after_an_error_of_the_program(port):
    with http_connection(port, "/invocations") as ask:
        with pytest.raises(SubjectError, match=r"415 Unsupported Media Type.*not a word"):
            ask(b"GIF")
        words = [json.loads(ask(word))["word"] for word in (b"one", b"", b"x" * 3_000_000)]
    assert words == ["one", "", "x" * 3_000_000]


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        (b"", b"411", b"send the body with a Content-Length"),
        (b"Content-Length: -1\r\n", b"411", b"send the body with a Content-Length"),
        (b"Transfer-Encoding: chunked\r\n", b"411", b"send the body with a Content-Length"),
        (b"Content-Length: 6553501\r\n", b"413", b"the body has 6,553,501 bytes"),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", b"413", b"the body has too many bytes"),
    ],
    ids=["no length", "negative", "chunked", "too large", "too many digits"],
)
@pytest.mark.parametrize("sent", [0, 20_000_000], ids=["without body", "with body"])
def test_request_with_invalid_length_is_rejected(port, headers, status, message, sent):
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n"
    answer = raw(port, head + b"x" * sent)  # all of it before reading the answer
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert message in answer
    assert b"connection: close" in answer


def test_request_with_largest_body_is_accepted(port):
    status, body = request(port, "POST", "/invocations", body=b"x" * MAX_BODY_BYTES)
    assert (status, len(json.loads(body)["word"])) == (200, MAX_BODY_BYTES)


def test_server_continues_after_client_disconnects(port):
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
    assert request(port, "GET", "/ping") == (200, b"")


def test_client_that_expects_100_continue_gets_it(port):
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"word")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("half", [b"", b"Content-Length: 100\r\n\r\nhalf"], ids=["head", "body"])
def test_client_silent_within_its_request_is_disconnected(port, half, monkeypatch):
    monkeypatch.setattr(serving_host, "SILENCE_S", 0.1)
    assert raw(port, b"POST /invocations HTTP/1.1\r\n" + half) == b""


def test_client_silent_between_requests_keeps_the_connection(port, monkeypatch):
    monkeypatch.setattr(serving_host, "SILENCE_S", 0.05)
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        for _ in range(2):
            connection.sendall(b"GET /ping HTTP/1.1\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):  # neither an answer nor the end
                connection.recv(1)
            connection.settimeout(120)


def test_parallel_requests_limit_decoding_to_cores_and_meet_in_predict_fn(port):
    """Four threads meet in predict_fn, even on one core: a program can batch them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    clients = 4 * cores
    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(request, port, "POST", "/invocations", body=b"together") for _ in range(clients)]
        answers = [one.result(120) for one in asked]
    assert [status for status, _ in answers] == [200] * clients
    assert all(json.loads(body)["decoded_at_once"] <= cores for _, body in answers)


def test_process_ends_with_its_parent(tmp_path):
    """A killed parent cannot stop it."""
    host = Path(__file__).resolve().parents[2] / "local" / "sagemaker" / "serving_host.py"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(ECHO)
    port_file = tmp_path / "port"
    starter = f"""
import subprocess, sys, pathlib, time
process = subprocess.Popen([sys.executable, "-P", {str(host)!r}, "--model-dir", {str(tmp_path)!r},
                            "--port-file", {str(port_file)!r}])
while not pathlib.Path({str(port_file)!r}).exists():
    assert process.poll() is None
    time.sleep(0.01)
"""
    subprocess.run([sys.executable, "-c", starter], check=True, timeout=300)
    with socket.create_connection(("127.0.0.1", int(port_file.read_text())), timeout=120) as connection:
        assert connection.recv(1) == b""  # closed about a second after its parent
