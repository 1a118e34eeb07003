"""Small copies of pictures, inside a page."""

import io

from PIL import Image

from training.pages.charts import data_uri

SIDE = 128  # pixels, at most; a page shows it at 96 to 128


def thumbnail(picture: Image.Image, side: int = SIDE) -> str:
    """Return a decoded picture as the address of a PNG, its longer side at most `side` pixels.

    A smaller one is left as it is: the page enlarges it without smoothing.
    """
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    stream = io.BytesIO()
    small.save(stream, "PNG", optimize=True)
    return data_uri("image/png", stream.getvalue())
