"""Recognise a picture that is there twice, so that it cannot stand on both sides of a split."""

import hashlib

from PIL import Image

from training.container.picture_model.near_duplicates import difference_hash, near_groups

__all__ = ["difference_hash", "near_groups", "pixel_hash"]


def pixel_hash(image: Image.Image) -> str:
    """Return the SHA-256 of size and pixels: equal only for identical pictures."""
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
