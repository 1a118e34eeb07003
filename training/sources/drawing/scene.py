"""Draw the background, the shadow and the foreground of a vehicle."""

import random

from PIL import Image, ImageDraw, ImageFilter

from training.sources.drawing.pen import Color, any_color, grey, hsv, shaded


def draw_background(rng: random.Random, size: tuple[int, int], ground: float) -> Image.Image:
    """Return an RGB picture, `size` its width and height, whose ground begins above row `ground`.

    Half of them are blurred, as far away things are in a photo.
    """
    # Drawn as a square, of which a picture that is not square shows a part.
    width, height = size
    side = max(size)
    left, top = (side - width) // 2, round(min(side - height, ground * (side / height) - ground))
    scene = _draw_square(rng, side, ground + top)
    return scene if scene.size == size else scene.crop((left, top, left + width, top + height))


def _draw_square(rng: random.Random, side: int, ground: float) -> Image.Image:
    scene = Image.new("RGB", (side, side))
    kinds = [_studio, _studio, _street, _street, _park, _park, _wall, _wall, _clutter]
    rng.choice(kinds)(rng, scene, ground)
    if rng.random() < 0.5:
        return scene.filter(ImageFilter.GaussianBlur(side * rng.uniform(0.003, 0.02)))
    return scene


def draw_shadow(rng: random.Random, scene: Image.Image, x: float, ground: float, width: float) -> None:
    """Darken the ground beneath a vehicle; all in pixels."""
    mask = Image.new("L", scene.size)
    half, high = width / 2, width * rng.uniform(0.02, 0.07)
    x += width * rng.uniform(-0.12, 0.12)
    box = (x - half, ground - high, x + half, ground + high)
    ImageDraw.Draw(mask).ellipse(box, fill=round(rng.uniform(30, 190)))
    mask = mask.filter(ImageFilter.GaussianBlur(width * 0.025))
    scene.paste((10, 10, 15), (0, 0), mask)


