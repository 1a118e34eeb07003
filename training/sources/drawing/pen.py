"""Draw in a vehicle's own coordinates, as a camera sees it from some side."""

import colorsys
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

Point = tuple[float, float]
Point3D = tuple[float, float, float]  # x, y, and how far behind the vehicle's near side
Color = tuple[int, int, int]

REAR: Point = (0, 0)  # the axles
FRONT: Point = (1, 0)
CIRCLE_STEPS = 40


@dataclass(frozen=True)
class View:
    """The projection of the vehicle's side, in wheelbases, onto the canvas, in pixels.

    x runs from the rear axle (0) to the front axle (1), y up from the axles.
    """

    x: float  # of the middle between the axles, pixels
    y: float
    scale: float  # pixels per wheelbase
    yaw: float  # radians that the vehicle is turned away from a pure side view
    lean: float  # radians that the picture is rotated
    slope: float  # how much higher the far end stands, per wheelbase
    mirrored: bool

    def project(self, point: Point, depth: float = 0.0) -> Point:
        """Return the pixel of a point. `depth` is how far behind the vehicle's plane it lies."""
        along = (point[0] - 0.5) * math.cos(self.yaw) + depth * math.sin(self.yaw)
        up = point[1] + self.slope * (point[0] - 0.5) + 0.35 * depth * math.sin(abs(self.slope))
        if self.mirrored:
            along = -along
        cos, sin = math.cos(self.lean), math.sin(self.lean)
        return (self.x + self.scale * (along * cos - up * sin), self.y - self.scale * (along * sin + up * cos))


class Pen:
    """Draws on an RGBA layer through a View. All lengths are in wheelbases."""

    def __init__(self, layer: Image.Image, view: View) -> None:
        """Draw on an RGBA picture."""
        self._draw = ImageDraw.Draw(layer)
        self._view = view

    def line(self, points: Sequence[Point], width: float, color: Color, depth: float = 0.0) -> None:
        """Draw a line through the points, with round joints and ends."""
        pixels = [self._view.project(point, depth) for point in points]
        thick = max(1, round(width * self._view.scale))
        self._draw.line(pixels, fill=color, width=thick, joint="curve")
        if thick > 2:
            for x, y in (pixels[0], pixels[-1]):
                half = thick / 2
                self._draw.ellipse((x - half, y - half, x + half, y + half), fill=color)

    def curve(self, points: Sequence[Point], width: float, color: Color) -> None:
        """Draw the Bezier curve of these control points."""
        self.line(bezier(points), width, color)

    def area(self, points: Sequence[Point], color: Color, depth: float = 0.0) -> None:
        """Fill a polygon."""
        self._draw.polygon([self._view.project(point, depth) for point in points], fill=color)

    def face(self, corners: Sequence[Point3D], color: Color) -> None:
        """Fill a polygon whose corners differ in depth: a vehicle's front, its roof."""
        pixels = [self._view.project((x, y), depth) for x, y, depth in corners]
        self._draw.polygon(pixels, fill=color)

    def sees(self, normal: Point) -> bool:
        """Tell whether the camera sees a side that stands across the vehicle, facing `normal`."""
        # The far side appears shifted, and the sides that face in the direction of the shift are visible.
        (far_x, far_y), (near_x, near_y) = self._view.project((0.5, 0), 1), self._view.project((0.5, 0))
        along, up = far_x - near_x, near_y - far_y
        return normal[0] * (-along if self._view.mirrored else along) + normal[1] * up > 0

    def blob(self, points: Sequence[Point], color: Color) -> None:
        """Fill a polygon whose corners are rounded."""
        self.area(rounded(points), color)

    def disc(self, center: Point, radius: float, color: Color, depth: float = 0.0) -> None:
        """Fill a circle, an ellipse when seen at an angle."""
        self.area(circle(center, radius), color, depth)

    def ring(self, center: Point, radius: float, width: float, color: Color, depth: float = 0.0) -> None:
        """Draw a circle's line, its middle at `radius`."""
        points = circle(center, radius)
        self.line([*points, points[0], points[1]], width, color, depth)

    def spokes(self, center: Point, radius: float, count: int, *, width: float, color: Color, start: float) -> None:
        """Draw `count` lines from the center outwards, the first at `start` radians."""
        for number in range(count):
            angle = start + 2 * math.pi * number / count
            tip = (center[0] + radius * math.cos(angle), center[1] + radius * math.sin(angle))
            self.line([center, tip], width, color)

    def arc(self, center: Point, radius: float, degrees: tuple[float, float], width: float, color: Color) -> None:
        """Draw part of a circle, degrees counted from the front, upwards."""
        self.line(arc_points(center, radius, degrees), width, color)


def circle(center: Point, radius: float) -> list[Point]:
    """Return the corners of a polygon that looks like a circle."""
    return arc_points(center, radius, (0, 360 - 360 / CIRCLE_STEPS))


def arc_points(center: Point, radius: float, degrees: tuple[float, float]) -> list[Point]:
    """Return points on part of a circle."""
    start, end = (math.radians(angle) for angle in degrees)
    steps = max(3, round(CIRCLE_STEPS * abs(end - start) / (2 * math.pi)))
    angles = [start + (end - start) * i / steps for i in range(steps + 1)]
    return [(center[0] + radius * math.cos(a), center[1] + radius * math.sin(a)) for a in angles]


def bezier(points: Sequence[Point], steps: int = 12) -> list[Point]:
    """Return points on the Bezier curve of these control points."""
    curve = []
    for i in range(steps + 1):
        level = list(points)
        while len(level) > 1:
            level = [between(a, b, i / steps) for a, b in itertools.pairwise(level)]
        curve += level
    return curve


def rounded(points: Sequence[Point]) -> list[Point]:
    """Return a closed smooth outline: quadratic curves between the sides' middles."""
    outline: list[Point] = []
    for i, corner in enumerate(points):
        before, after = points[i - 1], points[(i + 1) % len(points)]
        outline += bezier([between(before, corner, 0.5), corner, between(corner, after, 0.5)], 6)
    return outline


def softened(points: Sequence[Point], reach: float) -> list[Point]:
    """Return a closed outline whose corners are rounded from `reach` before each to `reach` after it."""
    outline: list[Point] = []
    for i, corner in enumerate(points):
        ends = []
        for other in (points[i - 1], points[(i + 1) % len(points)]):
            distance = math.dist(corner, other) or 1.0
            ends.append(between(corner, other, min(0.5, reach / distance)))
        outline += bezier([ends[0], corner, ends[1]], 4)
    return outline


def between(a: Point, b: Point, share: float) -> Point:
    """Return the point that lies `share` of the way from a to b."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)


def shaded(color: Color, factor: float) -> Color:
    """Return the color darker (factor below 1) or lighter (above)."""
    red, green, blue = (min(255, max(0, round(part * factor))) for part in color)
    return (red, green, blue)


def any_color(rng: random.Random) -> Color:
    """Return a color of paint or cloth: four in ten are white, grey or black."""
    if rng.random() < 0.4:
        return grey(rng, 15, 245)
    return hsv(rng.random(), rng.uniform(0.35, 1), rng.uniform(0.25, 1))


def grey(rng: random.Random, low: int, high: int) -> Color:
    """Return a grey, hardly tinted, between two levels of 0 to 255."""
    level = rng.uniform(low, high)
    red, green, blue = (min(255, max(0, round(level + rng.uniform(-8, 8)))) for _ in range(3))
    return (red, green, blue)


def hsv(hue: float, saturation: float, value: float) -> Color:
    """Return the RGB color of hue, saturation and value in [0, 1]."""
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return (red, green, blue)
