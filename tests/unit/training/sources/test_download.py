"""The download: resumed, retried, and verified by its checksum."""

import email.message
import hashlib
import io
import re
import urllib.error
from pathlib import Path

import pytest

from training.sources.download import TRIES, ChecksumMismatchError, DownloadError, download, file_md5

URL = "https://example.org/archive.tar.gz"
CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Response(io.BytesIO):
    def __init__(self, status, headers, body):
        super().__init__(body)
        self.status, self.headers = status, headers


class Host:
    """Serves CONTENT like a web server, with or without ranges, after these failures."""

    def __init__(self, *failures, ranges=True):
        self.failures, self.ranges = list(failures), ranges
        self.ranges_asked: list[str | None] = []

    def __call__(self, request, timeout):
        assert timeout > 0
        asked = request.get_header("Range")
        self.ranges_asked.append(asked)
        if self.failures:
            raise self.failures.pop(0)
        total = len(CONTENT)
        if asked is None or not self.ranges:
            return Response(200, {"Content-Length": str(total)}, CONTENT)
        start = int(re.sub(r"bytes=(\d+)-", r"\1", asked))
        if start >= total:
            raise http_error(416, {"Content-Range": f"bytes */{total}"})
        headers = {"Content-Range": f"bytes {start}-{total - 1}/{total}"}
        return Response(206, headers, CONTENT[start:])


def http_error(code, headers=()):
    message = email.message.Message()
    for name, value in dict(headers).items():
        message[name] = value
    return urllib.error.HTTPError(URL, code, "reason", message, None)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "archive.tar.gz"


def fetch(target, host, md5=MD5):
    """Download, and return the pauses in seconds."""
    pauses: list[float] = []
    download(URL, target, md5, lambda *_: None, opener=host, sleep=pauses.append)
    return pauses


def part(target):
    return target.with_name(target.name + ".part")


def test_download_with_a_wrong_checksum_fails_and_leaves_no_file(target):
    with pytest.raises(ChecksumMismatchError, match=f"not {'0' * 32}"):
        fetch(target, Host(), md5="0" * 32)

    assert not target.exists()
    assert not part(target).exists()


def test_download_that_is_refused_fails_at_once(target):
    host = Host(http_error(404))

    with pytest.raises(DownloadError, match="answers 404"):
        fetch(target, host)

    assert len(host.ranges_asked) == 1


def test_download_from_unreachable_host_fails_with_advice(target):
    host = Host(*[urllib.error.URLError("no route to host")] * TRIES)

    with pytest.raises(DownloadError, match=r"no route to host.*run the same command again"):
        fetch(target, host)


def test_download_from_a_busy_host_is_retried_with_longer_pauses(target):
    host = Host(http_error(503), TimeoutError("timed out"), http_error(429))

    assert fetch(target, host) == [2, 4, 8]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "options", "ranges"),
    [
        (CONTENT[:7], {}, ["bytes=7-"]),
        (b"old bytes", {"ranges": False}, ["bytes=9-"]),
        (CONTENT, {}, [f"bytes={len(CONTENT)}-"]),
        (CONTENT + b"more", {}, [f"bytes={len(CONTENT) + 4}-", None]),
    ],
    ids=["part", "no ranges", "whole", "too long"],
)
def test_download_with_part_file_resumes_or_starts_over(target, content, options, ranges):
    target.parent.mkdir()
    part(target).write_bytes(content)
    host = Host(**options)
    fetch(target, host)

    assert target.read_bytes() == CONTENT
    assert host.ranges_asked == ranges
    assert not part(target).exists()


@pytest.mark.parametrize(("content", "ranges"), [(CONTENT, []), (CONTENT[:-1], [None])], ids=["whole", "damaged"])
def test_download_fetches_only_what_is_not_there_whole(target, content, ranges):
    target.parent.mkdir()
    target.write_bytes(content)
    host = Host()
    fetch(target, host)

    assert host.ranges_asked == ranges
    assert file_md5(target) == MD5
