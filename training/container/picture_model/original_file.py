"""The properties of a picture's original file, which staging stores in a text chunk of its PNG.

Staging shrinks photos, and an endpoint gets them as a camera wrote them: monitoring compares both.
"""

import io
import json
from typing import NamedTuple

from PIL import Image
from PIL.PngImagePlugin import PngInfo

KEYWORD = "scones-unlimited original file"
FORMATS = ("PNG", "JPEG", "other")  # as picture_features calls them


class OriginalFileError(Exception):
    """The text chunk about the original file is invalid."""


class OriginalFile(NamedTuple):
    """A file: width and height in pixels, upright; size in bytes; one of FORMATS."""

    width: int
    height: int
    size: int
    format: str

    def png_text(self) -> PngInfo:
        """Return the text chunk that `read_original` reads."""
        chunk = PngInfo()
        chunk.add_text(KEYWORD, json.dumps(self._asdict()))
        return chunk

    def features(self) -> dict[str, float | str]:
        """Return those of picture_features that describe the file."""
        return {
            "width": float(self.width),
            "height": float(self.height),
            "bytes": float(self.size),
            "format": self.format,
        }


def read_original(data: bytes) -> OriginalFile | None:
    """Read the text chunk of a decodable picture; None if there is none. Raises OriginalFileError.

    Only for training pictures: a client of the endpoint may write anything into its own.
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
    if found.format not in FORMATS or not all(type(n) is int and 0 < n < 2**53 for n in found[:3]):
        raise OriginalFileError(_wrong(text))
    return found


def _wrong(text: str) -> str:
    return f"its text {KEYWORD!r} is {text[:80]!r}, which staging does not write: stage it again"
