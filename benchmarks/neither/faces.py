"""Draw portraits: head and shoulders from the front."""

import random
from collections.abc import Sequence

from PIL import Image

from training.sources.drawing.pen import Color, Pen, Point, View, any_color, grey, hsv, shaded
from training.sources.drawing.scene import draw_background

BLACK = (20, 20, 24)


def draw_face(rng: random.Random, side: int) -> Image.Image:
    """Return a portrait, RGB, `side` pixels square."""
    scene = draw_background(rng, (side, side), side * rng.uniform(0.8, 1.1))
    view = View(
        x=side * rng.uniform(0.4, 0.6),
        y=side * rng.uniform(0.4, 0.52),
        scale=side * rng.uniform(0.7, 1.15),
        yaw=0.0,
        lean=rng.gauss(0, 0.1),
        slope=0.0,
        mirrored=rng.random() < 0.5,
    )
    pen = Pen(scene, view)
    wide, high = rng.uniform(0.2, 0.25), rng.uniform(0.28, 0.33)  # half of the head's width and height
    skin = hsv(rng.uniform(0.04, 0.09), rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.98))
    hair = hsv(rng.uniform(0.03, 0.13), rng.uniform(0, 0.8), rng.uniform(0.05, 0.75))
    if rng.random() < 0.4:  # long hair, behind the shoulders
        pen.blob(_symmetric([(0.35, -0.6), (0.32, 0.3), (0.0, 0.55)]), hair)
    _draw_shoulders(pen, rng, skin)
    pen.line([(0.5 - wide, 0.0), (0.5 + wide, 0.0)], 0.1, shaded(skin, 0.85))  # its round ends are the ears
    head = [(0.0, -1.0), (0.55, -0.82), (0.93, -0.25), (1.0, 0.3), (0.75, 0.85), (0.0, 1.02)]
    pen.area(_symmetric([(x * wide, y * high) for x, y in head]), skin)
    _draw_hair(pen, rng, wide, high, hair)
    gaze = rng.uniform(-0.035, 0.035)  # how far the features lie beside the head's middle
    _draw_eyes(pen, rng, gaze, wide * rng.uniform(0.42, 0.5), shaded(hair, 0.7))
    nose = 0.5 + gaze
    pen.line(
        [(nose, 0.04), (nose + gaze / 2 + 0.025, -0.07), (nose + gaze / 2 - 0.02, -0.08)], 0.018, shaded(skin, 0.72)
    )
    if rng.random() < 0.25:  # a beard
        pen.blob(_symmetric([(0.13, -0.38), (0.17, -0.08), (0.0, -0.12)]), hair)
    _draw_mouth(pen, rng, 0.5 + gaze)
    return scene


def _symmetric(right: Sequence[Point]) -> list[Point]:
    """Return the outline whose right half has these corners; x counts from the head's middle at 0.5."""
    return [(0.5 + x, y) for x, y in right] + [(0.5 - x, y) for x, y in reversed(right)]


def _draw_shoulders(pen: Pen, rng: random.Random, skin: Color) -> None:
    cloth = any_color(rng)
    pen.line([(0.5, -0.2), (0.5, -0.42)], 0.2, shaded(skin, 0.8))  # neck
    pen.blob(_symmetric([(0.65, -1.1), (0.5, -0.42), (0.0, -0.32)]), cloth)
    if rng.random() < 0.5:  # collar
        pen.line([(0.37, -0.38), (0.5, -0.52), (0.63, -0.38)], 0.045, shaded(cloth, 0.7))


def _draw_hair(pen: Pen, rng: random.Random, wide: float, high: float, hair: Color) -> None:
    """Draw hair or a hat, or neither."""
    style = rng.random()
    if style < 0.2:  # a hat
        color = any_color(rng)
        pen.blob(_symmetric([(wide * 1.2, high * 0.45), (wide * 1.1, high * 1.35)]), color)
        pen.line([(0.5 - wide * 1.25, high * 0.55), (0.5 + wide * 1.25, high * 0.55)], 0.05, shaded(color, 0.75))
    elif style < 0.9:  # else bald
        forehead, temple = rng.uniform(0.5, 0.75), rng.uniform(0.0, 0.3)
        cap = [(0.0, forehead), (0.85, forehead), (1.06, temple), (1.08, 0.7), (0.7, 1.15), (0.0, 1.24)]
        pen.area(_symmetric([(x * wide, y * high) for x, y in cap]), hair)


def _draw_eyes(pen: Pen, rng: random.Random, gaze: float, apart: float, brow_color: Color) -> None:
    iris = hsv(rng.choice([0.07, 0.1, 0.35, 0.58]), rng.uniform(0.2, 0.7), rng.uniform(0.15, 0.6))
    y, opening, brow = 0.055, rng.uniform(0.022, 0.034), rng.uniform(0.12, 0.14)
    glasses = rng.random() < 0.3
    for x in (0.5 + gaze - apart, 0.5 + gaze + apart):
        pen.curve([(x - 0.055, brow), (x, brow + 0.025), (x + 0.055, brow)], 0.02, brow_color)
        pen.line([(x - 0.025, y), (x + 0.025, y)], 2 * opening, (240, 238, 235))
        pen.disc((x + gaze * 0.4, y), opening * 0.95, iris)
        pen.disc((x + gaze * 0.4, y), opening * 0.45, BLACK)
        if glasses:
            pen.ring((x, y), 0.075, 0.014, BLACK)
    if glasses:
        pen.line([(0.47 + gaze, y), (0.53 + gaze, y)], 0.014, BLACK)


def _draw_mouth(pen: Pen, rng: random.Random, x: float) -> None:
    y = -0.16
    lips = hsv(rng.uniform(0.96, 1.0), rng.uniform(0.3, 0.7), rng.uniform(0.35, 0.8))
    if rng.random() < 0.3:  # laughing
        pen.blob([(x - 0.1, y + 0.03), (x + 0.1, y + 0.03), (x + 0.05, y - 0.06), (x - 0.05, y - 0.06)], lips)
        pen.line([(x - 0.05, y + 0.005), (x + 0.05, y + 0.005)], 0.022, grey(rng, 225, 250))
    else:
        pen.curve([(x - 0.085, y), (x, y + rng.uniform(-0.06, 0.01)), (x + 0.085, y)], 0.026, lips)
