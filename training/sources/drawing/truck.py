"""Draw a truck from the side: box, flatbed, tanker, tipper, with or without a bonnet."""

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
    hsv,
    shaded,
    softened,
)

WIDTH = 0.5  # between the sides, in wheelbases: 2.5 of 5 m
REAR = -0.42  # x where the load ends


@dataclass(frozen=True)
class _Cab:
    """A truck's cab, in wheelbases; heights are above the axles."""

    back: float  # x of its back wall
    front: float  # x of its front, or of the bonnet's
    screen: float  # x of the windscreen's foot
    floor: float
    belt: float
    roof: float


def draw_truck(pen: Pen, rng: random.Random) -> float:
    """Draw one and return its wheels' outer radius, in wheelbases."""
    wheel, width = rng.uniform(0.115, 0.14), WIDTH * rng.uniform(0.9, 1.1)
    paint, pane = any_color(rng), glass(rng)
    cab = _cab(rng)
    hubs: list[Point] = [(0, 0), (1, 0)]
    if rng.random() < 0.45:  # a second rear axle
        hubs.append((2.2 * wheel, 0) if rng.random() < 0.5 else (-2.2 * wheel, 0))
    draw_far_wheels(pen, hubs, wheel, width)
    _draw_chassis(pen, rng, cab)
    load = rng.choice([_draw_box, _draw_box, _draw_flatbed, _draw_tank, _draw_tipper])
    if pen.sees((1, 0)):  # the cab stands before the load
        load(pen, rng, cab.back - 0.04, width)
        _draw_cab(pen, rng, cab, paint, pane, width=width)
    else:
        _draw_cab(pen, rng, cab, paint, pane, width=width)
        load(pen, rng, cab.back - 0.04, width)
    draw_wheels(pen, rng, hubs, wheel, rng.uniform(0.45, 0.6))
    return wheel


def _cab(rng: random.Random) -> _Cab:
    floor = rng.uniform(-0.04, 0.0)
    roof = rng.uniform(0.52, 0.66)
    if rng.random() < 0.6:  # the engine is beneath the driver
        front = 1 + rng.uniform(0.2, 0.28)
        return _Cab(front - rng.uniform(0.36, 0.46), front, front, floor, rng.uniform(0.26, 0.32), roof)
    front = 1 + rng.uniform(0.26, 0.32)
    screen = front - rng.uniform(0.28, 0.36)
    return _Cab(screen - rng.uniform(0.28, 0.36), front, screen, floor, rng.uniform(0.26, 0.3), roof)


def _draw_cab(pen: Pen, rng: random.Random, cab: _Cab, paint: Color, pane: Color, *, width: float) -> None:
    chrome = grey(rng, 30, 220)
    top: Point = (cab.screen - rng.uniform(0.03, 0.08), cab.roof)
    foot: Point = (cab.screen, cab.belt)
    upper: list[Point] = [(cab.back, cab.floor), (cab.screen, cab.floor), foot, top, (cab.back, cab.roof)]
    draw_body(pen, softened(upper, 0.03), width, paint)
    draw_pane_across(
        pen,
        between(foot, top, 0.08),
        between(foot, top, 0.85),
        (0.06 * width, 0.94 * width),
        shaded(pane, 0.85),
    )
    if cab.front > cab.screen:
        nose = cab.belt - rng.uniform(0.03, 0.07)
        bonnet: list[Point] = [
            (cab.screen - 0.03, cab.floor),
            (cab.front, cab.floor),
            (cab.front - 0.01, nose),
            (cab.screen - 0.03, cab.belt),
        ]
        draw_body(pen, softened(bonnet, 0.03), width * 0.95, paint)
    # The door and its pane.
    left, right = cab.back + 0.06, cab.screen - 0.05
    pen.area(
        softened(
            [(left, cab.belt), (right, cab.belt), (top[0] - 0.05, cab.roof - 0.07), (left, cab.roof - 0.07)], 0.02
        ),
        pane,
    )
    line = shaded(paint, 0.65)
    for x in (left - 0.02, right + 0.02):
        pen.line([(x, cab.floor + 0.02), (x, cab.belt)], 0.01, line)
    pen.line([(left + 0.02, cab.belt - 0.06), (left + 0.07, cab.belt - 0.06)], 0.018, chrome)
    pen.line([(right + 0.06, cab.belt + 0.02), (right + 0.06, cab.roof - 0.1)], 0.03, (25, 25, 28))
    draw_front(pen, rng, cab.front + 0.003, (cab.floor, cab.belt - 0.04), width)
    pen.line([(cab.front - 0.09, cab.floor + 0.02), (cab.front, cab.floor + 0.02)], 0.05, chrome)
    draw_side_lamps(pen, rng, (REAR, 0.02), (cab.front, cab.floor + 0.1), 0.05)
    if rng.random() < 0.3:  # exhaust behind the cab
        pen.line([(cab.back - 0.02, 0.05), (cab.back - 0.02, cab.roof + 0.08)], 0.035, chrome)


def _draw_chassis(pen: Pen, rng: random.Random, cab: _Cab) -> None:
    dark = grey(rng, 20, 70)
    pen.line([(REAR, 0.06), (cab.back + 0.1, 0.06)], 0.06, dark)
    if rng.random() < 0.7:  # fuel tank, toolbox
        x = rng.uniform(0.4, 0.55)
        pen.area([(x, -0.05), (x + 0.2, -0.05), (x + 0.2, 0.06), (x, 0.06)], grey(rng, 40, 220))
    if rng.random() < 0.4:  # guard rail between the axles
        pen.line([(0.24, -0.04), (0.78, -0.04)], 0.02, grey(rng, 90, 220))
    pen.line([(REAR + 0.03, 0.05), (REAR + 0.03, -0.05)], 0.03, dark)


