"""Find near-duplicates, so that training and staging keep them on one side of a split."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

# Of 64 bits. Measured on the 1,000 bicycles and motorcycles of CIFAR-100: all 10 pairs up to 6 bits
# apart show one object; of the pairs 7 bits apart, every other one shows two different objects.
NEAR = 6

_ONES = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)  # bits that are set


def difference_hash(image: Image.Image) -> int:
    """Return 64 bits: for 8 x 8 positions, whether the picture gets brighter to the right.

    Resizing, recompression and changes of light change few bits.
    """
    small = image.convert("L").resize((9, 8), Image.Resampling.BILINEAR)
    grey = np.asarray(small, dtype=np.int16)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


def near_groups(
    hashes: Sequence[int], limit: int = NEAR, report: Callable[[int], None] = lambda _: None
) -> list[list[int]]:
    """Group the positions whose hashes differ in at most `limit` bits, transitively.

    Takes up to n numpy operations of n values and 20 bytes per value. `report` gets the number of
    positions grouped so far.
    """
    values = np.array(hashes, dtype=np.uint64)
    left = np.arange(len(values))
    groups: list[list[int]] = []
    while left.size:
        group, left = [int(left[0])], left[1:]
        for position in group:  # it grows during the loop
            # By 16 bits: np.bitwise_count needs numpy 2.0, which not every container has.
            apart = (values[left] ^ values[position]).view(np.uint16).reshape(-1, 4)
            near = _ONES[apart].sum(1) <= limit
            group += left[near].tolist()
            left = left[~near]
        groups.append(sorted(group))
        report(len(values) - left.size)
    return groups
