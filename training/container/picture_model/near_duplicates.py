"""Recognise pictures of one object, so that they cannot stand on both sides of a split.

Used by training, which holds pictures out, and by staging, which splits them.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

# Of 64 bits. Measured on the 1,000 bicycles and motorcycles of CIFAR-100: all 10 pairs up to 6 bits
# apart show one object photographed or edited twice; of the pairs 7 bits apart, every other one
# shows two different objects.
NEAR = 6

_ONES = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)  # bits that are set


def difference_hash(image: Image.Image) -> int:
    """Return 64 bits: for 8 x 8 places, whether it gets brighter from there to the right.

    The bits survive resizing, recompression and changes of light, so that near-duplicates differ
    in few of them.
    """
    small = image.convert("L").resize((9, 8), Image.Resampling.BILINEAR)
    grey = np.asarray(small, dtype=np.int16)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


def near_groups(
    hashes: Sequence[int], limit: int = NEAR, report: Callable[[int], None] = lambda _: None
) -> list[list[int]]:
    """Join the positions whose hashes differ in at most `limit` bits, also over several steps.

    Each is compared once with those that are in no group yet: n numpy operations of up to n values
    and some 20 bytes a value, however many are alike. `report` gets how many are in a group.
    """
    values = np.array(hashes, dtype=np.uint64)
    left = np.arange(len(values))
    groups: list[list[int]] = []
    while left.size:
        group, left = [int(left[0])], left[1:]
        for position in group:  # which grows meanwhile
            # 16 bits at a time: numpy counts them itself since 2.0, which not every container has.
            apart = (values[left] ^ values[position]).view(np.uint16).reshape(-1, 4)
            near = _ONES[apart].sum(1) <= limit
            group += left[near].tolist()
            left = left[~near]
        groups.append(sorted(group))
        report(len(values) - left.size)
    return groups
