"""Draw a bus from the side: city bus, coach, double-decker, minibus, school bus."""

import random
from dataclasses import dataclass

from training.sources.drawing.body import (
    draw_body,
    draw_far_wheels,
    draw_front,
    draw_pane_across,
    draw_rear,
    draw_side_lamps,
    draw_wheels,
    glass,
)
from training.sources.drawing.pen import Color, Pen, Point, any_color, grey, hsv, shaded, softened

WIDTH = 0.4  # between the sides, in wheelbases: 2.5 of 6 m


@dataclass(frozen=True)
class _Shape:
    """A bus's sizes, in wheelbases; heights are above the axles."""

    kind: str
    wheel: float  # outer radius
    rear: float  # x of the body's ends; a school bus has a bonnet before its front
    front: float
    floor: float
    roof: float
    decks: list[tuple[float, float]]  # lower and upper height of the rows of panes


def draw_bus(pen: Pen, rng: random.Random) -> float:
    """Draw one and return its wheels' outer radius, in wheelbases."""
    shape = _shape(rng)
    paint = _paint(rng, shape.kind)
    pane = glass(rng)
    width = WIDTH * rng.uniform(0.9, 1.15)
    hubs: list[Point] = [(0, 0), (1, 0)]
    draw_far_wheels(pen, hubs, shape.wheel, width)
    if shape.kind == "school":
        _draw_bonnet(pen, rng, shape, paint, width)
    corners = [
        (shape.rear, shape.floor),
        (shape.front, shape.floor),
        (shape.front - rng.uniform(0, 0.03), shape.roof),
        (shape.rear + 0.01, shape.roof),
    ]
    draw_body(pen, softened(corners, rng.uniform(0.02, 0.06)), width, paint)
    _draw_stripes(pen, rng, shape, paint)
    for low, high in shape.decks:
        _draw_panes(pen, rng, shape, (low, high), pane)
        x = shape.front + 0.002
        draw_pane_across(pen, (x, low - 0.03), (x, high), (0.06 * width, 0.94 * width), shaded(pane, 0.85))
        x = shape.rear - 0.002
        draw_pane_across(pen, (x, high), (x, low), (0.15 * width, 0.85 * width), shaded(pane, 0.8))
    _draw_doors(pen, rng, shape, pane)
    low = shape.decks[0][0]
    if shape.kind != "school":
        draw_front(pen, rng, shape.front + 0.003, (shape.floor, low - 0.05), width)
    draw_rear(pen, rng, shape.rear - 0.003, (shape.floor + 0.04, low - 0.06), width)
    draw_side_lamps(pen, rng, (shape.rear, 0.06), (shape.front, 0.03), 0.04)
    draw_wheels(pen, rng, hubs, shape.wheel, rng.uniform(0.5, 0.65))
    if shape.kind == "coach" and rng.random() < 0.5:  # a third axle
        draw_wheels(pen, rng, [(-2.15 * shape.wheel, 0)], shape.wheel, 0.55)
    return shape.wheel


def _shape(rng: random.Random) -> _Shape:
    kind = rng.choice(["city", "city", "coach", "coach", "double", "mini", "school"])
    wheel = rng.uniform(0.085, 0.1)
    rear, front, floor = -rng.uniform(0.3, 0.4), 1 + rng.uniform(0.28, 0.36), -0.045
    roof = rng.uniform(0.42, 0.5)
    low = rng.uniform(0.14, 0.19)
    decks = [(low, roof - rng.uniform(0.06, 0.1))]
    if kind == "coach":
        roof, low = rng.uniform(0.5, 0.58), rng.uniform(0.24, 0.29)
        decks = [(low, roof - 0.07)]
    elif kind == "double":
        roof = rng.uniform(0.78, 0.9)
        rear, front = -rng.uniform(0.26, 0.32), 1 + rng.uniform(0.2, 0.28)
        decks = [(0.13, 0.33), (roof - 0.28, roof - 0.08)]
    elif kind == "mini":
        wheel = rng.uniform(0.105, 0.12)
        rear, front = -rng.uniform(0.3, 0.36), 1 + rng.uniform(0.16, 0.22)
        roof = rng.uniform(0.52, 0.6)
        decks = [(0.2, roof - 0.09)]
    elif kind == "school":
        rear, front = -rng.uniform(0.36, 0.44), 1 - rng.uniform(0.1, 0.14)
    return _Shape(kind, wheel, rear, front, floor, roof, decks)


