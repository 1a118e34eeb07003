"""Recognise a picture that is there twice, so that it cannot stand on both sides of a split."""

import hashlib
import sys

from PIL import Image

from training.training_job import SOURCE_DIR

sys.path.append(str(SOURCE_DIR))  # as in training/calibration.py

from near_duplicates import difference_hash, near_groups

__all__ = ["difference_hash", "near_groups", "pixel_hash"]


def pixel_hash(image: Image.Image) -> str:
    """Return the SHA-256 of size and pixels: equal only for identical pictures."""
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
