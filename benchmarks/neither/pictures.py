"""Pictures of neither class: the same for the same seed.

None of these generators is used in training. training/container/picture_model/outliers.py makes noise, plain
colours, cuts and blur in its own way, and no cars, faces, houses or text.
"""

import random
from collections.abc import Callable, Sequence

from PIL import Image, ImageFilter

from benchmarks.neither.faces import draw_face
from benchmarks.neither.houses import draw_house
from benchmarks.neither.lettering import draw_text
from benchmarks.neither.patterns import draw_colours, draw_noise
from training.sources.drawing.camera import take_picture
from training.sources.synthetic import draw_picture

CUT_AREA = (0.04, 0.2)  # share of a vehicle's picture that is cut out and enlarged
BLUR_SIDE = (0.12, 0.25)  # the Gaussian's standard deviation, as a share of the side


def cut(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Return a piece of the picture with its proportions, CUT_AREA of its area."""
    share = rng.uniform(*CUT_AREA) ** 0.5
    width, height = max(1, int(picture.width * share)), max(1, int(picture.height * share))
    left, top = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def blur(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Return the picture so blurred that a person sees only patches of colour."""
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(*BLUR_SIDE) * min(picture.size)))


Drawing = Callable[[random.Random, int], Image.Image]  # takes the side in pixels


def _photo(draw_scene: Drawing) -> Drawing:
    """Return a function that draws a larger scene and reduces it as a camera does."""
    return lambda rng, size: take_picture(
        rng, draw_scene(rng, max(128, 4 * size if size <= 64 else 2 * size)), (size, size)
    )


DRAWN: dict[str, Drawing] = {
    "noise": draw_noise,
    "colours": draw_colours,
    "text": _photo(draw_text),
    "cars": lambda rng, size: draw_picture("car", rng.getrandbits(32), (size, size), 0),
    "faces": _photo(draw_face),
    "houses": _photo(draw_house),
}
FROM_VEHICLES = {"cut": cut, "blurred": blur}
KINDS = (*DRAWN, *FROM_VEHICLES)
LIKE_TRAINING = ("noise", "colours", "cut", "blurred")  # kinds that outliers.py makes too


def neither_pictures(
    kind: str, count: int, seed: int, size: int, vehicles: Sequence[Image.Image] = ()
) -> list[Image.Image]:
    """Return `count` RGB pictures of a kind, `size` pixels square.

    The kinds of FROM_VEHICLES are made of `vehicles`, each in turn.
    """
    pictures = []
    for number in range(count):
        rng = random.Random(f"{seed} {kind} {number}")  # noqa: S311  pictures, not secrets
        if kind in DRAWN:
            pictures.append(DRAWN[kind](rng, size))
        else:
            picture = FROM_VEHICLES[kind](rng, vehicles[number % len(vehicles)])
            pictures.append(picture.resize((size, size), Image.Resampling.BICUBIC))
    return pictures
