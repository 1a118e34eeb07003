"""Captured calls as an endpoint's data capture writes them, made of drawn pictures."""

import io
import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from local.sagemaker.data_capture import CapturedInvocation, capture_line
from operations.monitoring.capture_locations import CaptureFile, Captures, FolderCaptures
from operations.monitoring.predictions import Reading
from operations.monitoring.reading import read_captures
from training.sources.synthetic import draw_picture

BEGIN = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
# As training/endpoint/endpoint.py asks for it, and as the SDK does without: everything is base64 then.
TEXT_ANSWERS = {
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
}
BASE64_ANSWERS = {"CaptureOptions": [{"CaptureMode": "InputAndOutput"}]}


@cache
def drawn(number: int, side: int = 32) -> bytes:
    """Return a drawn picture as PNG, the same for the same number."""
    stream = io.BytesIO()
    name = ("bicycle", "motorcycle")[number % 2]
    draw_picture(name, number, (side, side), 0).save(stream, "PNG")
    return stream.getvalue()


def named(**probabilities: float) -> bytes:
    """Return an answer of this project's endpoint."""
    return json.dumps({"labels": [*probabilities], "probabilities": [*probabilities.values()]}).encode()


def line(
    answer: bytes | Sequence[float],
    picture: bytes | None = None,
    time: datetime = BEGIN,
    config: Mapping[str, Any] = TEXT_ANSWERS,
    inference_id: str | None = None,
) -> bytes:
    """Return a captured call; a list of numbers is the built-in algorithm's answer."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    call = CapturedInvocation(
        drawn(0) if picture is None else picture, "image/png", body, "application/json", time, inference_id
    )
    return capture_line(dict(config), call).encode()


def write(folder: Path, lines: Sequence[bytes], hour: datetime = BEGIN, name: str = "a") -> Path:
    """Write a file of captures where SageMaker would; return it."""
    path = folder / f"scones/AllTraffic/{hour:%Y/%m/%d/%H}/00-00-000-{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))
    return path


def read(captures: Path | Captures, **options: Any) -> Reading:
    """Read the captures of a folder, in this process unless `options` ask for more."""
    captures = FolderCaptures(captures) if isinstance(captures, Path) else captures
    return read_captures(captures, **{"class_names": None, "processes": 1, "report": lambda *_: None, **options})


class SlowCaptures(FolderCaptures):
    """Captures whose reads wait until so many have begun; it fails if fewer run at the same time."""

    def __init__(self, path: Path, reads: int) -> None:
        super().__init__(path)
        self._all_reading = threading.Barrier(reads, timeout=30)

    def read(self, file: CaptureFile, start: int, stop: int) -> bytes:
        self._all_reading.wait()
        return super().read(file, start, stop)


def write_calls(folder: Path, calls: Sequence[tuple[int, str | None]]) -> None:
    """Write captures of calls, given by number of the picture and inference id, a second apart."""
    answer = named(car=0.9, van=0.1)
    write(
        folder,
        [
            line(answer, drawn(number), BEGIN + timedelta(seconds=second), inference_id=inference_id)
            for second, (number, inference_id) in enumerate(calls)
        ],
    )


def write_hours(folder: Path, hours: int = 5, each: int = 12, begin: datetime = BEGIN) -> None:
    """Write hours of calls, a file each: less confident and more motorcycles from hour to hour."""
    for hour in range(hours):
        start = begin + timedelta(hours=hour)
        lines = []
        for call in range(each):
            confidence = 0.99 - 0.05 * hour - 0.01 * (call % 7)
            bicycle = confidence if call % (hour + 2) else 1 - confidence
            time = start + timedelta(seconds=3600 * call / each)
            lines.append(line(named(bicycle=bicycle, motorcycle=1 - bicycle), drawn(hour * each + call), time))
        write(folder, lines, start)
