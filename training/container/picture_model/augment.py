"""Data augmentation: shifts, mirroring, turns and cutout."""

import torch
from torch import Tensor
from torch.nn import functional

from .network import TURNS


def augment(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift, mirror and turn normalised pictures [N, 3, S, S] at random, and cover a part of each.

    Returns the pictures and their quarter turns, int64 [N] in [0, TURNS). The generator must be on
    the pictures' device.
    """
    count, size, device = len(x), x.shape[-1], x.device
    # Whole pixels, an eighth of the side: subpixel shifts would blur so small a picture.
    reach = size // 8
    padded = functional.pad(x, (reach,) * 4, mode="reflect")
    top, left = torch.randint(2 * reach + 1, (2, count, 1), generator=generator, device=device)
    mirrored = torch.randint(2, (count, 1), generator=generator, device=device, dtype=torch.bool)
    turns = torch.randint(TURNS, (count,), generator=generator, device=device)
    side = torch.arange(size, device=device)
    rows, columns = top + side, left + torch.where(mirrored, side.flip(0), side)
    picture = torch.arange(count, device=device)[:, None, None]
    # Indexing makes the memory format channels last, as the convolutions need it.
    moved = padded[picture, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    for turn in range(1, TURNS):
        chosen = turns == turn
        moved[chosen] = torch.rot90(moved[chosen], turn, (2, 3))
    # A grey square, a quarter of the side (cutout, DeVries and Taylor 2017): in a long training it
    # improves calibration at the same accuracy.
    row, column = torch.randint(size, (2, count, 1), generator=generator, device=device)
    covered_rows, covered_columns = ((side - at).abs() <= size // 8 for at in (row, column))
    covered = covered_rows[:, None, :, None] & covered_columns[:, None, None, :]
    return moved.masked_fill_(covered, 0.0), turns
