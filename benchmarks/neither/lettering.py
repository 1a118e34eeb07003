"""Draw text: a page, a sign, a label, handwriting on a board."""

import random

from PIL import Image, ImageDraw, ImageFont

from training.sources.drawing.pen import Color, any_color, grey, shaded

TEXT = (
    "the order of two scones with jam cream due noon please pay open closed sale invoice total street exit no parking "
    "tea sugar milk 200 minutes to let push pull stop thank you 24 7 99 1.50 2026"
)


def draw_text(rng: random.Random, side: int) -> Image.Image:
    """Return a page of text, RGB, `side` pixels square."""
    paper = grey(rng, 210, 255) if rng.random() < 0.5 else any_color(rng)
    ink = _ink(rng, paper)
    # Drawn larger and cropped, so that a rotated page has no corners.
    canvas = round(side * 1.5)
    scene = Image.new("RGB", (canvas, canvas), paper)
    draw = ImageDraw.Draw(scene)
    # From a sign of one line to a page of small print.
    lines = rng.choice([1, 2, 3, 4, 6, 9])
    font = ImageFont.load_default(side / lines * rng.uniform(0.5, 0.75))
    y = canvas / 2 - side / 2 + side / lines * rng.uniform(0, 0.3)
    if rng.random() < 0.3:  # the frame of a sign
        edge = canvas / 2 - side * 0.45
        draw.rectangle((edge, edge, canvas - edge, canvas - edge), outline=ink, width=side // 30)
    words = TEXT.split()
    for _ in range(lines):
        text = " ".join(rng.choice(words) for _ in range(2 + lines))
        text = text.upper() if rng.random() < 0.4 else text.capitalize()
        draw.text((canvas / 2 - side * rng.uniform(0.4, 0.5), y), text, ink, font)
        y += side / lines
    rotated = scene.rotate(rng.gauss(0, 6), Image.Resampling.BILINEAR)
    edge = (canvas - side) // 2
    return rotated.crop((edge, edge, edge + side, edge + side))


def _ink(rng: random.Random, paper: Color) -> Color:
    """Return a colour that is legible on the paper."""
    for _ in range(10):
        ink = any_color(rng)
        if abs(sum(ink) - sum(paper)) > 250:
            return ink
    return shaded(paper, 0.2) if sum(paper) > 380 else (240, 240, 240)
