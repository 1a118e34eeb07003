"""Pictures of houses, drawn: cottages, blocks of flats, barns, towers."""

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

from training.sources.drawing.body import draw_body, draw_pane_across
from training.sources.drawing.camera import take_picture
from training.sources.drawing.pen import Color, Pen, Point, View, any_color, grey, hsv, shaded
from training.sources.drawing.scene import draw_background


@dataclass(frozen=True)
class _House:
    """A house whose front goes from x = 0 to 1, its foot at height 0."""

    eaves: float
    ridge: float  # as high as the eaves for a flat roof
    depth: float
    wall: Color
    roof: Color


def draw_house(rng: random.Random, size: int) -> Image.Image:
    """Return a house in its surroundings, RGB, `size` pixels square."""
    side = max(128, 4 * size if size <= 64 else 2 * size)
    layer = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    kind = rng.choice(["cottage", "cottage", "cottage", "block", "barn", "tower"])
    view = View(
        x=side * rng.uniform(0.38, 0.62),
        y=side * rng.uniform(0.72, 0.9),
        scale=side * (rng.uniform(0.24, 0.36) if kind == "tower" else rng.uniform(0.45, 0.7)),
        yaw=rng.uniform(-0.6, 0.6),
        lean=rng.gauss(0, 0.02),
        slope=0.0,
        mirrored=rng.random() < 0.5,
    )
    house = _house(rng, kind)
    pen = Pen(layer, view)
    _draw_walls(pen, rng, house)
    _draw_front(pen, rng, house, kind)
    scene = draw_background(rng, (side, side), view.y + side * 0.05)
    scene.paste(layer, (0, 0), layer)
    if rng.random() < 0.6:
        _draw_bushes(rng, scene, view.y)
    return take_picture(rng, scene, (size, size))


def _house(rng: random.Random, kind: str) -> _House:
    wall = any_color(rng) if rng.random() < 0.6 else hsv(rng.uniform(0.03, 0.13), 0.35, 0.8)
    roof = hsv(rng.choice([0.01, 0.04, 0.07, 0.6]), rng.uniform(0.1, 0.7), rng.uniform(0.2, 0.65))
    depth = rng.uniform(0.5, 0.9)
    if kind == "block":
        eaves = rng.uniform(0.7, 1.1)
        return _House(eaves, eaves, depth, wall, roof)
    if kind == "tower":
        eaves = rng.uniform(1.6, 2.4)
        return _House(eaves, eaves + rng.choice([0.0, 0.6, 0.9]), depth, wall, roof)
    if kind == "barn":
        eaves = rng.uniform(0.3, 0.42)
        return _House(
            eaves,
            eaves + rng.uniform(0.25, 0.4),
            rng.uniform(1.0, 1.4),
            hsv(rng.uniform(0.0, 0.08), rng.uniform(0.3, 0.8), 0.45),
            roof,
        )
    eaves = rng.uniform(0.35, 0.75)
    return _House(eaves, eaves + rng.uniform(0.22, 0.5), depth, wall, roof)


def _draw_walls(pen: Pen, rng: random.Random, house: _House) -> None:
    """The front with its gable, the side wall and the roof."""
    low, high = (0.0, house.eaves), (1.0, house.eaves)
    draw_body(pen, [(0.0, 0.0), (1.0, 0.0), high, low], house.depth, house.wall)
    if house.ridge == house.eaves:
        pen.line([(-0.02, house.eaves), (1.02, house.eaves)], 0.05, house.roof)
        return
    if rng.random() < 0.5 or house.eaves > 1.2:  # the gable is in front
        top: Point = (0.5, house.ridge)
        draw_body(pen, [low, high, top], house.depth, house.wall)
        out = 0.07
        for foot, way in ((low, -1), (high, 1)):
            end: Point = (foot[0] + way * out, foot[1] - out)
            draw_pane_across(pen, *((end, top) if way > 0 else (top, end)), (0.0, house.depth), house.roof)
            pen.line([end, top], 0.06, house.roof)
    else:  # the roof slopes towards the front
        pen.area(
            [(-0.06, house.eaves - 0.03), (1.06, house.eaves - 0.03), (0.92, house.ridge), (0.08, house.ridge)],
            house.roof,
        )
        for row in range(1, 5):
            y = house.eaves + (house.ridge - house.eaves) * row / 5
            pen.line([(0.03 * row, y), (1 - 0.03 * row, y)], 0.008, shaded(house.roof, 0.75))
    if rng.random() < 0.6:  # chimney
        x = rng.choice([0.2, 0.75])
        pen.line([(x, house.eaves + 0.1), (x, house.ridge + 0.1)], 0.1, shaded(house.roof, 0.7))


