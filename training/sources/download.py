"""Download one large file over HTTP, resumable and verified by its checksum."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from common.progress import Report
from training.sources.source import StageDataError

CHUNK = 64 * 1024  # bytes per read: a second of the slowest host seen
TIMEOUT = 60  # seconds without a byte until the connection counts as dropped
TRIES = 8  # consecutive, without a byte of progress
LONGEST_PAUSE = 30  # seconds


class DownloadError(StageDataError):
    """The download failed, or the file has another checksum."""


def download(
    url: str,
    target: Path,
    md5: str,
    report: Report,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Return `target`, downloaded unless it exists with this checksum.

    Received bytes are kept in `target`.part, from which a later call resumes. `report` gets the number
    of bytes received and the size of the file, None if the host does not send it.
    Raises DownloadError.
    """
    if target.exists() and _file_md5(target) == md5:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    failures = 0
    while True:
        before = _size(part)
        try:
            if _fetch(url, part, report):
                break
            problem = "the connection was dropped"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise DownloadError(f"{url} answers {error.code} {error.reason}.") from error
            problem = f"it answers {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        failures = 0 if _size(part) > before else failures + 1
        if failures >= TRIES:
            raise DownloadError(
                f"{url} could not be downloaded in {TRIES} tries ({problem}). The received part is"
                " kept: run the same command again later."
            )
        sleep(min(2**failures, LONGEST_PAUSE))
    received_md5 = _file_md5(part)
    if received_md5 != md5:
        part.unlink()  # resuming could never correct it
        raise DownloadError(
            f"{url} gave a file with MD5 {received_md5}, not {md5}. It was removed: run the same command"
            " again, and if that does not help, give an archive from another source."
        )
    part.replace(target)
    return target


def _file_md5(path: Path) -> str:
    """Return the MD5 checksum of a file in hex: the one its publisher gives, no proof of origin."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _fetch(url: str, part: Path, report: Report) -> bool:
    """Append to `part` until the connection ends. Return whether the file is complete."""
    start = _size(part)
    request = urllib.request.Request(  # noqa: S310  the URL is a constant of ours
        url, headers={"Range": f"bytes={start}-"} if start else {}
    )
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if _total(error.headers.get("Content-Range")) == start:
            return True
        part.unlink()  # longer than the file
        return False
    with response:
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            total = _total(response.headers.get("Content-Range"))
        else:  # a host that ignores Range sends the whole file
            start = 0
            length = response.headers.get("Content-Length")
            total = int(length) if length else None
        with part.open("ab" if start else "wb") as stream:
            report(start, total)
            while chunk := response.read(CHUNK):
                stream.write(chunk)
                start += len(chunk)
                report(start, total)
    return total is None or start >= total


def _total(content_range: str | None) -> int | None:
    """Return the size from a header such as `bytes 100-199/200` or `bytes */200`."""
    size = (content_range or "").rpartition("/")[2]
    return int(size) if size.isdigit() else None


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
