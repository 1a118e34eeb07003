"""Draw a motorcycle from the side: a standard, cruiser, sport or off-road one, or a scooter."""

import random

from training.sources.drawing.pen import FRONT, REAR, Color, Pen, Point, any_color, between, grey, shaded
from training.sources.drawing.rider import draw_rider

RIDER_SHARE = 0.2


def draw_motorcycle(pen: Pen, rng: random.Random) -> float:
    """Draw a motorcycle and return its rear wheel's outer radius, in wheelbases."""
    draw = rng.choice([_draw_standard, _draw_cruiser, _draw_sport, _draw_off_road, _draw_scooter])
    return draw(pen, rng, any_color(rng), grey(rng, 5, 60))


def _draw_standard(pen: Pen, rng: random.Random, paint: Color, dark: Color) -> float:
    wheel = rng.uniform(0.21, 0.25)
    _draw_wheels(pen, rng, wheel, wheel, tyre=rng.uniform(0.05, 0.075), dark=dark)
    head: Point = (rng.uniform(0.72, 0.78), rng.uniform(0.42, 0.5))
    pen.line([REAR, (0.4, 0.02)], 0.045, dark)  # swing arm
    pen.line([(0.06, 0.08), (0.17, 0.34)], 0.03, grey(rng, 80, 220))  # shock absorber
    _draw_engine(pen, rng, (0.47, 0.06), rng.uniform(0.9, 1.15))
    pen.line([(0.3, 0.28), head, (0.6, -0.06)], 0.03, shaded(paint, 0.6))
    _draw_exhaust(pen, rng, [(0.58, 0.1), (0.56, -0.12), (0.3, -0.12), (-0.1, -0.02)])
    _draw_fork(pen, rng, head, 0.04)
    seat_y = rng.uniform(0.31, 0.37)
    _draw_seat(pen, dark, (-0.12, seat_y + 0.05), (0.42, seat_y), 0.07)
    pen.blob([(0.36, seat_y), (0.42, seat_y + 0.15), (0.66, seat_y + 0.17), (0.75, 0.4), (0.6, 0.28)], paint)  # tank
    pen.blob([(0.1, seat_y - 0.02), (0.4, seat_y), (0.38, 0.16), (0.22, 0.17)], shaded(paint, 0.8))
    pen.arc(REAR, wheel + 0.035, (55, 150), 0.035, paint)
    pen.arc(FRONT, wheel + 0.03, (40, 150), 0.035, paint)
    _draw_lamp(pen, rng, (head[0] + 0.09, head[1] + 0.01))
    hand = _draw_bars(pen, rng, head, (-0.1, 0.16))
    _maybe_rider(pen, rng, (0.24, seat_y + 0.09), hand, (0.4, -0.08))
    return wheel