def _draw_front(pen: Pen, rng: random.Random, house: _House, kind: str) -> None:
    frame = grey(rng, 200, 250) if rng.random() < 0.7 else any_color(rng)
    glass = hsv(rng.uniform(0.5, 0.65), rng.uniform(0.05, 0.4), rng.uniform(0.1, 0.5))
    if kind == "barn":
        high = house.eaves * 0.85
        pen.area(_box(0.5, 0.22, 0, high), shaded(house.wall, 0.6))
        pen.line([(0.28, 0.0), (0.72, high)], 0.03, frame)
        pen.line([(0.72, 0.0), (0.28, high)], 0.03, frame)
        return
    storeys = max(1, round(house.eaves / rng.uniform(0.26, 0.36)))
    columns = rng.randint(2, 3) if kind != "block" else rng.randint(4, 6)
    high, wide = house.eaves / storeys, 1 / columns
    door_column = rng.randrange(columns)
    shutters = house.roof if rng.random() < 0.3 else None
    for storey in range(storeys):
        for column in range(columns):
            x = (column + 0.5) * wide
            if storey == 0 and column == door_column:
                half = min(0.09, wide * 0.3)
                pen.area(_box(x, half, 0, high * 0.75), any_color(rng))
                pen.disc((x + half * 0.6, high * 0.35), 0.012, grey(rng, 180, 250))
            else:
                low = (storey + 0.3) * high
                _draw_window(pen, (x, low), (wide * 0.25, high * 0.5), (frame, glass), shutters)


def _draw_window(
    pen: Pen,
    foot: Point,
    size: tuple[float, float],
    colors: tuple[Color, Color],
    shutters: Color | None,
) -> None:
    """`foot` is the middle of the sill, `size` half the width and the height."""
    (x, low), (half, high) = foot, size
    frame, glass = colors
    top, edge = low + high, 0.018
    pen.area(_box(x, half + edge, low - edge, top + edge), frame)
    pen.area(_box(x, half, low, top), glass)
    pen.line([(x, low), (x, top)], 0.014, frame)
    pen.line([(x - half, (low + top) / 2), (x + half, (low + top) / 2)], 0.014, frame)
    for way in (-1, 1) if shutters else ():
        side = x + way * (half + 0.035)
        pen.line([(side, low), (side, top)], 0.045, shutters or frame)


def _box(x: float, half: float, low: float, high: float) -> list[Point]:
    return [(x - half, low), (x + half, low), (x + half, high), (x - half, high)]


def _draw_bushes(rng: random.Random, scene: Image.Image, ground: float) -> None:
    draw, side = ImageDraw.Draw(scene), scene.width
    green = hsv(rng.uniform(0.22, 0.38), rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.6))
    for _ in range(rng.randint(2, 9)):
        x, half = rng.uniform(0, side), rng.uniform(0.02, 0.07) * side
        for _ in range(6):
            dx, dy = rng.gauss(0, half), rng.gauss(0, half * 0.5)
            draw.ellipse(
                (x + dx - half, ground + dy - half, x + dx + half, ground + dy + half),
                shaded(green, rng.uniform(0.6, 1.2)),
            )
