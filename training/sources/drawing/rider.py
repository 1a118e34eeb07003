"""Draw a person on the saddle."""

import random

from training.sources.drawing.pen import Pen, Point, any_color, between, hsv


def draw_rider(pen: Pen, rng: random.Random, hip: Point, hand: Point, foot: Point, *, helmet: bool) -> None:
    """Draw a rider between the points where the body touches the vehicle."""
    shirt, trousers = any_color(rng), any_color(rng)
    skin = hsv(0.07, rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.95))
    thick = rng.uniform(0.09, 0.12)
    shoulder = (between(hip, hand, 0.5)[0] + rng.uniform(-0.05, 0.03), hip[1] + 0.42)
    knee = (between(hip, foot, 0.4)[0] + 0.16, between(hip, foot, 0.4)[1] + 0.02)
    elbow = (between(shoulder, hand, 0.5)[0], between(shoulder, hand, 0.5)[1] - 0.05)
    pen.line([hip, knee, foot], thick * 0.9, trousers)
    pen.line([foot, (foot[0] + 0.09, foot[1])], 0.06, any_color(rng))
    pen.line([hip, shoulder], thick * 1.7, shirt)
    pen.line([shoulder, elbow, hand], thick * 0.65, shirt if rng.random() < 0.6 else skin)
    head = (shoulder[0] + 0.07, shoulder[1] + 0.16)
    pen.disc(head, 0.085, skin)
    if helmet:
        cover = any_color(rng)
        pen.disc((head[0] - 0.005, head[1] + 0.02), 0.1, cover)
        if rng.random() < 0.5:
            pen.disc((head[0] + 0.05, head[1]), 0.045, hsv(0.6, 0.2, 0.2))
    else:
        pen.arc(head, 0.075, (20, 200), 0.05, hsv(0.08, rng.random(), rng.uniform(0.05, 0.6)))
