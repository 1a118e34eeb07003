"""A picture for the review page: decoded and encoded again, so that the browser gets no hostile file."""

import io
from dataclasses import dataclass
from typing import Any

from common.labels.picture_version import PictureGoneError, PictureRefusedError, read_version
from common.s3_picture import S3Picture
from training.sources.folder import DECODER_ERRORS, read_picture, why_unreadable

LONG_SIDE = 1600  # pixels: enough for any screen
LOSSLESS_PIXELS = 256 * 256  # up to here a PNG: the page enlarges small pictures


@dataclass(frozen=True)
class PagePicture:
    """What to send to a browser, or why the picture cannot be shown."""

    content: bytes = b""  # a PNG or JPEG of `width` by `height` pixels; empty if there is a problem
    media_type: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""  # why it cannot be shown, in a sentence
    permanent: bool = False  # whether the problem will stay


def read_page_picture(s3: Any, picture: S3Picture) -> PagePicture:
    """Read this version of a picture. Raises botocore's errors if a retry may help."""
    try:
        return encode_for_page(read_version(s3, picture))
    except PictureGoneError as error:
        return PagePicture(problem=str(error), permanent=True)
    except PictureRefusedError as error:
        return PagePicture(problem=str(error))


def encode_for_page(content: bytes) -> PagePicture:
    """Decode a picture and encode it as PNG or JPEG."""
    try:
        image = read_picture(io.BytesIO(content), LONG_SIDE)
    except DECODER_ERRORS as error:
        return PagePicture(problem=f"It cannot be decoded: {why_unreadable(error)}.", permanent=True)
    kind = "PNG" if image.width * image.height <= LOSSLESS_PIXELS else "JPEG"
    stream = io.BytesIO()
    image.save(stream, kind, quality=92)
    return PagePicture(stream.getvalue(), f"image/{kind.lower()}", image.width, image.height)