def _draw_cruiser(pen: Pen, rng: random.Random, paint: Color, dark: Color) -> float:
    wheel = rng.uniform(0.19, 0.225)
    _draw_wheels(pen, rng, wheel, wheel * rng.uniform(1, 1.15), tyre=rng.uniform(0.06, 0.085), dark=dark)
    head: Point = (rng.uniform(0.66, 0.72), rng.uniform(0.38, 0.44))
    chrome = grey(rng, 140, 240)
    _draw_engine(pen, rng, (0.42, 0.04), rng.uniform(0.95, 1.2))
    pen.line([(0.1, 0.16), (0.25, 0.22), head, (0.58, -0.1), (0.2, -0.1)], 0.03, dark)
    _draw_exhaust(pen, rng, [(0.5, 0.1), (0.5, -0.1), (0.3, -0.12), (-0.2, -0.1)])
    if rng.random() < 0.6:
        _draw_exhaust(pen, rng, [(0.4, 0.1), (0.38, -0.04), (0.2, -0.05), (-0.18, -0.04)])
    _draw_fork(pen, rng, head, 0.04)
    pen.blob([(0.34, 0.26), (0.42, 0.4), (0.6, 0.42), (0.7, 0.36), (0.6, 0.27)], paint)  # tank
    _draw_seat(pen, dark, (-0.02, 0.27), (0.38, 0.24), 0.075)
    if rng.random() < 0.5:
        pen.line([(-0.02, 0.26), (-0.12, 0.5)], 0.02, chrome)  # sissy bar
    pen.arc(REAR, wheel + 0.04, (35, 190), 0.055, paint)
    pen.arc(FRONT, wheel * 1.1 + 0.045, (35, 165), 0.045, paint)
    if rng.random() < 0.35:  # saddlebag
        pen.blob([(-0.17, 0.16), (0.12, 0.18), (0.13, -0.04), (-0.15, -0.04)], any_color(rng))
    if rng.random() < 0.3:  # windscreen
        pen.area([head, (head[0] + 0.1, head[1]), (head[0] - 0.02, head[1] + 0.32)], grey(rng, 150, 220))
    _draw_lamp(pen, rng, (head[0] + 0.1, head[1] + 0.0))
    hand = _draw_bars(pen, rng, head, (-0.16, rng.uniform(0.16, 0.3)))
    _maybe_rider(pen, rng, (0.2, 0.31), hand, (0.62, -0.1))
    return wheel


def _draw_sport(pen: Pen, rng: random.Random, paint: Color, dark: Color) -> float:
    wheel = rng.uniform(0.21, 0.24)
    accent = any_color(rng)
    _draw_wheels(pen, rng, wheel, wheel, tyre=rng.uniform(0.06, 0.08), dark=dark)
    head: Point = (0.78, rng.uniform(0.38, 0.44))
    pen.line([REAR, (0.4, 0.04)], 0.05, grey(rng, 40, 200))
    _draw_engine(pen, rng, (0.5, 0.04), 1.0)
    _draw_fork(pen, rng, head, 0.045)
    pen.blob(
        [(0.42, -0.1), (0.4, 0.14), (0.6, 0.34), (0.86, 0.42), (0.94, 0.3), (0.74, 0.06), (0.66, -0.12)], paint
    )  # fairing
    pen.area([(0.46, 0.02), (0.78, 0.22), (0.72, 0.1), (0.5, -0.06)], accent)
    pen.area([(0.72, 0.42), (0.9, 0.38), (0.7, 0.57 + rng.uniform(-0.05, 0.03))], grey(rng, 60, 200))  # screen
    pen.blob([(0.3, 0.3), (0.4, 0.47), (0.6, 0.47), (0.7, 0.4), (0.54, 0.26)], paint)  # tank
    tail = (rng.uniform(-0.22, -0.1), rng.uniform(0.46, 0.56))
    pen.blob([tail, (0.0, 0.47), (0.36, 0.36), (0.34, 0.24), (0.12, 0.3)], paint)
    _draw_seat(pen, dark, (0.04, 0.44), (0.34, 0.37), 0.045)
    _draw_exhaust(pen, rng, [(0.5, -0.1), (0.34, -0.12), (0.2, -0.02), (-0.06, 0.12)])
    pen.arc(FRONT, wheel + 0.03, (60, 150), 0.035, accent)
    pen.disc((0.89, 0.36), 0.04, grey(rng, 200, 255))
    hand = (head[0] - 0.06, head[1] + 0.05)
    pen.line([head, hand], 0.03, dark)
    _maybe_rider(pen, rng, (0.22, 0.46), hand, (0.3, 0.02))
    return wheel


