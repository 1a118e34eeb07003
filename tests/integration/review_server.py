"""The review server as a user starts it, and requests as its page sends them."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common.settings import ROOT
from tests.integration.laptop_aws import LaptopAws

START_SECONDS = END_SECONDS = 120
PAGE_ID = "0123456789abcdef"


class ReviewServer:
    """`python -m operations.review`, from its start until it is stopped or killed."""

    def __init__(self, aws: LaptopAws, *arguments: str) -> None:
        """Start it and wait for its address."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "operations.review", "--no-browser", *arguments],
            cwd=ROOT,
            env=os.environ | aws.env | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed = ""
        self.address = self._address()

    def _address(self) -> str:
        assert self._process.stdout
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self._process.stdout], [], [], 1)
            line = self._process.stdout.readline() if ready else ""
            self.printed += line
            if found := re.match(r"Review page: (http://127\.0\.0\.1:\d+/[\w-]+/)$", line):
                return found[1]
            if ready and not line:
                break
        self.kill()
        raise AssertionError(f"the server gave no address: {self.printed}")

    @property
    def port(self) -> int:
        """The port of its address."""
        return int(self.address.split(":")[2].partition("/")[0])

    def interrupt(self) -> None:
        """Send what Ctrl-C sends."""
        self._process.send_signal(signal.SIGINT)

    def stop(self, expect: int = 0) -> str:
        """Interrupt it, wait for its end, and return what it printed."""
        self.interrupt()
        rest, _ = self._process.communicate(timeout=END_SECONDS)
        assert self._process.returncode == expect, rest
        self.printed += rest
        return self.printed

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate(timeout=END_SECONDS)

    def post(self, action: str, page: str = PAGE_ID, **fields: str) -> dict[str, Any]:
        """Send the request of a button; return the view."""
        request = urllib.request.Request(  # noqa: S310  loopback
            self.address + action,
            data=json.dumps({"client": page, **fields}).encode(),
            headers={"Content-Type": "application/json", "Origin": self.address.rpartition("/")[0].rpartition("/")[0]},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  loopback
            view: dict[str, Any] = json.load(answer)
            return view

    def get(self, path: str = "", **headers: str) -> tuple[int, bytes]:
        """Return status and body of a GET."""
        request = urllib.request.Request(self.address + path, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  loopback
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@contextmanager
def review_server(aws: LaptopAws, *arguments: str) -> Iterator[ReviewServer]:
    """Run it; kill it at the end."""
    server = ReviewServer(aws, *arguments)
    try:
        yield server
    finally:
        server.kill()
