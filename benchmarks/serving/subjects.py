"""What can be asked to classify a picture, and how long it takes to answer."""

import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from common.errors import ExpectedError

TIMEOUT_S = 60.0  # a container has to answer within it

Ask = Callable[[bytes], bytes]  # the bytes of a picture to the JSON that answers it


class SubjectError(ExpectedError):
    """A server gave no good answer; the message has its name and what it said."""


@dataclass(frozen=True)
class Subject:
    """Something that classifies pictures.

    Attributes:
        name: unique, as the report has it.
        title: for people.
        connect: opens a connection, which one thread uses to ask.
        clients: how many may ask at the same time, of those that are measured.
        compared: whether it answers as the others do.
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


@dataclass
class _Client:
    """What one thread saw."""

    seconds: list[float] = field(default_factory=list)
    error: Exception | None = None


def measure(subject: Subject, pictures: Sequence[bytes], clients: int, requests: int, seconds: float) -> TimedRun:
    """Have `clients` ask at the same time, each without a pause.

    Args:
        subject: whom they ask.
        pictures: what for.
        clients: how many threads ask.
        requests: how often at most, all together.
        seconds: nobody asks any more after so long, but each has asked once.

    Raises whatever the first of them raises.
    """
    seen = [_Client() for _ in range(clients)]
    start = threading.Barrier(clients + 1, timeout=TIMEOUT_S)
    over = threading.Event()

    def work(number: int) -> None:
        client = seen[number]
        try:
            with subject.connect() as ask:
                start.wait()
                deadline = time.perf_counter() + seconds
                for count in range(requests // clients):
                    # Each begins elsewhere in the pictures, so that no two ask for the same.
                    picture = pictures[(number * len(pictures) // clients + count) % len(pictures)]
                    began = time.perf_counter()
                    ask(picture)
                    ended = time.perf_counter()
                    client.seconds.append(ended - began)
                    if ended > deadline or over.is_set():
                        break
        except Exception as error:  # noqa: BLE001  raised again below, in the thread that waits
            client.error = error
            start.abort()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    with contextlib.suppress(threading.BrokenBarrierError):  # a client's error, raised below
        start.wait()
    began = time.perf_counter()
    try:
        for thread in threads:
            thread.join()
    finally:
        over.set()  # Ctrl-C ends the clients too
    whole = time.perf_counter() - began
    for client in seen:
        if client.error is not None and not isinstance(client.error, threading.BrokenBarrierError):
            raise client.error
    answers = [one for client in seen for one in client.seconds]
    return TimedRun(statistics.median(answers), len(answers) / whole)


@contextlib.contextmanager
def http_connection(port: int, path: str) -> Iterator[Ask]:
    """Keep a connection to a server on 127.0.0.1, which is asked with POST.

    As little as HTTP/1.1 allows: the clients have the same cores as the server, and what they take
    is missing there. A server may close a connection between two requests, as the laptop's AWS
    does after a thousand; then there is a new one. Raises SubjectError for an answer other than
    200.
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
        """Return the answer's first line and its body; both are empty when there is none."""
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
