"""Pictures of faces, drawn: head and shoulders from the front."""

import random
from dataclasses import dataclass

from PIL import Image

from training.sources.drawing.camera import take_picture
from training.sources.drawing.pen import Color, Pen, Point, View, any_color, grey, hsv, shaded
from training.sources.drawing.scene import draw_background


@dataclass(frozen=True)
class _Head:
    """A head around (0.5, 0): its half width and half height, and its colours."""

    wide: float
    high: float
    skin: Color
    hair: Color


def draw_face(rng: random.Random, size: int) -> Image.Image:
    """Return a portrait, RGB, `size` pixels square."""
    side = max(128, 4 * size if size <= 64 else 2 * size)
    layer = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    view = View(
        x=side * rng.uniform(0.4, 0.6),
        y=side * rng.uniform(0.4, 0.52),
        scale=side * rng.uniform(0.7, 1.15),
        yaw=0.0,
        lean=rng.gauss(0, 0.1),
        slope=0.0,
        mirrored=rng.random() < 0.5,
    )
    _draw_person(Pen(layer, view), rng)
    scene = draw_background(rng, (side, side), side * rng.uniform(0.8, 1.1))
    scene.paste(layer, (0, 0), layer)
    return take_picture(rng, scene, (size, size))


def _draw_person(pen: Pen, rng: random.Random) -> None:
    head = _Head(
        wide=rng.uniform(0.2, 0.25),
        high=rng.uniform(0.28, 0.33),
        skin=hsv(rng.uniform(0.04, 0.09), rng.uniform(0.25, 0.6), rng.uniform(0.3, 0.98)),
        hair=hsv(rng.uniform(0.03, 0.13), rng.uniform(0, 0.8), rng.uniform(0.05, 0.75)),
    )
    long_hair = rng.random() < 0.4
    if long_hair:
        pen.blob([(0.18, 0.3), (0.15, -0.6), (0.85, -0.6), (0.82, 0.3), (0.5, 0.55)], head.hair)
    _draw_shoulders(pen, rng, head)
    for way in (-1, 1):
        pen.blob(_around((0.5 + way * head.wide, 0.0), 0.035, 0.07), shaded(head.skin, 0.85))
    pen.area(_oval(head), head.skin)
    _draw_hair(pen, rng, head, long_hair)
    turn = rng.uniform(-0.035, 0.035)  # where the person looks
    _draw_eyes(pen, rng, head, turn)
    tip: Point = (0.5 + 1.5 * turn, -0.07)
    pen.line(
        [(0.5 + turn, 0.04), (tip[0] + 0.025, tip[1]), (tip[0] - 0.02, tip[1] - 0.01)], 0.018, shaded(head.skin, 0.72)
    )
    _draw_mouth(pen, rng, head, turn)


def _oval(head: _Head) -> list[Point]:
    """A head's outline: wider above, with a chin below."""
    from_chin = [(0.0, -1.0), (0.55, -0.82), (0.93, -0.25), (1.0, 0.3), (0.75, 0.85), (0.0, 1.02)]
    right = [(0.5 + x * head.wide, y * head.high) for x, y in from_chin]
    left = [(1 - x, y) for x, y in reversed(right[1:-1])]
    return [*right, *left]


def _around(center: Point, half_width: float, half_height: float) -> list[Point]:
    """Four corners whose rounded outline is roughly an ellipse."""
    x, y = center
    w, h = half_width * 1.25, half_height * 1.25
    return [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)]


def _draw_shoulders(pen: Pen, rng: random.Random, head: _Head) -> None:
    cloth = any_color(rng)
    pen.line([(0.5, -0.2), (0.5, -0.42)], 0.2, shaded(head.skin, 0.8))  # neck
    pen.blob([(0.5, -0.32), (1.0, -0.42), (1.15, -1.1), (-0.15, -1.1), (0.0, -0.42)], cloth)
    if rng.random() < 0.5:  # collar
        pen.line([(0.37, -0.38), (0.5, -0.52), (0.63, -0.38)], 0.045, shaded(cloth, 0.7))