def _draw_box(pen: Pen, rng: random.Random, end: float, width: float) -> None:
    low, high = 0.09, rng.uniform(0.62, 0.8)
    paint = any_color(rng) if rng.random() < 0.6 else grey(rng, 190, 250)
    corners: list[Point] = [(REAR, low), (end, low), (end, high), (REAR, high)]
    draw_body(pen, corners, width, paint)
    line = shaded(paint, rng.choice([0.7, 0.85, 1.2]))
    style = rng.random()
    if style < 0.35:  # ribs of a container
        x = REAR + 0.03
        while x < end:
            pen.line([(x, low + 0.02), (x, high - 0.02)], 0.012, line)
            x += 0.05
    elif style < 0.75:  # lettering, a stripe
        x, y = rng.uniform(REAR + 0.1, 0.2), rng.uniform(low + 0.12, high - 0.2)
        color = any_color(rng)
        if rng.random() < 0.5:
            pen.line([(REAR + 0.01, y), (end - 0.01, y)], rng.uniform(0.03, 0.12), color)
        else:
            pen.area([(x, y), (x + 0.4, y), (x + 0.4, y + 0.12), (x, y + 0.12)], color)
    draw_rear(pen, rng, REAR - 0.003, (low, low + 0.1), width)
    pen.line([(REAR, low), (end, low)], 0.02, shaded(paint, 0.6))


def _draw_flatbed(pen: Pen, rng: random.Random, end: float, width: float) -> None:
    low = 0.1
    paint = any_color(rng)
    board = rng.uniform(0.06, 0.16)
    kind = rng.random()
    if kind < 0.4:  # logs or pipes
        color = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7))
        for layer in range(rng.randint(2, 4)):
            y = low + 0.07 + layer * 0.085
            pen.line([(REAR + 0.04, y), (end - 0.06, y)], 0.09, shaded(color, rng.uniform(0.7, 1.2)))
    elif kind < 0.8:  # crates
        x = REAR + 0.05
        while x < end - 0.2:
            wide, high = rng.uniform(0.14, 0.26), rng.uniform(0.14, 0.36)
            crate: list[Point] = [
                (x, low),
                (x + wide, low),
                (x + wide, low + high),
                (x, low + high),
            ]
            draw_body(pen, crate, width * 0.8, any_color(rng))
            x += wide + rng.uniform(0.02, 0.1)
    bed: list[Point] = [
        (REAR, low - 0.03),
        (end, low - 0.03),
        (end, low + board),
        (REAR, low + board),
    ]
    draw_body(pen, bed, width, paint)
    for number in range(1, 4):
        x = REAR + (end - REAR) * number / 4
        pen.line([(x, low), (x, low + board)], 0.02, shaded(paint, 0.6))
    pen.line([(end, low), (end, low + 0.3)], 0.025, shaded(paint, 0.7))  # the wall before the load


def _draw_tank(pen: Pen, rng: random.Random, end: float, width: float) -> None:
    low, high = 0.1, rng.uniform(0.46, 0.58)
    paint = grey(rng, 150, 245) if rng.random() < 0.6 else any_color(rng)
    corners: list[Point] = [(REAR, low), (end, low), (end, high), (REAR, high)]
    draw_body(pen, softened(corners, 0.12), width * 0.85, paint)
    for share, light in ((0.2, 0.72), (0.75, 1.2)):  # round: dark below, bright above
        y = low + (high - low) * share
        pen.line([(REAR + 0.08, y), (end - 0.08, y)], 0.05, shaded(paint, light))
    for number in range(1, 4):
        x = REAR + (end - REAR) * number / 4
        pen.line([(x, low + 0.01), (x, high - 0.01)], 0.014, shaded(paint, 0.7))
        pen.line([(x - 0.12, high + 0.015), (x - 0.05, high + 0.015)], 0.03, shaded(paint, 0.6))
    if rng.random() < 0.5:
        pen.line([(REAR + 0.06, (low + high) / 2), (end - 0.06, (low + high) / 2)], 0.05, any_color(rng))


def _draw_tipper(pen: Pen, rng: random.Random, end: float, width: float) -> None:
    low, high = 0.1, rng.uniform(0.4, 0.5)
    paint = any_color(rng)
    if rng.random() < 0.7:  # sand, gravel
        heap = hsv(rng.uniform(0.05, 0.12), rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.8))
        pen.blob(
            [(REAR - 0.02, high - 0.1), (REAR + 0.25, high + 0.22), (end - 0.25, high + 0.2), (end, high - 0.1)], heap
        )
    tub: list[Point] = [(REAR + 0.06, low), (end - 0.04, low), (end, high), (REAR - 0.03, high)]
    draw_body(pen, tub, width, paint)
    for number in range(1, 5):
        x = REAR + (end - REAR) * number / 5
        pen.line([(x, low + 0.01), (x, high - 0.01)], 0.03, shaded(paint, 0.75))
    if rng.random() < 0.6:  # the shield above the cab
        pen.line([(end - 0.01, high), (end + 0.2, high + 0.2)], 0.03, paint)
