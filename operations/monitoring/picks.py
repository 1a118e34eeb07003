"""Go back to single captured pictures: the least sure ones, and a random sample."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from PIL import Image

from common.parallel import run_parallel
from operations.monitoring.capture_line import read_line
from operations.monitoring.capture_locations import CaptureFile, Captures
from operations.monitoring.predictions import Integers, Predictions

THREADS = 8  # reads at a time: from S3 each takes some 20 ms
MOST_DECODED = 2  # pictures held at a time: one of 24 megapixels takes 150 MB while it is decoded

Result = TypeVar("Result")


def lowest(predictions: Predictions, most: int) -> Integers:
    """Return the rows of the lowest confidences, the lowest first; of equals, the newest first."""
    order = np.lexsort((-predictions.times, predictions.confidences))
    return np.asarray(order[:most], np.int64)


def at_random(predictions: Predictions, most: int, seed: int) -> Integers:
    """Return the rows of a random sample in their order: the same for the same seed and rows."""
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
    """Return `work(row, picture)` for each prediction, in their order, two at a time.

    The pictures are upright RGB. Each is read and decoded again: it was fine the first time.
    `report` gets how many are done and their total. Raises CaptureGoneError.
    """
    # Not above: what reads the lines in other processes does without PyTorch.
    from operations.monitoring.captured_picture import decode

    def one(row: int) -> Result:
        file = CaptureFile(files[predictions.files[row]], 0)
        start = int(predictions.offsets[row])
        line = captures.read(file, start, start + int(predictions.lengths[row]))
        data = read_line(line, None).picture
        return decoders.submit(lambda: work(row, decode(data))).result()

    # Threads of their own, and no semaphore: what a thread has freed, its allocator keeps for it.
    with ThreadPoolExecutor(MOST_DECODED) as decoders:
        return run_parallel(one, range(len(predictions)), threads=THREADS, report=report)
