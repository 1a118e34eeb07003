"""Decode captured pictures as the endpoint does, and describe them.

The container's decoder imports PyTorch, 200 MB: who does not decode should not import this.
"""

from PIL import Image

from operations.monitoring.capture_line import DamagedLineError
from training.container.picture_model.network import PictureError, decode_picture
from training.container.picture_model.picture_features import picture_features


def decode(data: bytes) -> Image.Image:
    """Return the upright RGB picture in a captured request. Raises DamagedLineError."""
    try:
        return decode_picture(data)
    except PictureError as error:
        raise DamagedLineError("picture cannot be decoded", str(error)) from error


def describe(data: bytes) -> dict[str, float | str]:
    """Return the features of a captured picture. Raises DamagedLineError."""
    return picture_features(data, decode(data))
