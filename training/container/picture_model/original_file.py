"""What a picture's file was before staging made a PNG of it.

An endpoint gets photos as a camera wrote them, and staging shrinks them. To be compared with what
the endpoint gets, a staged picture says in a text chunk what its file was.
"""

import io
import json
from typing import NamedTuple

from PIL import Image
from PIL.PngImagePlugin import PngInfo

KEYWORD = "scones-unlimited original file"
FORMATS = ("PNG", "JPEG", "other")  # as picture_features calls them


class OriginalFileError(Exception):
    """A picture says of its original file what cannot be; the message says what to do."""


class OriginalFile(NamedTuple):
    """A picture's file: width and height in pixels, upright; its bytes; one of FORMATS."""

    width: int
    height: int
    size: int
    format: str

    def png_text(self) -> PngInfo:
        """Give the text chunk that `read_original` reads."""
        chunk = PngInfo()
        chunk.add_text(KEYWORD, json.dumps(self._asdict()))
        return chunk

    def features(self) -> dict[str, float | str]:
        """Give those of picture_features that are about the file."""
        return {
            "width": float(self.width),
            "height": float(self.height),
            "bytes": float(self.size),
            "format": self.format,
        }


def read_original(data: bytes) -> OriginalFile | None:
    """Read what staging wrote into a picture that can be decoded; None where it wrote nothing.

    Only for pictures to train on: one that an endpoint was asked about may say what it likes.
    Raises OriginalFileError.
    """
    if not data.startswith(b"\x89PNG"):
        return None
    with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        text = picture.info.get(KEYWORD)
    if text is None:
        return None
    try:
        found = OriginalFile(**json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise OriginalFileError(_wrong(text)) from error
    numbers = found[:3]
    if found.format not in FORMATS or not all(type(n) is int and 0 < n < 2**53 for n in numbers):
        raise OriginalFileError(_wrong(text))
    return found


def _wrong(text: str) -> str:
    return f"its text {KEYWORD!r} is {text[:80]!r}, which staging does not write: stage it again"
