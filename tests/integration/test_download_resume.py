"""The download from a real HTTP host that drops the connection."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from training.sources.download import download

CONTENT = bytes(range(256)) * 4000  # 1 MB
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
SENT_AT_A_TIME = 400_000


class DroppingHandler(BaseHTTPRequestHandler):
    """Announces the rest of the file, sends a part of it, and closes the connection."""

    ranges: ClassVar[list[str | None]]

    def do_GET(self):
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            end = len(CONTENT) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + SENT_AT_A_TIME])

    def log_message(self, *_):
        pass


@pytest.fixture
def host():
    DroppingHandler.ranges = []
    with ThreadingHTTPServer(("127.0.0.1", 0), DroppingHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/archive.tar.gz", DroppingHandler.ranges
        server.shutdown()
        thread.join()


def test_dropped_download_resumes_where_it_stopped(host, tmp_path):
    url, ranges = host
    reports: list[tuple[int, int | None]] = []
    pauses: list[float] = []
    path = download(url, tmp_path / "a.tar.gz", MD5, lambda *seen: reports.append(seen), sleep=pauses.append)

    assert path.read_bytes() == CONTENT
    assert ranges == [None, "bytes=400000-", "bytes=800000-"]
    assert reports[-1] == (len(CONTENT), len(CONTENT))
    assert len(pauses) == 2
    assert [*tmp_path.iterdir()] == [path]
