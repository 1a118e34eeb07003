"""Draw a car from the side: saloon, hatchback, estate, off-road, sports, small."""

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
from training.sources.drawing.pen import (
    Color,
    Pen,
    Point,
    any_color,
    between,
    grey,
    shaded,
    softened,
)

HUBS: list[Point] = [(0, 0), (1, 0)]
WIDTH = 0.62  # between the sides, in wheelbases: 1.7 of 2.7 m


@dataclass(frozen=True)
class _Shape:
    """Where a car's outline bends, in wheelbases; heights are above the axles."""

    wheel: float  # outer radius
    rear: float  # x of the bumpers
    front: float
    sill: float
    belt: float  # height of the body without cabin
    roof: float
    nose: float  # height of the bonnet's front end
    tail: float  # height of the boot's end
    screen: Point  # x of the windscreen's lower and upper end
    back: Point  # x of the rear pane's upper and lower end


def draw_car(pen: Pen, rng: random.Random) -> float:
    """Draw one and return its wheels' outer radius, in wheelbases."""
    shape = _shape(rng)
    paint, pane = any_color(rng), glass(rng)
    width = WIDTH * rng.uniform(0.92, 1.08)
    draw_far_wheels(pen, HUBS, shape.wheel, width)
    draw_body(pen, _body(shape), width, paint)
    _draw_cabin(pen, rng, shape, paint, pane, width=width)
    _draw_details(pen, rng, shape, paint)
    draw_front(pen, rng, shape.front, (shape.sill, shape.nose), width)
    draw_rear(pen, rng, shape.rear, (shape.sill + 0.06, shape.tail - 0.02), width)
    draw_wheels(pen, rng, HUBS, shape.wheel, rng.uniform(0.58, 0.74))
    return shape.wheel


def _shape(rng: random.Random) -> _Shape:
    kind = rng.choice(["saloon", "saloon", "hatchback", "hatchback", "estate", "off-road", "sports", "small"])
    wheel, roof, belt = rng.uniform(0.118, 0.132), rng.uniform(0.4, 0.46), rng.uniform(0.2, 0.24)
    rear, front = -rng.uniform(0.3, 0.36), 1 + rng.uniform(0.27, 0.34)
    screen, back = (rng.uniform(0.8, 0.88), rng.uniform(0.55, 0.62)), (-0.16, -0.27)
    if kind == "saloon":
        rear, back = -rng.uniform(0.38, 0.44), (rng.uniform(0.06, 0.16), -rng.uniform(0.1, 0.18))
    elif kind == "estate":
        rear, back = -rng.uniform(0.38, 0.43), (-0.24, -0.38)
    elif kind == "off-road":
        wheel, roof, belt = rng.uniform(0.145, 0.16), rng.uniform(0.5, 0.57), 0.28
        screen, back = (0.84, rng.uniform(0.66, 0.72)), (rear + 0.03, rear + 0.005)
    elif kind == "sports":
        roof, belt = rng.uniform(0.31, 0.35), rng.uniform(0.16, 0.19)
        screen, back = (rng.uniform(0.7, 0.78), 0.4), (rng.uniform(0.1, 0.18), -0.24)
    elif kind == "small":
        wheel, roof = rng.uniform(0.135, 0.15), rng.uniform(0.52, 0.58)
        rear, front = -rng.uniform(0.22, 0.28), 1 + rng.uniform(0.22, 0.27)
        screen, back = (0.92, rng.uniform(0.68, 0.74)), (-0.08, -0.2)
    tail = belt * (0.95 if kind in ("saloon", "sports") else 0.85)
    sill = -wheel * rng.uniform(0.3, 0.5)
    return _Shape(wheel, rear, front, sill, belt, roof, belt * rng.uniform(0.6, 0.8), tail, screen, back)


def _body(shape: _Shape) -> list[Point]:
    """The part below the panes, counterclockwise from the rear bumper's foot."""
    return softened(
        [
            (shape.rear + 0.02, shape.sill + 0.02),
            (shape.front - 0.04, shape.sill),
            (shape.front, shape.sill + 0.05),
            (shape.front - 0.01, shape.nose),
            (shape.screen[0], shape.belt),
            (shape.back[1], shape.belt),
            (shape.rear + 0.02, shape.tail),
            (shape.rear, shape.sill + 0.08),
        ],
        0.04,
    )


def _draw_cabin(pen: Pen, rng: random.Random, shape: _Shape, paint: Color, pane: Color, *, width: float) -> None:
    low, high = shape.belt - 0.012, shape.roof
    front, top_front = (shape.screen[0], low), (shape.screen[1], high)
    top_back, back = (shape.back[0], high), (shape.back[1], low)
    draw_body(pen, softened([back, front, top_front, top_back], 0.05), width, paint)
    inner = (0.08 * width, 0.92 * width)
    for one, other in ((front, top_front), (top_back, back)):
        draw_pane_across(pen, between(one, other, 0.1), between(one, other, 0.88), inner, shaded(pane, 0.85))
    # The side panes: the cabin's outline drawn in, cut by one or two pillars.
    edge = 0.045
    corners = [
        (back[0] + edge * 1.6, low + 0.02),
        (front[0] - edge * 1.6, low + 0.02),
        (top_front[0] - edge * 0.3, high - edge),
        (top_back[0] + edge * 0.3, high - edge),
    ]
    pen.area(softened(corners, 0.025), pane)
    middle = rng.uniform(0.34, 0.44)
    pillars = [middle] if rng.random() < 0.4 else [middle, rng.uniform(0.02, 0.08)]
    for x in pillars:
        pen.line([(x, low), (x - 0.01, high - edge * 0.7)], 0.028, shaded(paint, 0.7))


def _draw_details(pen: Pen, rng: random.Random, shape: _Shape, paint: Color) -> None:
    line = shaded(paint, rng.choice([0.55, 0.7, 1.35]))
    for x in (0.4, rng.uniform(0.78, 0.84), rng.uniform(0.0, 0.04)):  # doors
        pen.line([(x, shape.sill + 0.04), (x, shape.belt)], 0.008, line)
    for x in (0.33, rng.uniform(0.68, 0.72)):  # their handles
        handle = shape.belt * 0.78
        pen.line([(x - 0.05, handle), (x, handle)], 0.014, shaded(line, 0.7))
    pen.line([(0.17, shape.sill), (0.83, shape.sill)], 0.03, grey(rng, 15, 60))
    if rng.random() < 0.4:  # a strip along the doors
        y = shape.belt * rng.uniform(0.35, 0.6)
        pen.line([(0.14, y), (0.86, y)], 0.014, grey(rng, 20, 230))
    if rng.random() < 0.35:  # bumpers of plastic
        dark = grey(rng, 20, 70)
        y = shape.sill + 0.06
        pen.line([(shape.rear + 0.015, y), (shape.rear + 0.13, y)], 0.06, dark)
        pen.line([(shape.front - 0.015, y), (shape.front - 0.13, y)], 0.06, dark)
    draw_side_lamps(
        pen,
        rng,
        (shape.rear + 0.015, shape.tail * 0.8),
        (shape.front - 0.012, shape.nose * 0.75),
        rng.uniform(0.06, 0.09),
    )
    mirror = (shape.screen[0] - 0.1, shape.belt + 0.03)
    pen.line([mirror, (mirror[0] + 0.05, mirror[1])], 0.04, paint)
    if rng.random() < 0.2:  # a roof rack
        y = shape.roof + 0.03
        pen.line([(shape.back[0] + 0.06, y), (shape.screen[1] - 0.06, y)], 0.018, grey(rng, 20, 220))
