"""Recognise a picture that is there twice, so that it cannot stand on both sides of a split."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Of 64 bits. Measured on the 1,000 bicycles and motorcycles of CIFAR-100: all 10 pairs up to 6 bits
# apart show one object photographed or edited twice; of the pairs 7 bits apart, every other one
# shows two different objects.
NEAR = 6

_ROWS_AT_A_TIME = 1024  # 1024 x n distances of 1 byte: 50 MB for all of CIFAR-100


def pixel_hash(image: Image.Image) -> str:
    """Return the SHA-256 of size and pixels: equal only for identical pictures."""
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def difference_hash(image: Image.Image) -> int:
    """Return 64 bits: for 8 x 8 places, whether it gets brighter from there to the right.

    The bits survive resizing, recompression and changes of light, so that near-duplicates differ
    in few of them.
    """
    small = image.convert("L").resize((9, 8), Image.Resampling.BILINEAR)
    grey = np.asarray(small, dtype=np.int16)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


def near_pairs(hashes: Sequence[int], limit: int = NEAR) -> list[tuple[int, int]]:
    """Return the pairs (i, j), i < j, whose hashes differ in at most `limit` bits."""
    values = np.array(hashes, dtype=np.uint64)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(values), _ROWS_AT_A_TIME):
        rows = values[start : start + _ROWS_AT_A_TIME, None]
        distance: NDArray[np.uint8] = np.bitwise_count(rows ^ values[None, :])
        for i, j in np.argwhere(distance <= limit).tolist():
            if start + i < j:
                pairs.append((start + i, j))
    return pairs
