"""Draw a bicycle from the side: a road, city, mountain, step-through or small-wheeled one."""

import math
import random
from dataclasses import dataclass

from training.sources.drawing.pen import FRONT, REAR, Color, Pen, Point, any_color, between, grey, shaded
from training.sources.drawing.rider import draw_rider

RIDER_SHARE = 0.2


@dataclass(frozen=True)
class _Frame:
    """The points that a bicycle's parts are attached to, in wheelbases."""

    crank: Point
    seat: Point
    head_top: Point
    head_low: Point
    wheel: float  # outer radius
    tyre: float  # thickness
    tube: float  # thickness
    kind: str


def draw_bicycle(pen: Pen, rng: random.Random) -> float:
    """Draw a bicycle and return its wheels' outer radius, in wheelbases."""
    frame = _frame(rng)
    paint = any_color(rng)
    dark = grey(rng, 5, 70)
    tyre_color = dark if rng.random() < 0.8 else any_color(rng)
    for hub in (REAR, FRONT):
        _draw_wheel(pen, rng, frame, hub, tyre_color)
    _draw_tubes(pen, rng, frame, paint)
    _draw_drive(pen, rng, frame, dark)
    _draw_saddle(pen, rng, frame, dark)
    hand = _draw_handlebar(pen, rng, frame, dark)
    _draw_extras(pen, rng, frame, paint, dark)
    if rng.random() < RIDER_SHARE:
        foot = (frame.crank[0] + rng.uniform(-0.1, 0.12), frame.crank[1] - rng.uniform(0.02, 0.17))
        hip = (frame.seat[0], frame.seat[1] + 0.03)
        draw_rider(pen, rng, hip, hand, foot, helmet=rng.random() < 0.6)
    return frame.wheel


def _frame(rng: random.Random) -> _Frame:
    kind = rng.choice(["road", "city", "mountain", "step-through", "small", "road", "city"])
    wheel = rng.uniform(0.23, 0.28) if kind == "small" else rng.uniform(0.31, 0.37)
    tyre = rng.uniform(0.014, 0.028)
    if kind in ("mountain", "small"):
        tyre = rng.uniform(0.03, 0.06)
    crank = (rng.uniform(0.38, 0.45), rng.uniform(-0.1, -0.02))
    height = rng.uniform(0.5, 0.66)
    seat = (crank[0] - height * rng.uniform(0.24, 0.36), crank[1] + height)
    head_top = (rng.uniform(0.76, 0.86), rng.uniform(0.47, 0.6))
    head_low = (head_top[0] + rng.uniform(0.02, 0.05), head_top[1] - rng.uniform(0.09, 0.17))
    tube = rng.uniform(0.022, 0.05) * (1.3 if kind == "mountain" else 1)
    return _Frame(crank, seat, head_top, head_low, wheel, tyre, tube, kind)


def _draw_wheel(pen: Pen, rng: random.Random, frame: _Frame, hub: Point, tyre_color: Color) -> None:
    metal = grey(rng, 90, 240)
    middle = frame.wheel - frame.tyre / 2
    spokes = rng.choice([12, 16, 20, 28])
    pen.spokes(hub, middle, spokes, width=rng.uniform(0.003, 0.007), color=metal, start=rng.random())
    pen.ring(hub, middle - frame.tyre * 0.8, max(0.008, frame.tyre * 0.5), metal)
    pen.ring(hub, middle, frame.tyre, tyre_color)
    pen.disc(hub, rng.uniform(0.02, 0.035), metal)


def _draw_tubes(pen: Pen, rng: random.Random, frame: _Frame, paint: Color) -> None:
    kind, tube = frame.kind, frame.tube
    cluster = between(frame.crank, frame.seat, rng.uniform(0.72, 0.9))
    top_end = between(frame.head_top, frame.head_low, 0.2)
    low_end = between(frame.head_top, frame.head_low, 0.85)
    if kind == "step-through":
        top_end, top_start = low_end, between(frame.crank, frame.seat, rng.uniform(0.25, 0.5))
    elif kind == "mountain":
        top_start = between(frame.crank, frame.seat, rng.uniform(0.55, 0.75))
    else:
        top_start = cluster
    thin = tube * 0.65
    pen.line([REAR, cluster], thin, paint)  # seat stay
    pen.line([REAR, frame.crank], thin, paint)  # chain stay
    pen.line([frame.crank, frame.seat], tube * 0.9, paint)  # seat tube
    if kind == "step-through" and rng.random() < 0.6:
        bow = (between(top_start, top_end, 0.5)[0], top_start[1] - 0.12)
        pen.curve([top_start, bow, top_end], tube, paint)
    else:
        pen.line([top_start, top_end], tube, paint)
    pen.line([frame.crank, low_end], tube * 1.1, paint)  # down tube
    pen.line([frame.head_top, frame.head_low], tube * 1.25, shaded(paint, 0.9))
    fork = paint if rng.random() < 0.6 else grey(rng, 20, 220)
    if kind == "mountain" and rng.random() < 0.7:
        pen.line([frame.head_low, FRONT], tube * 1.3, fork)
        pen.line([between(frame.head_low, FRONT, 0.4), FRONT], tube * 1.7, fork)
    else:
        bend = between(frame.head_low, FRONT, 0.75)
        pen.curve([frame.head_low, (bend[0] - 0.02, bend[1]), FRONT], tube * 0.8, fork)


