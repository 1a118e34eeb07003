"""Make odd pictures from ordinary ones: corrupt, rotated, tiny, huge."""

import io
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from common.errors import ExpectedError
from operations.sending.arrivals import SourcePicture

KINDS = ("corrupt", "rotated", "tiny", "huge")

# Odd pictures are made before the run, so that making them delays no upload, and are kept in memory. So only a few of
# each kind are made, and sent in turn.
MOST_OF_A_KIND = {"corrupt": 16, "rotated": 16, "tiny": 16, "huge": 4}
LONGEST_SIDE = 2048  # pixels that a photo is scaled to before it is rotated, so that the endpoint can decode it
TINY_SIDES = (1, 4)  # pixels
# On both sides of the 25 million that the endpoint accepts; 48 million is what a phone's camera has.
HUGE_PIXELS = (16_000_000, 48_000_000)
FLIPPED_SHARE = 0.02  # of the bytes; enough to damage more than a picture's metadata


class UnreadableSourceError(ExpectedError):
    """A file is not a picture, so it cannot be rotated, shrunk or enlarged."""


def make_odd_pictures(
    wanted: Mapping[str, int], files: Sequence[SourcePicture], seed: int, report: Callable[[int, int | None], None]
) -> dict[str, list[SourcePicture]]:
    """Return odd pictures by kind, at most MOST_OF_A_KIND of each.

    `wanted` is how many of each kind will be sent. `report` gets how many are made, and their total. Raises
    UnreadableSourceError.
    """
    chance = random.Random(f"{seed} odd pictures")  # noqa: S311  a load, not a secret
    todo = [
        (kind, files[number % len(files)])
        for kind, count in wanted.items()
        for number in range(min(count, MOST_OF_A_KIND[kind]))
    ]
    made: dict[str, list[SourcePicture]] = {kind: [] for kind in wanted}
    for done, (kind, source) in enumerate(todo, start=1):
        made[kind].append(make_odd(kind, source, chance))
        report(done, len(todo))
    return made


def make_odd(kind: str, source: SourcePicture, chance: random.Random) -> SourcePicture:
    """Return an odd copy of a picture in a file. Raises UnreadableSourceError."""
    name, file = PurePosixPath(source.name), Path(str(source.body))
    if kind == "corrupt":
        return SourcePicture(f"{kind}-{name.name}", corrupt(file.read_bytes(), chance), source.truth)
    suffix = ".jpg" if kind == "huge" else ".png"
    return SourcePicture(f"{kind}-{name.stem}{suffix}", redraw(kind, file, chance), source.truth)


def corrupt(content: bytes, chance: random.Random) -> bytes:
    """Return the bytes truncated, or with a few of them changed; never the same bytes."""
    if len(content) < 2 or chance.random() < 0.5:
        return content[: chance.randrange(max(1, len(content)))]
    damaged = bytearray(content)
    for position in chance.sample(range(len(damaged)), max(1, round(FLIPPED_SHARE * len(damaged)))):
        damaged[position] ^= chance.randrange(1, 256)
    return bytes(damaged)


def redraw(kind: str, file: Path, chance: random.Random) -> bytes:
    """Return the picture rotated by quarters, shrunk or enlarged, encoded anew."""
    from PIL import Image

    from training.sources.folder import DECODER_ERRORS, read_picture

    try:
        picture = read_picture(file, LONGEST_SIDE)
    except DECODER_ERRORS as error:
        raise UnreadableSourceError(
            f"{file} cannot be made {kind}, since it cannot be decoded ({error}): leave it out, or give only"
            " --odd-kinds corrupt."
        ) from error
    out = io.BytesIO()
    if kind == "rotated":
        turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
        picture.transpose(chance.choice(turns)).save(out, "PNG")
    elif kind == "tiny":
        size = (chance.randint(*TINY_SIDES), chance.randint(*TINY_SIDES))
        picture.resize(size).save(out, "PNG")
    else:
        scale = (chance.randint(*HUGE_PIXELS) / (picture.width * picture.height)) ** 0.5
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture.resize(size, Image.Resampling.NEAREST).save(out, "JPEG", quality=80)
    return out.getvalue()
