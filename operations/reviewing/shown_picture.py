"""A picture as the page shows it: decoded here, so that the browser gets nothing hostile."""

import io
from dataclasses import dataclass
from typing import Any

from common.labels.picture_version import (
    PictureGoneError,
    PictureRefusedError,
    read_version,
)
from common.s3_picture import Picture
from training.sources.folder import DECODER_ERRORS, read_picture, why_unreadable

LONG_SIDE = 1600  # pixels: more than a page shows
LOSSLESS_PIXELS = 256 * 256  # up to here a PNG: of a small picture each pixel is seen


@dataclass(frozen=True)
class ShownPicture:
    """What to send to a browser, or why there is nothing to show.

    Attributes:
        content: a PNG or JPEG, as `media_type` says; empty where there is a problem.
        media_type: "image/png" or "image/jpeg".
        width: in pixels, of `content`.
        height: in pixels, as above.
        problem: why it cannot be shown, in a sentence; empty where it can.
        for_good: whether the problem will stay, so that nobody need wait for this picture.
    """

    content: bytes = b""
    media_type: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    for_good: bool = False


def read_shown(s3: Any, picture: Picture) -> ShownPicture:
    """Read that version of a picture. Raises botocore's errors where asking again may help."""
    try:
        return show(read_version(s3, picture))
    except PictureGoneError as error:
        return ShownPicture(problem=str(error), for_good=True)
    except PictureRefusedError as error:
        return ShownPicture(problem=str(error))


def show(content: bytes) -> ShownPicture:
    """Decode a picture and encode it for the page."""
    try:
        image = read_picture(io.BytesIO(content), LONG_SIDE)
    except DECODER_ERRORS as error:
        problem = f"It cannot be decoded: {why_unreadable(error)}."
        return ShownPicture(problem=problem, for_good=True)
    small = image.width * image.height <= LOSSLESS_PIXELS
    stream = io.BytesIO()
    if small:
        image.save(stream, "PNG")
    else:
        image.save(stream, "JPEG", quality=92)
    media_type = "image/png" if small else "image/jpeg"
    return ShownPicture(stream.getvalue(), media_type, image.width, image.height)