def _draw_drive(pen: Pen, rng: random.Random, frame: _Frame, dark: Color) -> None:
    ring = rng.uniform(0.05, 0.085)
    metal = grey(rng, 40, 230)
    for side in (1, -1):
        pen.line([(frame.crank[0], frame.crank[1] + side * ring), (0, side * 0.03)], 0.008, dark)
    pen.ring(frame.crank, ring * 0.85, ring * 0.35, metal)
    angle = rng.uniform(0, math.pi)
    for turn in (0, math.pi):
        pedal = (frame.crank[0] + 0.16 * math.cos(angle + turn), frame.crank[1] + 0.16 * math.sin(angle + turn))
        pen.line([frame.crank, pedal], 0.018, metal)
        pen.line([(pedal[0] - 0.035, pedal[1]), (pedal[0] + 0.035, pedal[1])], 0.024, dark)


def _draw_saddle(pen: Pen, rng: random.Random, frame: _Frame, dark: Color) -> None:
    x, y = frame.seat
    up = rng.uniform(0.02, 0.12)
    pen.line([frame.seat, (x - up * 0.3, y + up)], frame.tube * 0.6, grey(rng, 60, 220))
    x, y = x - up * 0.3, y + up
    color = dark if rng.random() < 0.75 else any_color(rng)
    thick = rng.uniform(0.035, 0.06)
    pen.blob([(x - 0.13, y + thick), (x - 0.12, y - 0.01), (x + 0.14, y + 0.005), (x + 0.14, y + thick)], color)


def _draw_handlebar(pen: Pen, rng: random.Random, frame: _Frame, dark: Color) -> Point:
    kind = frame.kind
    x, y = frame.head_top
    stem = (x + rng.uniform(-0.02, 0.05), y + rng.uniform(0.03, 0.12))
    metal = grey(rng, 30, 230)
    width = max(0.02, frame.tube * 0.75)
    pen.line([frame.head_top, stem], width, metal)
    if kind == "road" and rng.random() < 0.8:  # dropped bars
        front = (stem[0] + 0.12, stem[1])
        hook = (front[0] + 0.05, front[1] - 0.09)
        pen.line([stem, front], width, dark)
        pen.curve([front, (front[0] + 0.09, front[1]), hook, (front[0] - 0.03, y - 0.08)], 0.026, dark)
        return front
    if kind == "small" or rng.random() < 0.2:  # high bars
        grip = (stem[0] - rng.uniform(0.02, 0.1), stem[1] + rng.uniform(0.12, 0.2))
        pen.line([stem, (stem[0] + 0.05, stem[1] + 0.1), grip], width, metal)
    elif kind in ("city", "step-through"):  # swept back
        grip = (stem[0] - rng.uniform(0.12, 0.2), stem[1] + rng.uniform(-0.02, 0.06))
        pen.curve([stem, (stem[0] + 0.1, stem[1] + 0.06), grip], width, metal)
    else:  # straight, so it points at the camera
        grip = (stem[0] + rng.uniform(-0.03, 0.05), stem[1] + 0.01)
    pen.line([grip, (grip[0] - 0.08, grip[1] - 0.01)], 0.034, dark)
    return grip


def _draw_extras(pen: Pen, rng: random.Random, frame: _Frame, paint: Color, dark: Color) -> None:
    color = paint if rng.random() < 0.5 else grey(rng, 20, 230)
    outside = frame.wheel + 0.025
    if rng.random() < 0.35:  # mudguards
        pen.arc(REAR, outside, (40, 190), 0.022, color)
        pen.arc(FRONT, outside, (30, 160), 0.022, color)
    if rng.random() < 0.25:  # rack, with or without a bag
        end = (-0.2, frame.wheel + 0.08)
        pen.line([(frame.seat[0] + 0.02, end[1]), end], 0.016, dark)
        pen.line([REAR, (-0.1, end[1])], 0.012, dark)
        if rng.random() < 0.5:
            low = rng.uniform(0.0, 0.15)
            pen.blob([(end[0], end[1]), (end[0], low), (end[0] + 0.26, low), (end[0] + 0.26, end[1])], any_color(rng))
    if rng.random() < 0.15:  # basket
        x, y = frame.head_top[0] + 0.06, frame.head_top[1] - 0.02
        pen.area(
            [(x, y + 0.14), (x + 0.03, y - 0.06), (x + 0.2, y - 0.06), (x + 0.25, y + 0.14)],
            grey(rng, 60, 200) if rng.random() < 0.5 else (150, 110, 60),
        )
    if rng.random() < 0.2:  # bottle
        start = between(frame.crank, frame.head_low, 0.35)
        end = between(frame.crank, frame.head_low, 0.6)
        pen.line([(start[0], start[1] + 0.04), (end[0], end[1] + 0.04)], 0.05, any_color(rng))
    if rng.random() < 0.15:  # an electric bicycle's battery
        pen.line(
            [between(frame.crank, frame.head_low, 0.25), between(frame.crank, frame.head_low, 0.75)],
            rng.uniform(0.07, 0.1),
            dark,
        )
