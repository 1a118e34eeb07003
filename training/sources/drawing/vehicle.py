"""Draw cars, buses and trucks from the side: one body with a cabin, in the sizes of each kind."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.sources.drawing.body import draw_body, draw_pane_across
from training.sources.drawing.pen import (
    FRONT,
    REAR,
    Color,
    Pen,
    Point,
    any_color,
    arc_points,
    between,
    grey,
    hsv,
    shaded,
    softened,
)

VARIATION = 0.12  # of every size of a kind, in both directions
RED = 0.98  # hue
LOAD_REAR = -0.42  # x where a truck's load ends
LOAD_FLOOR = 0.09


@dataclass(frozen=True)
class Shape:
    """The sizes of a vehicle, in wheelbases; heights are above the axles.

    `rear` and `front` say how far the body reaches beyond the axles; a truck's body is its cab, which begins before
    the rear axle. `back` and `screen` are the cabin's rear wall and windscreen: how far the foot and the top of each
    are from the body's end.
    """

    wheel: float  # outer radius
    width: float
    rear: float
    front: float
    floor: float
    belt: float  # height of the body without the cabin
    roof: float
    back: tuple[float, float]
    screen: tuple[float, float]
    panes: int  # in a row
    rim: float = 0.57  # share of the wheel's radius
    decks: int = 1
    hue: float | None = None  # of the paint; None for any


CARS = (
    Shape(0.125, 0.62, 0.41, 0.3, -0.05, 0.22, 0.43, (0.27, 0.52), (0.46, 0.72), 2, rim=0.66),  # saloon
    Shape(0.125, 0.62, 0.33, 0.3, -0.05, 0.22, 0.43, (0.06, 0.17), (0.46, 0.72), 2, rim=0.66),  # hatchback
    Shape(0.125, 0.62, 0.4, 0.3, -0.05, 0.22, 0.43, (0.03, 0.16), (0.46, 0.72), 3, rim=0.66),  # estate
    Shape(0.152, 0.62, 0.33, 0.3, -0.06, 0.28, 0.53, (0.01, 0.03), (0.46, 0.62), 3, rim=0.62),  # off-road
    Shape(0.125, 0.62, 0.33, 0.3, -0.05, 0.17, 0.33, (0.09, 0.47), (0.56, 0.88), 1, rim=0.7),  # sports
    Shape(0.142, 0.58, 0.25, 0.24, -0.06, 0.22, 0.55, (0.05, 0.17), (0.32, 0.53), 2, rim=0.6),  # small
)
BUSES = (
    Shape(0.092, 0.4, 0.35, 0.32, -0.045, 0.15, 0.46, (0, 0.01), (0, 0.015), 7),  # city
    Shape(0.092, 0.4, 0.35, 0.32, -0.045, 0.26, 0.54, (0, 0.01), (0, 0.03), 8),  # coach
    Shape(0.092, 0.4, 0.29, 0.24, -0.045, 0.13, 0.84, (0, 0.01), (0, 0.015), 7, decks=2),
    Shape(0.092, 0.4, 0.29, 0.24, -0.045, 0.13, 0.84, (0, 0.01), (0, 0.015), 7, decks=2, hue=RED),
    Shape(0.112, 0.4, 0.33, 0.19, -0.045, 0.2, 0.56, (0, 0.01), (0, 0.03), 4),  # minibus
    Shape(0.092, 0.4, 0.4, 0.19, -0.045, 0.16, 0.46, (0, 0.01), (0.31, 0.33), 8, hue=0.115),  # school bus
)
TRUCKS = (
    Shape(0.128, 0.5, -0.83, 0.24, -0.02, 0.29, 0.59, (0, 0), (0, 0.055), 1),  # the engine beneath the driver
    Shape(0.128, 0.5, -0.65, 0.29, -0.02, 0.28, 0.59, (0, 0), (0.32, 0.375), 1),  # with a bonnet
)


def draw_vehicle(pen: Pen, rng: random.Random, shapes: Sequence[Shape]) -> float:
    """Draw a vehicle of one of the shapes and return its wheels' outer radius, in wheelbases."""
    shape = _varied(rng, rng.choice(shapes))
    paint = any_color(rng) if shape.hue is None else hsv(shape.hue, rng.uniform(0.75, 1), rng.uniform(0.5, 1))
    hubs = [REAR, FRONT]
    is_truck = shapes is TRUCKS
    if rng.random() < (0.45 if is_truck else 0.2 if shape.panes > 6 else 0):  # a second rear axle
        hubs.append((-2.2 * shape.wheel, 0))
    for hub in hubs:  # the wheels of the far side show beneath the body
        pen.disc(hub, shape.wheel, (18, 18, 20), depth=shape.width * 0.9)
    if is_truck and pen.sees((1, 0)):  # the cab stands before the load
        _draw_load(pen, rng, shape)
        _draw_body(pen, rng, shape, paint)
    else:
        _draw_body(pen, rng, shape, paint)
        if is_truck:
            _draw_load(pen, rng, shape)
    _draw_wheels(pen, rng, hubs, shape.wheel, shape.rim)
    return shape.wheel


