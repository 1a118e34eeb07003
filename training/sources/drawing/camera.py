"""Turn a drawn scene into a picture: light, focus, noise of the sensor, and the final size."""

import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


def take_picture(rng: random.Random, scene: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the scene as an RGB picture of this width and height, with the flaws of a camera."""
    if rng.random() < 0.3:
        blur = rng.uniform(0.2, 0.6) * scene.width / size[0]
        scene = scene.filter(ImageFilter.GaussianBlur(blur))
    small = scene.resize(size, Image.Resampling.BOX)
    light = np.asarray(small, dtype=np.float32) / 255 * _illumination(rng, size)
    light = (light - 0.5) * rng.uniform(0.65, 1.2) + 0.5 + rng.uniform(-0.12, 0.12)
    if rng.random() < 0.12:  # black and white
        light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
    noise = np.random.default_rng(rng.getrandbits(64)).normal(size=light.shape)
    light += noise * rng.choice([0.004, 0.008, 0.015, 0.03])
    return Image.fromarray(np.clip(light * 255, 0, 255).astype(np.uint8))


def _illumination(rng: random.Random, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return factors [height, width, 3]: light that falls off to one side, and its tint."""
    across, down = np.meshgrid(*(np.linspace(-1, 1, pixels) for pixels in size))
    slope = rng.uniform(-0.2, 0.2) * across + rng.uniform(-0.2, 0.2) * down
    tint = [1 + rng.uniform(-0.1, 0.1) for _ in range(3)]
    factors: NDArray[np.float32] = ((1 + slope)[:, :, None] * np.array(tint)).astype(np.float32)
    return factors