def _draw_off_road(pen: Pen, rng: random.Random, paint: Color, dark: Color) -> float:
    wheel = rng.uniform(0.21, 0.24)
    _draw_wheels(pen, rng, wheel, wheel * rng.uniform(1.05, 1.15), tyre=rng.uniform(0.05, 0.07), dark=dark)
    head: Point = (rng.uniform(0.72, 0.77), rng.uniform(0.5, 0.56))
    frame = any_color(rng)
    pen.line([REAR, (0.4, 0.06)], 0.04, grey(rng, 80, 210))
    _draw_engine(pen, rng, (0.46, 0.08), rng.uniform(0.8, 1.0))
    pen.line([(0.12, 0.38), (0.4, 0.1), (0.58, 0.02), head, (0.3, 0.36)], 0.028, frame)
    _draw_fork(pen, rng, head, 0.045)
    _draw_exhaust(pen, rng, [(0.58, 0.14), (0.6, 0.26), (0.3, 0.24), (-0.06, 0.34)])
    pen.blob([(0.4, 0.36), (0.52, 0.52), (0.72, 0.5), (0.68, 0.26), (0.56, 0.22)], paint)
    _draw_seat(pen, dark, (-0.08, 0.5), (0.52, 0.44), 0.05)
    pen.line([(0.06, 0.46), (-0.28, 0.56)], 0.035, paint)  # rear fender
    pen.line([(head[0] + 0.06, 0.38), (1.18, 0.4)], 0.035, paint)  # high front fender
    pen.area(
        [(head[0] + 0.05, head[1] + 0.08), (head[0] + 0.14, head[1] - 0.04), (head[0] + 0.05, head[1] - 0.1)],
        grey(rng, 150, 255) if rng.random() < 0.5 else paint,
    )  # number plate
    hand = _draw_bars(pen, rng, head, (-0.07, 0.14))
    _maybe_rider(pen, rng, (0.26, 0.53), hand, (0.4, 0.02))
    return wheel


def _draw_scooter(pen: Pen, rng: random.Random, paint: Color, dark: Color) -> float:
    wheel = rng.uniform(0.15, 0.2)
    _draw_wheels(pen, rng, wheel, wheel, tyre=rng.uniform(0.05, 0.07), dark=dark)
    head: Point = (rng.uniform(0.82, 0.88), rng.uniform(0.5, 0.6))
    _draw_fork(pen, rng, head, 0.04)
    pen.blob([(-0.2, 0.34), (-0.16, 0.06), (0.1, 0.0), (0.36, -0.06), (0.42, 0.26), (0.3, 0.38)], paint)  # body
    pen.blob([(0.3, -0.05), (0.34, -0.12), (0.7, -0.12), (0.78, 0.0), (0.7, 0.0)], shaded(paint, 0.85))  # floor
    pen.blob(
        [(0.66, -0.08), (0.76, 0.3), (head[0] - 0.04, head[1]), (head[0] + 0.06, head[1]), (0.93, 0.2), (0.8, -0.02)],
        paint,
    )  # leg shield
    _draw_seat(pen, any_color(rng) if rng.random() < 0.4 else dark, (-0.16, 0.4), (0.36, 0.38), 0.07)
    pen.arc(FRONT, wheel + 0.03, (20, 160), 0.06, paint)
    _draw_exhaust(pen, rng, [(0.2, -0.06), (0.1, -0.08), (0.0, -0.06), (-0.16, -0.04)])
    _draw_lamp(pen, rng, (head[0] + 0.05, head[1] + 0.03))
    if rng.random() < 0.3:  # top case
        pen.blob([(-0.36, 0.62), (-0.34, 0.42), (-0.1, 0.42), (-0.12, 0.64)], any_color(rng))
    hand = _draw_bars(pen, rng, head, (-0.1, 0.1))
    _maybe_rider(pen, rng, (0.16, 0.43), hand, (0.56, -0.08))
    return wheel


