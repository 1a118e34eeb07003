"""Make pictures of noise, as of a broken cable, and of plain colour, as of a covered lens or a test card."""

import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.sources.drawing.pen import any_color

Pixels = NDArray[np.float64]  # [size, size, 3], 0 to 255


def draw_noise(rng: random.Random, size: int) -> Image.Image:
    """Return a picture of one of six kinds of noise, RGB, `size` pixels square."""
    numbers = np.random.default_rng(rng.getrandbits(64))
    kinds = (_uniform, _gaussian, _salt_and_pepper, _clouds, _waves, _lines)
    pixels = rng.choice(kinds)(rng, numbers, size)
    if rng.random() < 0.3:  # black and white
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    return _picture(pixels)


def draw_colours(rng: random.Random, size: int) -> Image.Image:
    """Return one colour, a gradient, a round glow or a few stripes, RGB, `size` pixels square."""
    down, across = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    start, end = (np.array(any_color(rng), dtype=float) for _ in range(2))
    kind = rng.random()
    if kind < 0.3:
        mix = np.zeros((size, size))
    elif kind < 0.6:
        angle = rng.uniform(0, 2 * np.pi)
        mix = (across * np.cos(angle) + down * np.sin(angle)) / 2.9 + 0.5
    elif kind < 0.8:  # light that falls off around a point
        x, y = rng.uniform(-1, 1), rng.uniform(-1, 1)
        mix = np.clip(np.hypot(across - x, down - y) / rng.uniform(0.8, 2.2), 0, 1)
    else:
        bands = rng.randint(2, 6)
        colours = np.array([any_color(rng) for _ in range(bands)], dtype=float)
        position = across if rng.random() < 0.5 else down
        return _picture(colours[np.clip(((position + 1) / 2 * bands).astype(int), 0, bands - 1)])
    pixels = start + mix[:, :, None] * (end - start)
    numbers = np.random.default_rng(rng.getrandbits(64))
    return _picture(pixels + numbers.normal(size=pixels.shape) * rng.choice([0, 1, 3]))


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _uniform(_: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    return numbers.uniform(0, 256, (size, size, 3))


def _gaussian(rng: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    """Return a colour with the noise of a sensor in the dark."""
    return numbers.uniform(20, 235, 3) + numbers.normal(0, rng.uniform(5, 70), (size, size, 3))


def _plain(numbers: np.random.Generator, size: int, low: float, high: float) -> Pixels:
    return np.tile(numbers.uniform(low, high, 3), (size, size, 1))


def _salt_and_pepper(rng: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    pixels = _plain(numbers, size, 0, 256)
    chance = numbers.uniform(0, 1, (size, size))
    share = rng.uniform(0.02, 0.4)
    pixels[chance < share] = 255
    pixels[chance < share / 2] = 0
    return pixels


def _clouds(rng: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    """Return waves of all lengths, the long ones strongest: 1 / f, as in natural scenes."""
    across, down = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size))
    frequency = np.maximum(np.hypot(across, down), 1 / size)
    channels = []
    for _ in range(3):
        waves = np.fft.fft2(numbers.normal(size=(size, size))) / frequency ** rng.uniform(0.7, 2)
        channels.append(np.fft.ifft2(waves).real)
    pixels = np.stack(channels, axis=2)
    pixels = (pixels - pixels.mean()) / max(float(pixels.std()), 1e-9)
    clouds: Pixels = rng.uniform(60, 190) + rng.uniform(15, 70) * pixels
    return clouds


def _waves(rng: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    """Return stripes and moire: a few plane waves, each of one colour."""
    down, across = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    pixels = _plain(numbers, size, 40, 216)
    for _ in range(rng.randint(1, 4)):
        angle, turns = rng.uniform(0, np.pi), rng.uniform(1, 14)
        phase = 2 * np.pi * turns * (across * np.cos(angle) + down * np.sin(angle)) + rng.random()
        pixels += np.sin(phase)[:, :, None] * numbers.uniform(-60, 60, 3)
    return pixels


def _lines(rng: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    """Return a broken transfer: rows, or columns, that are each of one colour or noise."""
    rows = numbers.uniform(0, 256, (size, 1, 3)).repeat(size, axis=1)
    noisy = numbers.uniform(0, 1, size) < rng.uniform(0, 0.5)
    rows[noisy] = numbers.uniform(0, 256, (int(noisy.sum()), size, 3))
    return rows if rng.random() < 0.6 else rows.transpose(1, 0, 2)
