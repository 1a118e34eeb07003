"""Thumbnails of pictures inside a page."""

import io

from PIL import Image

from common.pages.charts import data_uri

SIDE = 128  # pixels, at most; a page shows it at 96 to 128


def thumbnail(picture: Image.Image, side: int = SIDE) -> str:
    """Return a decoded picture as the data URI of a PNG, its longer side at most `side` pixels.

    A smaller picture keeps its size: the page enlarges it without smoothing.
    """
    small = picture if picture.mode == "RGB" else picture.convert("RGB")
    share = side / max(small.size)
    if share < 1:  # Image.thumbnail would change the picture itself
        width, height = (max(1, round(share * length)) for length in small.size)
        small = small.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    stream = io.BytesIO()
    small.save(stream, "PNG", optimize=True)
    return data_uri("image/png", stream.getvalue())
