"""Pictures of noise: what a sensor, a broken cable or a wrong file gives."""

import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float64]  # [size, size, 3], 0 to 255


def draw_noise(rng: random.Random, size: int) -> Image.Image:
    """Return a picture of one of six kinds of noise, RGB, `size` pixels square."""
    numbers = np.random.default_rng(rng.getrandbits(64))
    kinds: list[Callable[[random.Random, np.random.Generator, int], Pixels]] = [
        _uniform,
        _gaussian,
        _specks,
        _clouds,
        _waves,
        _lines,
    ]
    pixels = rng.choice(kinds)(rng, numbers, size)
    if rng.random() < 0.3:  # black and white
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _uniform(_: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    return numbers.uniform(0, 256, (size, size, 3))


def _gaussian(rng: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    """A sensor in the dark: any colour, and noise of any strength around it."""
    return numbers.uniform(20, 235, 3) + numbers.normal(0, rng.uniform(5, 70), (size, size, 3))


def _specks(rng: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    """Salt and pepper on a plain colour."""
    pixels: Pixels = np.broadcast_to(numbers.uniform(0, 256, 3), (size, size, 3)).copy()
    chance = numbers.uniform(0, 1, (size, size))
    share = rng.uniform(0.02, 0.4)
    pixels[chance < share] = 255
    pixels[chance < share / 2] = 0
    return pixels


def _clouds(rng: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    """Waves of every length, the long ones strongest: 1 / f, as natural scenes have it."""
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
    """Stripes and moire: a few plane waves, each of a colour."""
    down, across = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    pixels: Pixels = np.broadcast_to(numbers.uniform(40, 216, 3), (size, size, 3)).copy()
    for _ in range(rng.randint(1, 4)):
        angle, turns = rng.uniform(0, np.pi), rng.uniform(1, 14)
        phase = 2 * np.pi * turns * (across * np.cos(angle) + down * np.sin(angle)) + rng.random()
        pixels += np.sin(phase)[:, :, None] * numbers.uniform(-60, 60, 3)
    return pixels


def _lines(rng: random.Random, numbers: np.random.Generator, size: int) -> Pixels:
    """A broken transfer: rows, or columns, that are each of one colour or noise."""
    rows = numbers.uniform(0, 256, (size, 1, 3)).repeat(size, axis=1)
    noisy = numbers.uniform(0, 1, size) < rng.uniform(0, 0.5)
    rows[noisy] = numbers.uniform(0, 256, (int(noisy.sum()), size, 3))
    return rows if rng.random() < 0.6 else rows.transpose(1, 0, 2)
