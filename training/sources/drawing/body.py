"""Draw what cars, buses and trucks have in common: a body with a width, wheels, panes, lamps."""

import itertools
import random
from collections.abc import Sequence

from training.sources.drawing.pen import Color, Pen, Point, arc_points, grey, hsv, shaded

# How light a side is beside the near one, by where it faces: a roof gets more light, a floor none.
ROOF, ACROSS, FLOOR = 1.15, 0.82, 0.35


def draw_body(pen: Pen, outline: Sequence[Point], width: float, paint: Color) -> None:
    """Fill an outline that goes counterclockwise, and the sides across that can be seen.

    `width` is how far behind the near side the far one lies.
    """
    sides = []
    for a, b in itertools.pairwise([*outline, outline[0]]):
        normal = (b[1] - a[1], a[0] - b[0])
        if pen.sees(normal):
            sides.append((a, b, normal))
    # From the middle of the vehicle outwards, since the bonnet stands before the windscreen.
    for a, b, normal in sorted(sides, key=lambda side: abs(side[0][0] + side[1][0] - 1)):
        length = (normal[0] ** 2 + normal[1] ** 2) ** 0.5 or 1.0
        up = normal[1] / length
        light = ACROSS + (up * (ROOF - ACROSS) if up > 0 else up * (ACROSS - FLOOR))
        pen.face([(*a, 0), (*b, 0), (*b, width), (*a, width)], shaded(paint, light))
    pen.area(outline, paint)


def draw_far_wheels(pen: Pen, hubs: Sequence[Point], radius: float, width: float) -> None:
    """Draw the wheels of the far side, which show beneath the body: before the body."""
    for hub in hubs:
        pen.disc(hub, radius, (18, 18, 20), depth=width * 0.9)


def draw_wheels(pen: Pen, rng: random.Random, hubs: Sequence[Point], radius: float, rim: float) -> None:
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


def glass(rng: random.Random) -> Color:
    """Return the color of panes: dark, or with the sky in them."""
    if rng.random() < 0.7:
        return hsv(rng.uniform(0.5, 0.65), rng.uniform(0.05, 0.35), rng.uniform(0.1, 0.4))
    return hsv(rng.uniform(0.5, 0.62), rng.uniform(0.05, 0.3), rng.uniform(0.55, 0.85))


def draw_pane_across(pen: Pen, low: Point, high: Point, depths: tuple[float, float], color: Color) -> None:
    """Draw a pane that stands across the vehicle, its near side from `low` to `high`, if seen."""
    if pen.sees((high[1] - low[1], low[0] - high[0])):
        near, far = depths
        pen.face([(*low, near), (*high, near), (*high, far), (*low, far)], color)


def draw_front(pen: Pen, rng: random.Random, x: float, heights: tuple[float, float], width: float) -> None:
    """Draw lamps, grille and plate on a front at x between two heights, if it can be seen."""
    low, high = heights
    lamp, dark = grey(rng, 200, 255), grey(rng, 15, 80)
    at = (low + (high - low) * 0.55, low + (high - low) * 0.9)
    draw_pane_across(pen, (x, at[0]), (x, at[1]), (0.25 * width, 0.75 * width), dark)
    for near in (0.05, 0.77):
        lamp_depths = (near * width, (near + 0.18) * width)
        draw_pane_across(pen, (x, at[0]), (x, at[1]), lamp_depths, lamp)
    plate = (low + (high - low) * 0.15, low + (high - low) * 0.35)
    depths = (0.36 * width, 0.64 * width)
    draw_pane_across(pen, (x, plate[0]), (x, plate[1]), depths, grey(rng, 180, 255))


def draw_rear(pen: Pen, rng: random.Random, x: float, heights: tuple[float, float], width: float) -> None:
    """Draw lamps and plate on a rear at x between two heights, if it can be seen."""
    low, high = heights
    red = hsv(rng.uniform(0.97, 1.0), 0.9, rng.uniform(0.5, 0.9))
    for near in (0.04, 0.82):
        depths = (near * width, (near + 0.14) * width)
        draw_pane_across(pen, (x, high), (x, low), depths, red)
    middle = (low + high) / 2
    depths = (0.36 * width, 0.64 * width)
    draw_pane_across(pen, (x, middle + 0.025), (x, middle - 0.025), depths, grey(rng, 180, 255))


def draw_side_lamps(pen: Pen, rng: random.Random, rear: Point, front: Point, size: float) -> None:
    """Draw what is seen of the lamps from the side: white or amber in front, red behind."""
    x, y = front
    pen.area(
        [(x - size, y), (x, y - size * 0.3), (x, y + size * 0.4), (x - size * 0.8, y + size * 0.6)],
        grey(rng, 190, 255) if rng.random() < 0.8 else hsv(0.1, 0.8, 0.95),
    )
    x, y = rear
    pen.area(
        [(x, y - size * 0.4), (x + size * 0.6, y - size * 0.4), (x + size * 0.5, y + size * 0.7), (x, y + size * 0.7)],
        hsv(rng.uniform(0.97, 1.0), 0.9, rng.uniform(0.45, 0.9)),
    )