def _draw_wheels(pen: Pen, rng: random.Random, rear: float, front: float, *, tyre: float, dark: Color) -> None:
    metal = grey(rng, 60, 230)
    wire = rng.random() < 0.35
    cast = rng.choice([3, 5, 6, 10])
    for hub, radius in ((REAR, rear), (FRONT, front)):
        middle = radius - tyre / 2
        pen.ring(hub, middle, tyre, shaded(dark, 0.7), depth=tyre)  # the tyre's far side
        if wire:
            pen.spokes(hub, middle, 20, width=0.007, color=metal, start=rng.random())
        else:
            pen.spokes(hub, middle, cast, width=rng.uniform(0.02, 0.04), color=metal, start=rng.random())
        pen.ring(hub, middle - tyre * 0.6, 0.022, metal)
        pen.ring(hub, middle, tyre, dark)
        pen.ring(hub, radius * 0.42, 0.02, grey(rng, 90, 220))  # brake disc
        pen.disc(hub, rng.uniform(0.03, 0.05), grey(rng, 30, 160))


def _draw_engine(pen: Pen, rng: random.Random, center: Point, size: float) -> None:
    x, y = center
    block, fins = grey(rng, 30, 150), grey(rng, 60, 220)
    pen.blob(
        [
            (x - 0.17 * size, y + 0.06),
            (x - 0.15 * size, y - 0.14),
            (x + 0.15 * size, y - 0.15),
            (x + 0.2 * size, y),
            (x + 0.08 * size, y + 0.1),
        ],
        block,
    )
    tilt = rng.uniform(-0.03, 0.06)
    for lean in [tilt] if rng.random() < 0.6 else [tilt, -tilt - 0.08]:  # one cylinder, or a V
        for step in range(5):
            height = y + 0.06 + 0.03 * step
            middle = x + lean * (step + 1) / 2
            pen.line([(middle - 0.07 * size, height), (middle + 0.07 * size, height)], 0.018, fins)
    pen.disc((x - 0.04, y - 0.05), 0.06 * size, shaded(fins, rng.uniform(0.7, 1.1)))


def _draw_exhaust(pen: Pen, rng: random.Random, path: list[Point]) -> None:
    metal = grey(rng, 90, 240)
    pen.line(path, 0.026, metal)
    pen.line([between(path[-2], path[-1], 0.15), path[-1]], rng.uniform(0.045, 0.07), metal)


def _draw_fork(pen: Pen, rng: random.Random, head: Point, width: float) -> None:
    pen.line([head, FRONT], width * 0.8, grey(rng, 120, 240))
    pen.line([between(head, FRONT, 0.5), FRONT], width * 1.2, grey(rng, 30, 160))


def _draw_seat(pen: Pen, color: Color, back: Point, front: Point, thick: float) -> None:
    dip = (between(back, front, 0.6)[0], min(back[1], front[1]) + thick * 0.1)
    pen.curve([back, dip, front], thick, color)


def _draw_lamp(pen: Pen, rng: random.Random, center: Point) -> None:
    pen.disc(center, rng.uniform(0.05, 0.065), grey(rng, 20, 200))
    pen.disc((center[0] + 0.02, center[1]), 0.04, grey(rng, 190, 255))


def _draw_bars(pen: Pen, rng: random.Random, head: Point, reach: Point) -> Point:
    hand = (head[0] + reach[0], head[1] + reach[1])
    top = (head[0] - 0.01, head[1] + reach[1] * 0.8)
    pen.line([head, top, hand], 0.024, grey(rng, 40, 220))
    pen.line([hand, (hand[0] - 0.07, hand[1] - 0.01)], 0.036, grey(rng, 5, 60))
    if rng.random() < 0.5:  # mirror
        mirror = (top[0] + 0.02, top[1] + 0.12)
        pen.line([top, mirror], 0.012, grey(rng, 20, 120))
        pen.disc(mirror, 0.032, grey(rng, 40, 220))
    return hand


def _maybe_rider(pen: Pen, rng: random.Random, hip: Point, hand: Point, foot: Point) -> None:
    if rng.random() < RIDER_SHARE:
        draw_rider(pen, rng, hip, hand, foot, helmet=rng.random() < 0.85)
