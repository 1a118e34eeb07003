"""Pictures of plain colour: a covered lens, a wall, the sky, a test card."""

import random

import numpy as np
from PIL import Image

from training.sources.drawing.pen import any_color


def draw_colours(rng: random.Random, size: int) -> Image.Image:
    """Return one colour, a gradient, a round glow or a few stripes, `size` pixels square."""
    down, across = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    start, end = (np.array(any_color(rng), dtype=float) for _ in range(2))
    kind = rng.random()
    if kind < 0.3:
        share = np.zeros((size, size))
    elif kind < 0.6:
        angle = rng.uniform(0, 2 * np.pi)
        share = (across * np.cos(angle) + down * np.sin(angle)) / 2.9 + 0.5
    elif kind < 0.8:  # light that falls off around a point
        x, y = rng.uniform(-1, 1), rng.uniform(-1, 1)
        share = np.clip(np.hypot(across - x, down - y) / rng.uniform(0.8, 2.2), 0, 1)
    else:
        bands = rng.randint(2, 6)
        colours = np.array([any_color(rng) for _ in range(bands)], dtype=float)
        place = across if rng.random() < 0.5 else down
        pixels = colours[np.clip(((place + 1) / 2 * bands).astype(int), 0, bands - 1)]
        return Image.fromarray(pixels.astype(np.uint8))
    pixels = start + share[:, :, None] * (end - start)
    pixels += np.random.default_rng(rng.getrandbits(64)).normal(size=pixels.shape) * rng.choice([0, 1, 3])
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