def _paint(rng: random.Random, kind: str) -> Color:
    if kind == "school":
        return hsv(rng.uniform(0.1, 0.13), rng.uniform(0.8, 1), rng.uniform(0.8, 1))
    if kind == "double" and rng.random() < 0.5:
        return hsv(rng.uniform(0.97, 1.0), rng.uniform(0.75, 0.95), rng.uniform(0.5, 0.85))
    return any_color(rng)


def _draw_bonnet(pen: Pen, rng: random.Random, shape: _Shape, paint: Color, width: float) -> None:
    end = shape.front + rng.uniform(0.28, 0.34)
    top = shape.decks[0][0] - 0.01
    corners: list[Point] = [
        (shape.front - 0.02, shape.floor),
        (end, shape.floor),
        (end - 0.02, top - 0.05),
        (shape.front - 0.02, top),
    ]
    draw_body(pen, softened(corners, 0.035), width * 0.9, paint)
    draw_front(pen, rng, end, (shape.floor, top - 0.05), width * 0.9)


def _draw_panes(pen: Pen, rng: random.Random, shape: _Shape, heights: tuple[float, float], pane: Color) -> None:
    low, high = heights
    start, end = shape.rear + 0.04, shape.front - 0.03
    count = rng.randint(5, 9) if shape.kind != "mini" else rng.randint(4, 5)
    step = (end - start) / count
    gap = rng.choice([0.012, 0.02, 0.035])
    for number in range(count):
        x = start + number * step
        # The driver's pane, the last one, reaches further down.
        foot = low - 0.03 if number == count - 1 else low
        corners = [(x, foot), (x + step - gap, foot), (x + step - gap, high), (x, high)]
        pen.area(softened(corners, 0.012), shaded(pane, rng.uniform(0.85, 1.15)))


def _draw_doors(pen: Pen, rng: random.Random, shape: _Shape, pane: Color) -> None:
    """Doors are on one side only: half of the buses show the other."""
    if rng.random() < 0.5:
        return
    places = [shape.front - 0.15]
    if shape.kind in ("city", "double") and rng.random() < 0.7:
        places.append(rng.uniform(0.42, 0.55))
    for x in places:
        high, wide = shape.decks[0][1], 0.115
        pen.area(
            [(x, shape.floor + 0.01), (x + wide, shape.floor + 0.01), (x + wide, high), (x, high)], grey(rng, 20, 60)
        )
        for leaf in (x + 0.008, x + wide / 2 + 0.004):
            right = leaf + wide / 2 - 0.012
            pen.area(
                [(leaf, shape.floor + 0.04), (right, shape.floor + 0.04), (right, high - 0.01), (leaf, high - 0.01)],
                pane,
            )


def _draw_stripes(pen: Pen, rng: random.Random, shape: _Shape, paint: Color) -> None:
    low = shape.decks[0][0]
    start, end = shape.rear + 0.005, shape.front - 0.005
    color = (30, 28, 25) if shape.kind == "school" else any_color(rng)
    if shape.kind == "school" or rng.random() < 0.6:
        high = rng.uniform(0.03, low - 0.02)
        pen.line([(start + 0.02, high), (end - 0.02, high)], rng.uniform(0.012, 0.05), color)
    if rng.random() < 0.35:  # the lower part in another color
        pen.area([(start, shape.floor), (end, shape.floor), (end, 0.05), (start, 0.05)], color)
    if rng.random() < 0.3:  # an advertisement or a name
        x = rng.uniform(0.15, 0.5)
        pen.area([(x, 0.02), (x + 0.35, 0.02), (x + 0.35, low - 0.03), (x, low - 0.03)], any_color(rng))
    if len(shape.decks) > 1:
        pen.line([(start, 0.42), (end, 0.42)], 0.02, shaded(paint, 0.7))
    if rng.random() < 0.5:  # where it goes, above the windscreen; cooling on the roof
        y = shape.roof - 0.035
        pen.line([(end - 0.24, y), (end - 0.06, y)], 0.035, grey(rng, 10, 40))
    if shape.kind in ("city", "coach") and rng.random() < 0.4:
        x = rng.uniform(0.1, 0.4)
        pen.line([(x, shape.roof + 0.015), (x + 0.3, shape.roof + 0.015)], 0.04, grey(rng, 150, 240))
