"""Draw a body that has a width, seen at an angle: of a vehicle, of a house."""

import itertools
from collections.abc import Sequence

from training.sources.drawing.pen import Color, Pen, Point, shaded

# Brightness of a side relative to the near one, by where it faces: a roof gets more light, a floor none.
ROOF, ACROSS, FLOOR = 1.15, 0.82, 0.35


def draw_body(pen: Pen, outline: Sequence[Point], width: float, paint: Color) -> None:
    """Fill a counterclockwise outline, and those of its sides across that the camera sees.

    `width` is the distance between the near and the far side.
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


def draw_pane_across(pen: Pen, low: Point, high: Point, depths: tuple[float, float], color: Color) -> None:
    """Draw a pane that stands across the body, its near side from `low` to `high`, if the camera sees it."""
    if pen.sees((high[1] - low[1], low[0] - high[0])):
        near, far = depths
        pen.face([(*low, near), (*high, near), (*high, far), (*low, far)], color)
