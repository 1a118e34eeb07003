"""The download from a real HTTP host: resumed, retried, and verified by its checksum."""

import contextlib
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from training.sources.download import DownloadError, download

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
WRONG_MD5 = "0" * 32
DROP, HANG = -1, -2  # instead of an HTTP status: close the connection without an answer, or answer too late


class Host(ThreadingHTTPServer):
    """Serves CONTENT after these failures, `sends` bytes a connection."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/archive.tar.gz"
        self.failures: list[int] = []
        self.sends = len(CONTENT)
        self.knows_ranges = True
        self.asked: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.server.failures:
            failure = self.server.failures.pop(0)
            if failure == HANG:
                time.sleep(1)
            else:
                if failure != DROP:
                    self.send_error(failure)
                return
        total = len(CONTENT)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.knows_ranges else 0
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
        elif start:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(max(0, total - start)))
        with contextlib.suppress(ConnectionError):  # the client has timed out
            self.end_headers()
            self.wfile.write(CONTENT[start : start + self.server.sends])

    def log_message(self, *_):
        pass


@pytest.fixture
def host():
    with Host() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "archive.tar.gz"


def part(target):
    return target.with_name(target.name + ".part")


def fetch(url, target, md5=MD5):
    """Download, and return the reports and the pauses in seconds."""
    reports: list[tuple[int, int | None]] = []
    pauses: list[float] = []
    assert download(url, target, md5, lambda *seen: reports.append(seen), sleep=pauses.append) == target
    return reports, pauses


def test_download_with_a_wrong_checksum_fails_and_leaves_no_file(host, target):
    with pytest.raises(DownloadError, match=f"not {WRONG_MD5}"):
        fetch(host.url, target, WRONG_MD5)

    assert [*target.parent.iterdir()] == []


def test_download_that_is_refused_fails_at_once(host, target):
    host.failures = [404]

    with pytest.raises(DownloadError, match="answers 404"):
        fetch(host.url, target)

    assert len(host.asked) == 1


def test_download_from_an_unreachable_host_fails_with_advice(host, target):
    host.server_close()

    with pytest.raises(DownloadError, match=r"in 8 tries \(.*refused.*run the same command again"):
        fetch(host.url, target)


def test_dropped_download_resumes_where_it_stopped(host, target):
    host.sends = 100_000
    reports, pauses = fetch(host.url, target)

    assert target.read_bytes() == CONTENT
    assert host.asked == [None, "bytes=100000-", "bytes=200000-"]
    assert reports[-1] == (256_000, 256_000)
    assert len(pauses) == 2
    assert not part(target).exists()


def test_download_from_a_busy_host_is_retried_with_longer_pauses(host, target, monkeypatch):
    monkeypatch.setattr("training.sources.download.TIMEOUT", 0.3)
    host.failures = [503, HANG, DROP, 429]
    _, pauses = fetch(host.url, target)

    assert target.read_bytes() == CONTENT
    assert pauses == [2, 4, 8, 16]


@pytest.mark.parametrize(
    ("content", "knows_ranges", "asked"),
    [
        (CONTENT[:7], True, ["bytes=7-"]),
        (b"old bytes", False, ["bytes=9-"]),
        (CONTENT, True, [f"bytes={len(CONTENT)}-"]),
        (CONTENT + b"more", True, [f"bytes={len(CONTENT) + 4}-", None]),
    ],
    ids=["part", "no ranges", "whole", "too long"],
)
def test_download_with_part_file_resumes_or_starts_over(host, target, content, knows_ranges, asked):
    part(target).write_bytes(content)
    host.knows_ranges = knows_ranges
    fetch(host.url, target)

    assert target.read_bytes() == CONTENT
    assert host.asked == asked


@pytest.mark.parametrize(("content", "asked"), [(CONTENT, []), (CONTENT[:-1], [None])], ids=["whole", "damaged"])
def test_download_requests_only_a_missing_or_damaged_file(host, target, content, asked):
    target.write_bytes(content)
    fetch(host.url, target)

    assert host.asked == asked
    assert target.read_bytes() == CONTENT