def _varied(rng: random.Random, shape: Shape) -> Shape:
    def vary(size: float) -> float:
        return size * rng.uniform(1 - VARIATION, 1 + VARIATION)

    return replace(
        shape,
        wheel=vary(shape.wheel),
        width=vary(shape.width),
        rear=vary(shape.rear),
        front=vary(shape.front),
        floor=vary(shape.floor),
        belt=vary(shape.belt),
        roof=vary(shape.roof),
        rim=vary(shape.rim),
        back=(vary(shape.back[0]), vary(shape.back[1])),
        screen=(vary(shape.screen[0]), vary(shape.screen[1])),
        panes=shape.panes + (rng.randint(-1, 1) if shape.panes > 3 else 0),
    )


def _draw_body(pen: Pen, rng: random.Random, shape: Shape, paint: Color) -> None:
    rear, front = -shape.rear, 1 + shape.front
    floor, belt, width = shape.floor, shape.belt, shape.width
    nose = belt - 0.15 * shape.screen[0]
    back: Point = (rear + shape.back[0], belt)
    back_top: Point = (rear + shape.back[1], shape.roof)
    screen: Point = (front - shape.screen[0], belt)
    screen_top: Point = (front - shape.screen[1], shape.roof)
    lower = [(rear, floor), (front, floor), (front, nose), screen, back, (rear, belt - 0.1 * shape.back[0])]
    draw_body(pen, softened(lower, 0.03), width, paint)
    cabin = [back, screen, screen_top, back_top]
    # Only the upper corners are rounded, the last two with five points each: the lower ones join the body.
    draw_body(pen, [back, screen, *softened(cabin, rng.uniform(0.02, 0.05))[10:]], width, paint)
    color = any_color(rng)
    if rng.random() < 0.5:  # a stripe, or the lower part, in another color
        y = floor + (nose - floor) * rng.uniform(0.2, 0.8)
        pen.line([(rear + 0.03, y), (front - 0.03, y)], rng.uniform(0.01, 0.06), color)
    if rng.random() < 0.2 and shape.panes > 3:  # an advertisement
        pen.area([(0.2, 0.02), (0.55, 0.02), (0.55, belt - 0.03), (0.2, belt - 0.03)], any_color(rng))
    if rng.random() < 0.3:  # a roof rack, cooling
        y = shape.roof + 0.02
        pen.line([(back_top[0] + 0.1, y), (screen_top[0] - 0.1, y)], 0.03, grey(rng, 20, 240))
    _draw_panes(pen, rng, shape, (back, screen, screen_top, back_top), paint)
    pen.line([(screen[0] - 0.06, belt + 0.03), (screen[0] - 0.02, belt + 0.03)], 0.04, shaded(paint, 0.6))  # mirror
    _draw_front(pen, rng, front + 0.003, (floor, nose - 0.02), width)
    if rear < 0:  # a truck's rear is that of its load
        _draw_rear(pen, rng, rear - 0.003, (floor + 0.04, belt - 0.04), width)


