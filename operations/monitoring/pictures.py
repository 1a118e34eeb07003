"""The captured pictures that a report shows: the least sure ones, and a random sample."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from PIL import Image

from common.pages.thumbnails import thumbnail
from operations.monitoring.capture_locations import Captures
from operations.monitoring.periods import iso, moment
from operations.monitoring.picks import at_random, lowest, with_pictures
from operations.monitoring.predictions import Reading


@dataclass(frozen=True)
class ShownPicture:
    """A captured picture: its thumbnail as an address, what was said about it, where it is."""

    thumbnail: str
    label: str
    confidence: float
    time: datetime
    accepted: bool
    file: str
    line: int

    def facts(self) -> dict[str, Any]:
        """Return what monitor.json says of it: all but the picture."""
        return {
            "file": self.file,
            "line": self.line,
            "time": iso(self.time.timestamp()),
            "label": self.label,
            "confidence": self.confidence,
            "accepted": self.accepted,
        }


def shown_pictures(
    captures: Captures,
    reading: Reading,
    threshold: float,
    *,
    most: int,
    seed: int,
    report: Callable[[int, int], None],
) -> dict[str, list[ShownPicture]]:
    """Return at most `most` pictures of the "lowest" confidence, and as many at "random"."""
    rows = {
        "lowest": lowest(reading.predictions, most),
        "random": at_random(reading.predictions, most, seed),
    }
    chosen = reading.predictions.chosen(np.concatenate(list(rows.values())))
    accepted = chosen.accepted(threshold)

    def show(row: int, picture: Image.Image) -> ShownPicture:
        return ShownPicture(
            thumbnail(picture),
            chosen.classes[chosen.labels[row]],
            float(chosen.confidences[row]),
            moment(chosen.times[row]),
            bool(accepted[row]),
            reading.files[chosen.files[row]],
            int(chosen.lines[row]),
        )

    pictures = with_pictures(captures, reading.files, chosen, show, report)
    first = len(rows["lowest"])
    return {"lowest": pictures[:first], "random": pictures[first:]}
