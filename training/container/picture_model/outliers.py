"""Outliers for outlier exposure: pictures of no class, made out of a training batch.

A network trained on its classes alone is confident of everything. Training it to answer outliers with
equal probabilities teaches it doubt, even about kinds of pictures that it was not trained on
(Hendrycks, Mazeika and Dietterich 2019, "Deep anomaly detection with outlier exposure"). All outliers
have the colours of the batch, so that these do not give them away.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

SHAPES = 16  # at most, in a picture of _shapes


def outliers(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Make an outlier of each of the normalised `pictures` [N, 3, S, S], S >= 16.

    Each is of a random kind. The generator must be on the pictures' device.
    """
    with generator.device:  # of tensors created without a device
        chosen = torch.randint(len(KINDS), (len(pictures),), generator=generator)
        made = torch.empty_like(pictures)  # as pictures have it: channels last
        for number, kind in enumerate(KINDS):
            places = (chosen == number).nonzero().flatten()
            if len(places):
                made[places] = kind(pictures, places, generator)
        return _grainy(made, generator)


def _patchwork(pictures: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Rearrange squares of a picture, an eighth to a quarter of its side."""
    cells = int(torch.randint(4, 9, (), generator=generator))
    side = torch.arange(pictures.shape[-1])
    # The cell of each pixel, and how far that cell's content moves down and right.
    cell = side * cells // len(side)
    moves = torch.randint(len(side), (2, len(places), cells, cells), generator=generator)
    down, right = moves[:, :, cell][:, :, :, cell]
    rows, columns = (side[:, None] + down) % len(side), (side + right) % len(side)
    return pictures[places[:, None, None], :, rows, columns].permute(0, 3, 1, 2)


def _strips(pictures: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Join vertical or horizontal strips of any pictures, an eighth to a quarter of the side wide."""
    cells = int(torch.randint(4, 9, (), generator=generator))
    side = torch.arange(pictures.shape[-1])
    sources = torch.randint(len(pictures), (len(places), cells), generator=generator)
    moved = torch.randint(len(side), (len(places), cells), generator=generator)
    strip = side * cells // len(side)
    columns = (side + moved[:, strip]) % len(side)
    upright = pictures[sources[:, strip], :, :, columns].permute(0, 2, 3, 1)
    level = torch.rand(len(places), generator=generator) < 0.5
    return torch.where(level[:, None, None, None], upright.transpose(2, 3), upright)


def _blurred(pictures: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Blur to 2x2 to 4x4 patches."""
    cells = int(torch.randint(2, 5, (), generator=generator))
    return _smooth(functional.adaptive_avg_pool2d(pictures[places], cells), pictures.shape[-1])


def _enlarged(pictures: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Enlarge a piece of each picture, 2 to 16 % of its area."""
    share = 0.15 + 0.25 * torch.rand(len(places), generator=generator)
    centre = (torch.rand((2, len(places)), generator=generator) * 2 - 1) * (1 - share)
    corners = torch.zeros(len(places), 2, 3)
    corners[:, 0, 0] = corners[:, 1, 1] = share
    corners[:, :, 2] = centre.T
    shape = (len(places), *pictures.shape[1:])
    grid = functional.affine_grid(corners, list(shape), align_corners=False)
    return functional.grid_sample(pictures[places], grid, padding_mode="border", align_corners=False)


def _noise(pictures: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Make noise of pixels, or of squares of 2, 4 or 8 pixels, in colours or greys."""
    size = pictures.shape[-1]
    cells = size >> int(torch.randint(4, (), generator=generator))
    noise = torch.rand((len(places), 3, cells, cells), generator=generator)
    grey = torch.rand(len(places), generator=generator) < 0.3
    noise = torch.where(grey[:, None, None, None], noise[:, :1], noise)
    low, high = _range(pictures[places])
    noise = low + noise * (high - low)
    # Any contrast, around any colour; in half of the pictures only in some places.
    strength = torch.rand((len(places), 1, 1, 1), generator=generator)
    specks = torch.rand((len(places), 1, cells, cells), generator=generator)
    share = torch.rand((len(places), 1, 1, 1), generator=generator) * 2
    strength = strength * (specks < share)
    noise = torch.lerp(_colours(pictures, (len(places), 1, 1), generator), noise, strength)
    return functional.interpolate(noise, (size, size), mode="nearest")


def _scrambled(pictures: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Make a texture: keep the amplitude of each frequency, with a random phase."""
    waves = torch.fft.rfft2(pictures[places])
    noise = torch.randn((len(places), 1, *pictures.shape[2:]), generator=generator)
    turned = torch.fft.rfft2(noise)
    turned = turned / turned.abs().clamp(min=1e-6)
    turned[:, :, 0, 0] = 1  # keep the mean colour
    made: Tensor = torch.fft.irfft2(waves * turned, s=pictures.shape[2:])
    return made.clamp(*_range(pictures[places]))


def _gradients(pictures: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Make one colour, or a gradient between four."""
    corners = _colours(pictures, (len(places), 2, 2), generator)
    strength = torch.rand((len(places), 1, 1, 1), generator=generator) * 1.25 - 0.25
    return _smooth(torch.lerp(corners[:, :, :1, :1], corners, strength.clamp(min=0)), pictures.shape[-1])


def _shapes(pictures: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Draw overlapping boxes, ellipses and strokes, filled or outlined, on a plain or blurred background.

    They overlap as in a photo (the dead leaves model of Lee, Mumford and Huang 2001). Some are all
    thin, like lettering, some all of one colour, and some symmetric, like manufactured things.
    """
    size, count = pictures.shape[-1], len(places)
    plain, thin, single, mirrored = torch.rand((4, count, 1, 1, 1), generator=generator) < 0.4
    ground = torch.where(
        plain,
        _colours(pictures, (count, 1, 1), generator).expand(-1, -1, size, size),
        _blurred(pictures, places, generator),
    )
    at = torch.linspace(-1, 1, size)
    turn, left, top, wide, high, box, full = torch.rand((7, count, SHAPES, 1, 1), generator=generator)
    across, down = at - (left * 2 - 1), at[:, None] - (top * 2 - 1)
    cos, sin = (torch.pi * turn).cos(), (torch.pi * turn).sin()
    # Rotated; half sides of 3 to 50 % of the picture's side, mostly small.
    length = 0.06 + 0.94 * wide**2
    breadth = torch.where(thin, 0.06, 0.06 + 0.94 * high**2)
    x = ((across * cos + down * sin) / length).abs()
    y = ((down * cos - across * sin) / breadth).abs()
    distance = torch.where(box < 0.5, torch.maximum(x, y), (x * x + y * y).sqrt())
    inside = (distance < 1) & ((distance > 0.7) | (full < 0.7))
    # The last shape that covers a pixel is visible; 0 where there is none.
    shapes = torch.randint(3, SHAPES + 1, (count, 1, 1, 1), generator=generator)
    number = torch.arange(1, SHAPES + 1)[:, None, None]
    visible = (inside * number * (number <= shapes)).amax(1)
    colours = _colours(pictures, (count, SHAPES), generator).transpose(1, 2)
    colours = torch.where(single[:, :, 0], colours[:, :1], colours)
    painted = colours[torch.arange(count)[:, None, None], visible - 1].permute(0, 3, 1, 2)
    made = torch.where(visible[:, None] > 0, painted, ground)
    symmetric = torch.cat([made[..., : (size + 1) // 2], made[..., : size // 2].flip(3)], 3)
    return torch.where(mirrored, symmetric, made)


def _stripes(pictures: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Draw stripes of two colours, 2 to 28 across the picture, smooth or sharp; or two sets crossing."""
    count = len(places)
    at = torch.linspace(0, 1, pictures.shape[-1])
    angle, turns, phase = torch.rand((3, 2, count, 1, 1), generator=generator)
    angle, turns = torch.pi * angle, 1 + 13 * turns**2
    position = at * angle.cos() + at[:, None] * angle.sin()
    one, other = (2 * torch.pi * (position * turns + phase)).sin()
    crossed, sharp = torch.rand((2, count, 1, 1), generator=generator) < 0.4
    wave = torch.where(crossed, one * other, one)
    wave = torch.where(sharp, wave.sign(), wave)[:, None]
    first, second = (_colours(pictures, (count, 1, 1), generator) for _ in range(2))
    return torch.lerp(first, second, 0.5 + 0.5 * wave)


def _grainy(made: Tensor, generator: torch.Generator) -> Tensor:
    """Add sensor noise to half of the pictures, up to about a fifth of their range."""
    strength = 0.8 * torch.rand((len(made), 1, 1, 1), generator=generator) - 0.4
    noise = torch.randn(made.shape, generator=generator)
    return made + noise * strength.clamp(min=0)


def _colours(pictures: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Sample colours of random pixels of the batch: [shape[0], 3, *shape[1:]]."""
    count, size = len(pictures), pictures.shape[-1]
    picture = torch.randint(count, shape, generator=generator)
    row, column = torch.randint(size, (2, *shape), generator=generator)
    return pictures[picture, :, row, column].movedim(-1, 1)


def _range(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the minimum and the maximum of each channel, [3, 1, 1]."""
    values = pictures.transpose(0, 1).flatten(1)
    return values.amin(1)[:, None, None], values.amax(1)[:, None, None]


def _smooth(coarse: Tensor, size: int) -> Tensor:
    """Enlarge [N, 3, k, k] to [N, 3, size, size] without edges."""
    return functional.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)


Kind = Callable[[Tensor, Tensor, torch.Generator], Tensor]
KINDS: tuple[Kind, ...] = (
    _patchwork,
    _strips,
    _blurred,
    _enlarged,
    _noise,
    _scrambled,
    _gradients,
    _stripes,
    _shapes,
    _shapes,
)
