"""Pictures of text: a page, a sign, a label, handwriting on a board."""

import random

from PIL import Image, ImageDraw, ImageFont

from training.sources.drawing.camera import take_picture
from training.sources.drawing.pen import Color, any_color, grey, shaded

WORDS = [
    "the",
    "order",
    "of",
    "two",
    "scones",
    "with",
    "jam",
    "cream",
    "due",
    "noon",
    "please",
    "pay",
    "open",
    "closed",
    "sale",
    "invoice",
    "total",
    "street",
    "exit",
    "no",
    "parking",
    "tea",
    "sugar",
    "milk",
    "200",
    "minutes",
    "to",
    "let",
    "push",
    "pull",
    "stop",
    "thank",
    "you",
    "24",
    "7",
    "99",
    "1.50",
    "2026",
]


def draw_text(rng: random.Random, size: int) -> Image.Image:
    """Return a photo of words, RGB, `size` pixels square."""
    side = max(128, 4 * size if size <= 64 else 2 * size)
    paper = grey(rng, 210, 255) if rng.random() < 0.5 else any_color(rng)
    ink = _ink(rng, paper)
    # Drawn larger and cut, so that a turned page has no corners.
    wide = round(side * 1.5)
    scene = Image.new("RGB", (wide, wide), paper)
    draw = ImageDraw.Draw(scene)
    # From a sign of one word to a page of small print.
    lines = rng.choice([1, 2, 3, 4, 6, 9])
    font = ImageFont.load_default(side / lines * rng.uniform(0.5, 0.75))
    y = wide / 2 - side / 2 + side / lines * rng.uniform(0, 0.3)
    if rng.random() < 0.3:  # a frame, as signs have it
        edge = wide / 2 - side * 0.45
        draw.rectangle((edge, edge, wide - edge, wide - edge), outline=ink, width=side // 30)
    for _ in range(lines):
        words = " ".join(rng.choice(WORDS) for _ in range(2 + lines))
        text = words.upper() if rng.random() < 0.4 else words.capitalize()
        draw.text((wide / 2 - side * rng.uniform(0.4, 0.5), y), text, ink, font)
        y += side / lines
    turned = scene.rotate(rng.gauss(0, 6), Image.Resampling.BILINEAR)
    edge = (wide - side) // 2
    return take_picture(rng, turned.crop((edge, edge, edge + side, edge + side)), (size, size))


def _ink(rng: random.Random, paper: Color) -> Color:
    """A colour that can be read on the paper."""
    for _ in range(10):
        ink = any_color(rng)
        if abs(sum(ink) - sum(paper)) > 250:
            return ink
    return shaded(paper, 0.2) if sum(paper) > 380 else (240, 240, 240)
