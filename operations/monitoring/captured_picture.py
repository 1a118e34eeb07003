"""Decode captured pictures as the endpoint does, and describe them.

The container's decoder imports PyTorch, 200 MB: who does not decode should not import this.
"""

from PIL import Image

from training import container_path  # noqa: F401  finds the two modules of the container below

# isort: split
from network import PictureError, decode_picture
from picture_features import picture_features

from training.monitoring.capture_line import DamagedLineError


def decode(data: bytes) -> Image.Image:
    """Return the upright RGB picture in a captured request. Raises DamagedLineError."""
    try:
        return decode_picture(data)
    except PictureError as error:
        raise DamagedLineError("picture cannot be decoded", str(error)) from error


def describe(data: bytes) -> dict[str, float | str]:
    """Return the features of a captured picture. Raises DamagedLineError."""
    return picture_features(data, decode(data))
