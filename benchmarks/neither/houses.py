"""Draw houses in their surroundings: cottages, blocks of flats, barns, towers."""

import random

from PIL import Image, ImageDraw

from training.sources.drawing.body import draw_body, draw_pane_across
from training.sources.drawing.pen import Color, Pen, Point, View, any_color, grey, hsv, shaded
from training.sources.drawing.scene import draw_background

# Ranges of a house, in widths of its front: height of the walls, height of the roof, number of windows in a row.
COTTAGE = ((0.35, 0.75), (0.22, 0.5), (2, 3))
BLOCK = ((0.7, 1.1), (0.0, 0.0), (4, 6))
BARN = ((0.3, 0.42), (0.25, 0.4), (1, 1))
TOWER = ((1.6, 2.4), (0.2, 0.9), (2, 3))


def draw_house(rng: random.Random, side: int) -> Image.Image:
    """Return a house, RGB, `side` pixels square."""
    wall_heights, roof_heights, columns = rng.choice([COTTAGE, COTTAGE, COTTAGE, BLOCK, BARN, TOWER])
    eaves = rng.uniform(*wall_heights)
    ridge = eaves + rng.uniform(*roof_heights)
    view = View(
        x=side * rng.uniform(0.38, 0.62),
        y=side * rng.uniform(0.72, 0.9),
        scale=side * rng.uniform(0.45, 0.7) / max(1.0, eaves),
        yaw=rng.uniform(-0.6, 0.6),
        lean=rng.gauss(0, 0.02),
        slope=0.0,
        mirrored=rng.random() < 0.5,
    )
    scene = draw_background(rng, (side, side), view.y + side * 0.05)
    pen = Pen(scene, view)
    wall = any_color(rng) if rng.random() < 0.6 else hsv(rng.uniform(0.0, 0.13), rng.uniform(0.3, 0.8), 0.7)
    _draw_walls_and_roof(pen, rng, eaves, ridge, wall)
    _draw_door_and_windows(pen, rng, eaves, rng.randint(*columns))
    if rng.random() < 0.6:
        _draw_bushes(rng, scene, view.y)
    return scene


def _draw_walls_and_roof(pen: Pen, rng: random.Random, eaves: float, ridge: float, wall: Color) -> None:
    depth = rng.uniform(0.5, 1.1)
    roof = hsv(rng.choice([0.01, 0.04, 0.07, 0.6]), rng.uniform(0.1, 0.7), rng.uniform(0.2, 0.65))
    draw_body(pen, [(0.0, 0.0), (1.0, 0.0), (1.0, eaves), (0.0, eaves)], depth, wall)
    if rng.random() < 0.4:  # chimney
        x = rng.choice([0.2, 0.75])
        pen.line([(x, eaves), (x, ridge + 0.1)], 0.1, shaded(roof, 0.7))
    left, right, top = (-0.07, eaves - 0.07), (1.07, eaves - 0.07), (0.5, ridge)
    if ridge == eaves:
        pen.line([(-0.02, eaves), (1.02, eaves)], 0.05, roof)
    elif eaves > 1.2 or rng.random() < 0.5:  # the gable is in front
        draw_body(pen, [(0.0, eaves), (1.0, eaves), top], depth, wall)
        draw_pane_across(pen, right, top, (0.0, depth), roof)
        draw_pane_across(pen, top, left, (0.0, depth), roof)
        pen.line([left, top, right], 0.06, roof)
    else:  # the roof slopes towards the front
        pen.area([left, right, (0.92, ridge), (0.08, ridge)], roof)
        for row in range(1, 5):
            y = eaves + (ridge - eaves) * row / 5
            pen.line([(0.03 * row, y), (1 - 0.03 * row, y)], 0.008, shaded(roof, 0.75))


def _draw_door_and_windows(pen: Pen, rng: random.Random, eaves: float, columns: int) -> None:
    frame = grey(rng, 200, 250) if rng.random() < 0.7 else any_color(rng)
    glass = hsv(rng.uniform(0.5, 0.65), rng.uniform(0.05, 0.4), rng.uniform(0.1, 0.5))
    storeys = max(1, round(eaves / rng.uniform(0.26, 0.36)))
    high, half = eaves / storeys, 0.25 / columns
    door = rng.randrange(columns)
    for storey in range(storeys):
        for column in range(columns):
            x, low = (column + 0.5) / columns, (storey + 0.3) * high
            if storey == 0 and column == door:
                pen.area(_box(x, half, 0.0, 0.75 * high), any_color(rng))
                continue
            top, middle = low + 0.5 * high, low + 0.25 * high
            pen.area(_box(x, half + 0.018, low - 0.018, top + 0.018), frame)
            pen.area(_box(x, half, low, top), glass)
            pen.line([(x, low), (x, top)], 0.014, frame)
            pen.line([(x - half, middle), (x + half, middle)], 0.014, frame)


def _box(x: float, half_width: float, low: float, high: float) -> list[Point]:
    return [(x - half_width, low), (x + half_width, low), (x + half_width, high), (x - half_width, high)]


def _draw_bushes(rng: random.Random, scene: Image.Image, ground: float) -> None:
    draw, side = ImageDraw.Draw(scene), scene.width
    green = hsv(rng.uniform(0.22, 0.38), rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.6))
    for _ in range(rng.randint(2, 9)):
        x, radius = rng.uniform(0, side), rng.uniform(0.02, 0.07) * side
        for _ in range(6):
            center = (x + rng.gauss(0, radius), ground + rng.gauss(0, radius / 2))
            draw.circle(center, radius, shaded(green, rng.uniform(0.6, 1.2)))