def _draw_panes(
    pen: Pen, rng: random.Random, shape: Shape, cabin: tuple[Point, Point, Point, Point], paint: Color
) -> None:
    """Draw the panes of a cabin: windscreen, rear pane, and each deck's side panes with pillars between them.

    `cabin` has the foot of the rear wall, foot and top of the windscreen, and the rear wall's top.
    """
    back, screen, screen_top, back_top = cabin
    pane = _glass(rng)
    line = shaded(paint, rng.choice([0.6, 0.75, 1.3]))
    pillar_width = rng.uniform(0.012, 0.035)
    for deck in range(shape.decks):
        low, high = (deck + 0.12) / shape.decks, (deck + 0.8) / shape.decks  # shares of the cabin's height
        rear_foot, rear_head = between(back, back_top, low), between(back, back_top, high)
        foot, head = between(screen, screen_top, low), between(screen, screen_top, high)
        draw_pane_across(pen, foot, head, (0.08 * shape.width, 0.92 * shape.width), shaded(pane, 0.85))
        draw_pane_across(pen, rear_head, rear_foot, (0.1 * shape.width, 0.9 * shape.width), shaded(pane, 0.8))
        y, top = foot[1], head[1]
        corners = [(rear_foot[0] + 0.05, y), (foot[0] - 0.05, y), (head[0] - 0.03, top), (rear_head[0] + 0.03, top)]
        pen.area(softened(corners, 0.025), pane)
        for number in range(1, shape.panes):
            share = number / shape.panes
            pillar = [between(corners[0], corners[1], share), between(corners[3], corners[2], share)]
            pen.line(pillar, pillar_width, shaded(paint, 0.8))
    _draw_doors(pen, rng, shape, (back[0], screen[0]), pane=shaded(pane, 0.9), line=line)


def _draw_doors(
    pen: Pen, rng: random.Random, shape: Shape, ends: tuple[float, float], *, pane: Color, line: Color
) -> None:
    """Draw the outlines and handles of doors; of a bus, which has doors on one side only, glass doors or none.

    `ends` are the x of the cabin's rear and front end.
    """
    start, end = ends
    if shape.panes > 3:
        top = shape.belt + (shape.roof - shape.belt) * (shape.decks - 0.88) / shape.decks
        for x in [end - 0.16, rng.uniform(0.42, 0.55)][: rng.choice([0, 0, 1, 2])]:
            pen.area([(x, shape.floor), (x + 0.11, shape.floor), (x + 0.11, top), (x, top)], pane)
            pen.line([(x + 0.055, shape.floor), (x + 0.055, top)], 0.012, line)
        return
    for x in (start + 0.05, (start + end) / 2, end - 0.04):
        if x > 2 * shape.wheel - 0.1:  # in front of the rear wheel's arch
            pen.line([(x, shape.floor + 0.03), (x, shape.belt)], 0.01, line)
            pen.line([(x - 0.07, shape.belt * 0.8), (x - 0.02, shape.belt * 0.8)], 0.014, shaded(line, 0.7))


def _draw_load(pen: Pen, rng: random.Random, shape: Shape) -> None:
    """Draw a truck's chassis and what it carries: a box, a tank, a tub or an open flatbed."""
    end, width, dark = -shape.rear - 0.04, shape.width, grey(rng, 20, 70)
    pen.line([(LOAD_REAR, 0.06), (end + 0.1, 0.06)], 0.06, dark)
    if rng.random() < 0.7:  # fuel tank, toolbox
        x = rng.uniform(0.35, 0.5)
        pen.area([(x, -0.05), (x + 0.2, -0.05), (x + 0.2, 0.06), (x, 0.06)], grey(rng, 40, 220))
    kind = rng.choice(["box", "box", "flatbed", "tank", "tub"])
    heights = {"box": (0.62, 0.8), "flatbed": (0.16, 0.26), "tank": (0.46, 0.58), "tub": (0.4, 0.5)}
    low, high = LOAD_FLOOR, rng.uniform(*heights[kind])
    paint = any_color(rng) if rng.random() < 0.6 else grey(rng, 150, 250)
    if kind == "tub" and rng.random() < 0.7:  # sand, gravel
        heap = hsv(rng.uniform(0.05, 0.12), rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.8))
        ridge = [(LOAD_REAR + 0.25, high + 0.22), (end - 0.25, high + 0.2)]
        pen.blob([(LOAD_REAR - 0.02, high - 0.1), *ridge, (end, high - 0.1)], heap)
    x = LOAD_REAR + 0.05
    while kind == "flatbed" and x < end - 0.2:  # crates
        wide, top = rng.uniform(0.14, 0.4), low + rng.uniform(0.14, 0.4)
        draw_body(pen, [(x, low), (x + wide, low), (x + wide, top), (x, top)], width * 0.8, any_color(rng))
        x += wide + rng.uniform(0.02, 0.1)
    slant = 0.07 if kind == "tub" else 0
    corners = [(LOAD_REAR + slant, low), (end - slant / 2, low), (end, high), (LOAD_REAR, high)]
    draw_body(pen, softened(corners, 0.12 if kind == "tank" else 0.005), width, paint)
    if rng.random() < 0.5:
        y = rng.uniform(low + 0.06, high - 0.06)
        pen.line([(LOAD_REAR + 0.06, y), (end - 0.06, y)], rng.uniform(0.02, 0.1), any_color(rng))
    ribs = rng.choice([3, 4, 5, 20])
    for number in range(1, ribs):
        x = LOAD_REAR + (end - LOAD_REAR) * number / ribs
        pen.line([(x, low + 0.02), (x, high - 0.02)], 0.014, shaded(paint, 0.75))
    _draw_rear(pen, rng, LOAD_REAR - 0.003, (low, low + 0.1), width)


