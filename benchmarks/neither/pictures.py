"""Pictures of no vehicle that was asked for: made here, the same for the same seed.

None of these generators is used in training. training/container/picture_model/outliers.py makes noise, plain
colours, cuts and blur of its own; cars, faces, houses and text it does not know at all.
"""

import random
from collections.abc import Callable, Sequence

from PIL import Image, ImageFilter

from benchmarks.neither.colours import draw_colours
from benchmarks.neither.faces import draw_face
from benchmarks.neither.houses import draw_house
from benchmarks.neither.lettering import draw_text
from benchmarks.neither.noise import draw_noise
from training.sources.synthetic import draw_picture

# Of the staged pictures, what is left of them to see.
CUT_AREA = (0.04, 0.2)  # share of the picture's area that is enlarged
BLUR_SIDE = (0.12, 0.25)  # the Gaussian's standard deviation, as a share of the side


def cut(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Return a piece of the picture, of its shape, CUT_AREA of its area."""
    share = rng.uniform(*CUT_AREA) ** 0.5
    width, height = max(1, int(picture.width * share)), max(1, int(picture.height * share))
    left, top = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def blur(rng: random.Random, picture: Image.Image) -> Image.Image:
    """Return the picture so blurred that a person sees patches of colour only."""
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(*BLUR_SIDE) * min(picture.size)))


DRAWN: dict[str, Callable[[random.Random, int], Image.Image]] = {
    "noise": draw_noise,
    "colours": draw_colours,
    "text": draw_text,
    "cars": lambda rng, size: draw_picture("car", rng.getrandbits(32), (size, size), 0),
    "faces": draw_face,
    "houses": draw_house,
}
FROM_VEHICLES: dict[str, Callable[[random.Random, Image.Image], Image.Image]] = {
    "cut": cut,
    "blurred": blur,
}
KINDS = (*DRAWN, *FROM_VEHICLES)
LIKE_TRAINING = ("noise", "colours", "cut", "blurred")  # kinds that outliers.py makes in its way


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
            vehicle = vehicles[number % len(vehicles)]
            made = FROM_VEHICLES[kind](rng, vehicle)
            pictures.append(made.resize((size, size), Image.Resampling.BICUBIC))
    return pictures
