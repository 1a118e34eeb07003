"""Draw vehicles of five classes: the same pictures for the same seed."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from PIL import Image

from training.sources.drawing.bicycle import draw_bicycle
from training.sources.drawing.camera import take_picture
from training.sources.drawing.motorcycle import draw_motorcycle
from training.sources.drawing.pen import Pen, View
from training.sources.drawing.scene import draw_background, draw_foreground, draw_shadow
from training.sources.drawing.vehicle import BUSES, CARS, TRUCKS, draw_vehicle
from training.sources.source import LabelledPicture, Source, choose_classes

# A function draws one vehicle between axles at (0, 0) and (1, 0), and returns its wheels' radius.
CLASSES: dict[str, Callable[[Pen, random.Random], float]] = {
    "bicycle": draw_bicycle,
    "bus": partial(draw_vehicle, shapes=BUSES),
    "car": partial(draw_vehicle, shapes=CARS),
    "motorcycle": draw_motorcycle,
    "truck": partial(draw_vehicle, shapes=TRUCKS),
}
SMALLEST_CANVAS = 128  # pixels: below, thin lines would be drawn a whole pixel wide
# Mean difference from the background, in levels of 0 to 255, below which noise and blur would hide a vehicle.
LEAST_CONTRAST = 60
BACKGROUND_TRIES = 6  # after the first


def synthetic_source(classes: Sequence[str], count: int, size: tuple[int, int], seed: int) -> Source:
    """Draw `count` pictures per class, `size` their width and height. Raises ClassNameError."""
    chosen = choose_classes(classes, list(CLASSES))

    def pictures() -> Iterator[LabelledPicture]:
        for class_name in chosen:
            for number in range(count):
                image = draw_picture(class_name, number, size, seed)
                yield LabelledPicture(class_name, f"{class_name}-{number:05d}", image)

    width, height = size
    size_text = width if width == height else f"{width}x{height}"
    return Source(
        description={"kind": "synthetic", "count": count, "size": size_text, "seed": seed},
        classes=chosen,
        total=count * len(chosen),
        has_test_split=False,
        pictures=pictures,
    )


def draw_picture(class_name: str, number: int, size: tuple[int, int], seed: int) -> Image.Image:
    """Return picture `number` of a class, RGB, `size` its width and height in pixels.

    Scene, position and light do not depend on the class, so that they cannot give it away.
    """
    rng = random.Random(f"{seed} {class_name} {number}")  # noqa: S311  pictures, not secrets
    shorter = min(size)
    scale = max(SMALLEST_CANVAS, shorter * (4 if shorter <= 64 else 2)) / shorter
    canvas = (round(size[0] * scale), round(size[1] * scale))
    layer = Image.new("RGBA", canvas, (0, 0, 0, 0))
    view = _random_view(rng, canvas)
    wheel = CLASSES[class_name](Pen(layer, view), rng)
    ground = view.y + wheel * view.scale
    scene = draw_background(rng, canvas, ground)
    for _ in range(BACKGROUND_TRIES):
        if contrast(layer, scene) >= LEAST_CONTRAST:
            break
        scene = draw_background(rng, canvas, ground)
    draw_shadow(rng, scene, view.x, ground, 1.4 * view.scale * math.cos(view.yaw))
    scene.paste(layer, (0, 0), layer)
    draw_foreground(rng, scene, ground)
    return take_picture(rng, scene, size)


def contrast(layer: Image.Image, scene: Image.Image) -> float:
    """Return the mean difference of a drawn RGBA layer from the scene behind it, in levels of 0 to 255."""
    step = max(1, min(layer.size) // SMALLEST_CANVAS)  # a part of the pixels is enough
    drawn = np.asarray(layer)[::step, ::step].astype(np.float32)
    behind = np.asarray(scene)[::step, ::step].astype(np.float32)
    covered = drawn[:, :, 3] > 0
    if not covered.any():
        return 0.0
    return float(np.abs(drawn[:, :, :3] - behind)[covered].mean())


def _random_view(rng: random.Random, canvas: tuple[int, int]) -> View:
    width, height = canvas
    yaw = rng.uniform(-0.5, 0.5) if rng.random() < 0.75 else rng.uniform(-0.95, 0.95)
    return View(
        x=width * rng.uniform(0.38, 0.62),
        y=height * rng.uniform(0.55, 0.77),
        scale=min(canvas) * rng.uniform(0.44, 0.66),
        yaw=yaw,
        lean=rng.gauss(0, 0.05),
        slope=rng.gauss(0, 0.08) + 0.12 * math.sin(yaw),
        mirrored=rng.random() < 0.5,
    )