def _draw_hair(pen: Pen, rng: random.Random, head: _Head, long_hair: bool) -> None:
    style = rng.random()
    top, wide = head.high, head.wide
    if style < 0.12 and not long_hair:  # bald
        return
    if style < 0.3:  # a hat
        color = any_color(rng)
        left, right = 0.5 - wide * 1.2, 0.5 + wide * 1.2
        low, high = top * 0.45, top * 1.35
        pen.blob([(left, low), (left + 0.02, high), (right - 0.02, high), (right, low)], color)
        brim = [(0.5 - wide * 1.25, top * 0.55), (0.5 + wide * 1.25, top * 0.55)]
        pen.line(brim, 0.05, shaded(color, 0.75))
        return
    line = rng.uniform(0.5, 0.7) * top  # where the forehead begins
    part = rng.uniform(-0.5, 0.5) * wide
    low = rng.uniform(0.0, 0.3) * top
    pen.area(
        [
            (0.5 - wide * 1.06, low),
            (0.5 - wide * 0.85, line),
            (0.5 + part, line * 1.12),
            (0.5 + wide * 0.85, line),
            (0.5 + wide * 1.06, low),
            (0.5 + wide * 1.08, top * 0.7),
            (0.5 + wide * 0.7, top * 1.15),
            (0.5, top * 1.24),
            (0.5 - wide * 0.7, top * 1.15),
            (0.5 - wide * 1.08, top * 0.7),
        ],
        head.hair,
    )


def _draw_eyes(pen: Pen, rng: random.Random, head: _Head, turn: float) -> None:
    iris = hsv(rng.choice([0.07, 0.1, 0.35, 0.58]), rng.uniform(0.2, 0.7), rng.uniform(0.15, 0.6))
    apart = head.wide * rng.uniform(0.42, 0.5)
    y, open_ = 0.055, rng.uniform(0.022, 0.034)
    glasses = rng.random() < 0.3
    for way in (-1, 1):
        x = 0.5 + turn + way * apart
        pen.blob(_around((x, y), 0.05, open_), (240, 238, 235))
        pen.disc((x + turn * 0.4, y), open_ * 0.95, iris)
        pen.disc((x + turn * 0.4, y), open_ * 0.45, (8, 8, 10))
        brow = y + rng.uniform(0.065, 0.085)
        pen.curve([(x - 0.055, brow), (x, brow + 0.025), (x + 0.055, brow)], 0.02, shaded(head.hair, 0.7))
        if glasses:
            pen.ring((x, y), 0.075, 0.014, (25, 25, 30))
    if glasses:
        pen.line([(0.47 + turn, y), (0.53 + turn, y)], 0.014, (25, 25, 30))


def _draw_mouth(pen: Pen, rng: random.Random, head: _Head, turn: float) -> None:
    x, y = 0.5 + turn, -0.16
    lips = hsv(rng.uniform(0.96, 1.0), rng.uniform(0.3, 0.7), rng.uniform(0.35, 0.8))
    if rng.random() < 0.25:  # a beard
        pen.blob([(x - 0.17, -0.08), (x - 0.13, -0.38), (x + 0.13, -0.38), (x + 0.17, -0.08), (x, -0.12)], head.hair)
    bend = rng.uniform(-0.06, 0.01)
    if rng.random() < 0.3:  # laughing
        pen.blob([(x - 0.1, y + 0.03), (x + 0.1, y + 0.03), (x + 0.05, y - 0.06), (x - 0.05, y - 0.06)], lips)
        pen.line([(x - 0.05, y + 0.005), (x + 0.05, y + 0.005)], 0.022, grey(rng, 225, 250))
    else:
        pen.curve([(x - 0.085, y), (x, y + bend), (x + 0.085, y)], 0.026, lips)
