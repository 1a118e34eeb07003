"""The subjects of the serving benchmark, and the measurement of one."""

import contextlib
import random
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from common.errors import ExpectedError

TIMEOUT_S = 60.0  # for an answer
PORTS = range(20_000, 32_000)  # multi-model-server takes none above 32,767

Ask = Callable[[bytes], bytes]  # from the bytes of a picture to the JSON of its answer


class SubjectError(ExpectedError):
    """A server failed; the message has its name and its answer."""


@dataclass(frozen=True)
class Subject:
    """Something that classifies pictures.

    Attributes:
        name: unique, as in the report.
        title: for people.
        connect: opens a connection for one thread.
        clients: the numbers of concurrent clients to measure.
        compared: whether its answers equal those of the others.
    """

    name: str
    title: str
    connect: Callable[[], contextlib.AbstractContextManager[Ask]]
    clients: tuple[int, ...] = (1, 8)
    compared: bool = True


@dataclass(frozen=True)
class TimedRun:
    """One measurement: the median seconds of an answer, and the answers per second."""

    median_s: float
    per_s: float


def measure(subject: Subject, pictures: Sequence[bytes], clients: int, requests: int, seconds: float) -> TimedRun:
    """Let `clients` threads send requests at the same time, each without a pause.

    They share at most `requests` requests and send none after `seconds` seconds, but each sends one. Raises the first
    error of a client.
    """
    start = threading.Barrier(clients + 1, timeout=TIMEOUT_S)
    over = threading.Event()

    def client(number: int) -> list[float]:
        measured = []
        try:
            with subject.connect() as ask:
                start.wait()
                deadline = time.perf_counter() + seconds
                for count in range(requests // clients):
                    # Each starts at another picture, so that no two send the same one.
                    picture = pictures[(number * len(pictures) // clients + count) % len(pictures)]
                    began = time.perf_counter()
                    ask(picture)
                    ended = time.perf_counter()
                    measured.append(ended - began)
                    if ended > deadline or over.is_set():
                        break
        except Exception:
            start.abort()
            raise
        return measured

    with ThreadPoolExecutor(clients) as pool:
        results = [pool.submit(client, number) for number in range(clients)]
        try:
            with contextlib.suppress(threading.BrokenBarrierError):  # a client's error, raised below
                start.wait()
            began = time.perf_counter()
            wait(results)
            whole = time.perf_counter() - began
        finally:
            over.set()  # Ctrl-C ends the clients too
    for result in results:
        error = result.exception()
        if error is not None and not isinstance(error, threading.BrokenBarrierError):
            raise error
    answers = [one for result in results for one in result.result()]
    return TimedRun(statistics.median(answers), len(answers) / whole)


@contextlib.contextmanager
def http_connection(port: int, path: str) -> Iterator[Ask]:
    """Keep a connection to a server on 127.0.0.1 and send pictures by POST.

    It does as little as HTTP/1.1 allows, since the clients share the server's cores. After a server has closed the
    connection, as the laptop's AWS does after a thousand requests, it opens another one. Raises SubjectError for an
    answer other than 200.
    """
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: image/png\r\n"
        "Accept: application/json\r\nContent-Length: "
    ).encode()
    connection = _Connection(port)

    def ask(picture: bytes) -> bytes:
        nonlocal connection
        request = b"%s%d\r\n\r\n%s" % (head, len(picture), picture)
        status, body = connection.send(request)
        if not status:
            connection.close()
            connection = _Connection(port)
            status, body = connection.send(request)
        if b" 200 " not in status:
            raise SubjectError(
                f"port {port}{path} answered {status.decode(errors='replace').strip()!r}: "
                f"{body[:500].decode(errors='replace')}"
            )
        return body

    try:
        yield ask
    finally:
        connection.close()


class _Connection:
    """One connection of HTTP/1.1."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")

    def send(self, request: bytes) -> tuple[bytes, bytes]:
        """Return the answer's first line and its body; both are empty after the server has closed the connection."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(request)
            status, length = self._reader.readline(), 0
            while (line := self._reader.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            return status, self._reader.read(length)
        return b"", b""

    def close(self) -> None:
        """Close it."""
        self._reader.close()
        self._socket.close()


def free_ports(count: int) -> list[int]:
    """Return `count` consecutive ports of 127.0.0.1 on which nothing listens."""
    while True:
        first = random.choice(PORTS)  # noqa: S311  not a secret
        ports = list(range(first, first + count))
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for port in ports:
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return ports
