"""The pictures in captured calls: decode, describe and sample them, and go back to single ones."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from common.pages.thumbnails import thumbnail
from common.parallel import run_parallel
from operations.monitoring.capture_line import DamagedLineError, read_line
from operations.monitoring.capture_locations import CaptureFile, Captures
from operations.monitoring.figures import iso
from operations.monitoring.predictions import Integers, Predictions, Reading
from training.container.picture_model.picture_features import picture_features

THREADS = 8  # reads at a time: from S3 each takes about 20 ms
MOST_DECODED = 2  # pictures held at a time: one of 24 megapixels takes 150 MB while it is decoded

Result = TypeVar("Result")


class ShownPicture(NamedTuple):
    """A captured picture in the report: its thumbnail as a data URI, and its facts in monitor.json."""

    thumbnail: str
    facts: dict[str, Any]


def decode(data: bytes) -> Image.Image:
    """Return the upright RGB picture in a captured request, decoded as the endpoint does. Raises DamagedLineError."""
    # Imports PyTorch, 200 MB, which the process that distributes files to others does not need.
    from training.container.picture_model.network import PictureError, decode_picture

    try:
        return decode_picture(data)
    except PictureError as error:
        raise DamagedLineError("picture cannot be decoded", str(error)) from error


def describe(data: bytes) -> dict[str, float | str]:
    """Return the features of a captured picture. Raises DamagedLineError."""
    return picture_features(data, decode(data))


def lowest(predictions: Predictions, most: int) -> Integers:
    """Return the rows of the lowest confidences, the lowest first, and of equal ones the newest first."""
    order = np.lexsort((-predictions.times, predictions.confidences))
    return np.asarray(order[:most], np.int64)


def at_random(predictions: Predictions, most: int, seed: int) -> Integers:
    """Return the rows of a random sample, ascending."""
    count = len(predictions)
    chosen = np.random.default_rng(seed).choice(count, min(most, count), replace=False)
    return np.sort(chosen).astype(np.int64)


def with_pictures(
    captures: Captures,
    files: Sequence[str],
    predictions: Predictions,
    work: Callable[[int, Image.Image], Result],
    report: Callable[[int, int], None],
) -> list[Result]:
    """Return `work(row, picture)` of each prediction, in their order.

    Each picture, upright RGB, is read again. `report` gets how many are done and their total. Raises CaptureGoneError.
    """

    def work_on(row: int) -> Result:
        file = CaptureFile(files[predictions.files[row]], 0)
        start = int(predictions.offsets[row])
        line = captures.read(file, start, start + int(predictions.lengths[row]))
        data = read_line(line, None).picture
        return decoders.submit(lambda: work(row, decode(data))).result()

    # Two threads of their own instead of a semaphore: the allocator keeps for each thread what it has freed.
    with ThreadPoolExecutor(MOST_DECODED) as decoders:
        return run_parallel(work_on, range(len(predictions)), threads=THREADS, report=report)


def shown_pictures(
    captures: Captures, reading: Reading, threshold: float, *, most: int, seed: int, report: Callable[[int, int], None]
) -> dict[str, list[ShownPicture]]:
    """Return at most `most` pictures of the "lowest" confidence, and as many at "random"."""
    rows = [lowest(reading.predictions, most), at_random(reading.predictions, most, seed)]
    predictions = reading.predictions.select(np.concatenate(rows))
    accepted = predictions.accepted(threshold)
    labels = predictions.label_names()

    def show(row: int, picture: Image.Image) -> ShownPicture:
        facts = {
            "file": reading.files[predictions.files[row]],
            "line": int(predictions.lines[row]),
            "time": iso(predictions.times[row]),
            "label": labels[row],
            "confidence": float(predictions.confidences[row]),
            "accepted": bool(accepted[row]),
        }
        return ShownPicture(thumbnail(picture), facts)

    pictures = with_pictures(captures, reading.files, predictions, show, report)
    return {"lowest": pictures[: len(rows[0])], "random": pictures[len(rows[0]) :]}