def _draw_wheels(pen: Pen, rng: random.Random, hubs: Sequence[Point], radius: float, rim: float) -> None:
    """Draw the near wheels with their arches; `rim` is the rim's share of the radius."""
    tyre, metal, dark = grey(rng, 12, 45), grey(rng, 90, 235), grey(rng, 10, 50)
    spokes = rng.choice([0, 5, 6, 8, 10])
    for hub in hubs:
        pen.area(arc_points(hub, radius * 1.2, (-5, 185)), dark)
        pen.disc(hub, radius, shaded(tyre, 0.7), depth=radius * 0.5)
        pen.disc(hub, radius, tyre)
        pen.disc(hub, radius * rim, metal)
        if spokes:
            pen.disc(hub, radius * rim * 0.85, shaded(metal, 0.5))
            pen.spokes(hub, radius * rim * 0.85, spokes, width=radius * 0.13, color=metal, start=0.3)
        pen.disc(hub, radius * 0.16, shaded(metal, 0.6))


def _glass(rng: random.Random) -> Color:
    """Return the color of panes: dark, or with the sky in them."""
    if rng.random() < 0.7:
        return hsv(rng.uniform(0.5, 0.65), rng.uniform(0.05, 0.35), rng.uniform(0.1, 0.4))
    return hsv(rng.uniform(0.5, 0.62), rng.uniform(0.05, 0.3), rng.uniform(0.55, 0.85))


def _draw_front(pen: Pen, rng: random.Random, x: float, heights: tuple[float, float], width: float) -> None:
    """Draw grille, lamps and plate on a front at x between two heights, and what the side shows of a lamp."""
    low, high = heights
    lamp = grey(rng, 190, 255) if rng.random() < 0.8 else hsv(0.1, 0.8, 0.95)
    foot, head = (x, low + (high - low) * 0.55), (x, low + (high - low) * 0.9)
    draw_pane_across(pen, foot, head, (0.25 * width, 0.75 * width), grey(rng, 15, 80))
    for near in (0.05, 0.77):
        draw_pane_across(pen, foot, head, (near * width, (near + 0.18) * width), lamp)
    pen.area([foot, head, (x - rng.uniform(0.04, 0.07), head[1] - 0.01)], lamp)
    foot, head = (x, low + (high - low) * 0.15), (x, low + (high - low) * 0.35)
    draw_pane_across(pen, foot, head, (0.36 * width, 0.64 * width), grey(rng, 180, 255))


def _draw_rear(pen: Pen, rng: random.Random, x: float, heights: tuple[float, float], width: float) -> None:
    """Draw lamps and plate on a rear at x between two heights, and what the side shows of a lamp."""
    low, high = heights
    middle = (low + high) / 2
    red = hsv(RED, 0.9, rng.uniform(0.5, 0.9))
    for near in (0.04, 0.82):
        draw_pane_across(pen, (x, high), (x, low), (near * width, (near + 0.14) * width), red)
    depths = (0.36 * width, 0.64 * width)
    draw_pane_across(pen, (x, middle + 0.025), (x, middle - 0.025), depths, grey(rng, 180, 255))
    side = rng.uniform(0.02, 0.05)
    pen.area([(x, middle), (x + side, middle), (x + side, middle + 0.06), (x, middle + 0.06)], red)