def draw_foreground(rng: random.Random, scene: Image.Image, ground: float) -> None:
    """Hide a part of the vehicle behind an object, in about a third of the pictures."""
    draw, side, low = ImageDraw.Draw(scene), scene.width, scene.height
    choice = rng.random()
    if choice < 0.12:  # a pole
        x, width = rng.uniform(0.05, 0.95) * side, rng.uniform(0.015, 0.06) * side
        draw.rectangle((x - width / 2, 0, x + width / 2, low), fill=any_color(rng))
    elif choice < 0.22:  # grass
        green = hsv(rng.uniform(0.2, 0.38), rng.uniform(0.3, 0.8), rng.uniform(0.2, 0.7))
        for _ in range(50):
            x, top = rng.uniform(0, side), ground - rng.uniform(0.0, 0.14) * side
            tip = x + rng.uniform(-0.04, 0.04) * side
            color = shaded(green, rng.uniform(0.6, 1.4))
            draw.line((x, low, tip, top), fill=color, width=max(1, side // 90))
    elif choice < 0.3:  # a box, a bag, a stone
        x, width = rng.uniform(0.0, 1.0) * side, rng.uniform(0.06, 0.16) * side
        top = ground - rng.uniform(0.04, 0.16) * side
        draw.rounded_rectangle((x, top, x + width, ground + 0.04 * side), width * rng.uniform(0, 0.4), any_color(rng))


def _studio(rng: random.Random, scene: Image.Image, ground: float) -> None:
    """Draw the background of a product picture: plain, a gradient, or a floor that meets a wall."""
    top = grey(rng, 225, 255) if rng.random() < 0.5 else any_color(rng)
    _gradient(scene, 0, scene.height, top, shaded(top, rng.uniform(0.65, 1.2)))
    if rng.random() < 0.4:
        floor = round(ground - rng.uniform(0.02, 0.25) * scene.height)
        low = shaded(top, rng.uniform(0.6, 1.1))
        _gradient(scene, floor, scene.height, low, shaded(low, rng.uniform(0.7, 1.2)))


def _street(rng: random.Random, scene: Image.Image, ground: float) -> None:
    side = scene.width
    horizon = round(ground - rng.uniform(0.03, 0.3) * side)
    _sky(rng, scene, horizon)
    draw = ImageDraw.Draw(scene)
    x = -rng.uniform(0, 0.2) * side
    while x < side:
        width, top = rng.uniform(0.12, 0.45) * side, horizon - rng.uniform(0.2, 0.9) * side
        color = any_color(rng)
        draw.rectangle((x, top, x + width, horizon), fill=color)
        _windows(rng, draw, (x, top, x + width, horizon), color)
        x += width
    road = grey(rng, 50, 180)
    _gradient(scene, horizon, scene.height, road, shaded(road, rng.uniform(0.7, 1.2)))
    if rng.random() < 0.6:  # kerb, or a line on the road
        y = rng.uniform(horizon, scene.height)
        draw.line((0, y, side, y + rng.uniform(-0.1, 0.1) * side), grey(rng, 150, 250), side // 50)
    if rng.random() < 0.4:
        _parked_car(rng, draw, side, horizon)


def _park(rng: random.Random, scene: Image.Image, ground: float) -> None:
    side = scene.width
    horizon = round(ground - rng.uniform(0.05, 0.35) * side)
    _sky(rng, scene, horizon)
    hue = rng.choice([rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.4), rng.uniform(0.06, 0.15)])
    grass = hsv(hue, rng.uniform(0.2, 0.7), rng.uniform(0.25, 0.8))
    _gradient(scene, horizon, scene.height, grass, shaded(grass, rng.uniform(0.6, 1.2)))
    draw = ImageDraw.Draw(scene)
    for _ in range(rng.randint(1, 9)):
        x, size = rng.uniform(0, side), rng.uniform(0.06, 0.3) * side
        foot = horizon + rng.uniform(-0.02, 0.06) * side
        trunk = hsv(0.08, rng.uniform(0.2, 0.6), rng.uniform(0.15, 0.5))
        draw.line((x, foot, x, foot - 2 * size), trunk, max(1, round(size * 0.15)))
        for _ in range(rng.randint(4, 10)):
            leaves = shaded(grass, rng.uniform(0.4, 1.1))
            cx, cy = x + rng.gauss(0, 0.4) * size, foot - 2 * size + rng.gauss(0, 0.4) * size
            half = size * rng.uniform(0.25, 0.6)
            draw.ellipse((cx - half, cy - half, cx + half, cy + half), leaves)
    for _ in range(rng.randint(0, 150)):  # blades, gravel
        x, y = rng.uniform(0, side), rng.uniform(horizon, scene.height)
        tip = (x + rng.uniform(-0.01, 0.01) * side, y - rng.uniform(0, 0.03) * side)
        draw.line((x, y, *tip), shaded(grass, rng.uniform(0.5, 1.6)), max(1, side // 130))


def _wall(rng: random.Random, scene: Image.Image, ground: float) -> None:
    """Draw a wall of bricks, boards or plaster, with the pavement before it."""
    side = scene.width
    foot = round(ground - rng.uniform(0.0, 0.15) * side)
    color = any_color(rng) if rng.random() < 0.5 else hsv(0.04, rng.uniform(0.2, 0.7), 0.55)
    _gradient(scene, 0, foot, color, shaded(color, rng.uniform(0.7, 1.2)))
    draw = ImageDraw.Draw(scene)
    kind, thin = rng.random(), max(1, side // 110)
    joint = shaded(color, rng.choice([0.6, 0.75, 1.3]))
    if kind < 0.4:
        high = rng.uniform(0.03, 0.08) * side
        for row in range(int(foot / high) + 1):
            y = foot - row * high
            draw.line((0, y, side, y), joint, thin)
            for column in range(int(side / (2 * high)) + 2):
                x = (column + row % 2 / 2) * 2 * high
                draw.line((x, y, x, y - high), joint, thin)
    elif kind < 0.65:
        board = rng.uniform(0.04, 0.15) * side
        for number in range(int(side / board) + 1):
            draw.line((number * board, 0, number * board, foot), joint, thin)
    for _ in range(rng.choice([0, 0, 1, 2])):  # doors, windows, posters
        x, y = rng.uniform(-0.1, 0.9) * side, rng.uniform(-0.1, 0.6) * foot
        box = (x, y, x + rng.uniform(0.1, 0.35) * side, min(foot, y + rng.uniform(0.2, 0.9) * side))
        draw.rectangle(box, any_color(rng), grey(rng, 20, 240), thin)
    floor = grey(rng, 60, 220) if rng.random() < 0.7 else any_color(rng)
    _gradient(scene, foot, scene.height, floor, shaded(floor, rng.uniform(0.7, 1.2)))


def _clutter(rng: random.Random, scene: Image.Image, ground: float) -> None:
    """Draw a garage or a shop: shapes of all kinds, and none of them a vehicle."""
    side = scene.width
    _gradient(scene, 0, side, any_color(rng), any_color(rng))
    draw = ImageDraw.Draw(scene)
    for _ in range(rng.randint(8, 40)):
        x, y = rng.uniform(-0.1, 1) * side, rng.uniform(-0.1, 1) * side
        width, high = (rng.uniform(0.03, 0.3) * side for _ in range(2))
        box = (x, y, x + width, y + high)
        kind, color = rng.random(), any_color(rng)
        if kind < 0.5:
            draw.rectangle(box, color)
        elif kind < 0.7:
            draw.ellipse(box, color)
        else:
            draw.line(box, color, max(1, round(side * rng.uniform(0.005, 0.03))))
    floor = any_color(rng)
    _gradient(scene, round(ground - rng.uniform(0, 0.1) * side), side, floor, shaded(floor, 0.8))


def _sky(rng: random.Random, scene: Image.Image, horizon: int) -> None:
    if rng.random() < 0.6:
        top = hsv(rng.uniform(0.52, 0.64), rng.uniform(0.05, 0.6), rng.uniform(0.6, 1))
    else:
        top = grey(rng, 120, 250)
    _gradient(scene, 0, horizon, top, shaded(top, rng.uniform(0.9, 1.4)))


def _windows(rng: random.Random, draw: ImageDraw.ImageDraw, box: tuple[float, ...], wall: Color) -> None:
    left, top, right, low = box
    glass = shaded(wall, rng.choice([0.4, 0.6, 1.4]))
    step = max(4.0, (right - left) / rng.randint(2, 6))
    y = top + step * 0.4
    while y < low - step:
        x = left + step * 0.3
        while x < right - step * 0.5:
            draw.rectangle((x, y, x + step * 0.4, y + step * 0.6), glass)
            x += step
        y += step * 1.2


def _parked_car(rng: random.Random, draw: ImageDraw.ImageDraw, side: int, horizon: float) -> None:
    x, long = rng.uniform(-0.2, 0.8) * side, rng.uniform(0.25, 0.5) * side
    y, paint = horizon + rng.uniform(0, 0.05) * side, any_color(rng)
    draw.rounded_rectangle((x, y - long * 0.25, x + long, y), long * 0.06, paint)
    draw.rounded_rectangle((x + long * 0.2, y - long * 0.4, x + long * 0.8, y - long * 0.2), long * 0.08, paint)
    for hub in (x + long * 0.2, x + long * 0.78):
        half = long * 0.085
        draw.ellipse((hub - half, y - half, hub + half, y + half), (25, 25, 28))


def _gradient(scene: Image.Image, top: int, low: int, start: Color, end: Color) -> None:
    """Fill the rows from `top` to before `low`, from one color to another."""
    top, low = max(0, top), min(scene.height, low)
    if low <= top:
        return
    strip = Image.new("RGB", (1, 2))
    strip.putpixel((0, 0), start)
    strip.putpixel((0, 1), end)
    filled = strip.resize((scene.width, low - top), Image.Resampling.BILINEAR)
    scene.paste(filled, (0, top))
