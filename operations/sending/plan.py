"""Decide which picture is sent when and under which key, before anything is sent. All choices are seeded."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from common.errors import ExpectedError
from operations.sending.arrivals import AS_IT_IS, INBOX, Arrival, SourcePicture
from training.staging.folder import read_manifest

TEST = "test/"


class NoPicturesError(ExpectedError):
    """There is nothing to send."""


class SameKeyError(ExpectedError):
    """Two files would become one object."""


class TooManyPicturesError(ExpectedError):
    """The run would send more pictures than --max allows."""

    def __init__(self, most: int) -> None:
        """Name the limit, and how to raise it."""
        super().__init__(
            f"This would send more than {most} pictures, each of which costs an execution: send fewer, or raise the"
            " limit with --max."
        )


def pictures_of(paths: Iterable[Path]) -> list[SourcePicture]:
    """Return the files that the paths name, without hidden ones. A folder's files keep their path below it as name.

    Raises NoPicturesError naming the path that is missing or empty.
    """
    pictures: list[SourcePicture] = []
    for path in paths:
        if path.is_file():
            pictures.append(SourcePicture(path.name, path, None))
            continue
        names = {file: file.relative_to(path) for file in sorted(path.rglob("*")) if file.is_file()}
        visible = [file for file, name in names.items() if not any(part.startswith(".") for part in name.parts)]
        if not visible:
            raise NoPicturesError(f"{path} is neither a file nor a folder with files in it.")
        pictures += [SourcePicture(names[file].as_posix(), file, None) for file in visible]
    return pictures


def staged_test_pictures(root: Path) -> list[SourcePicture]:
    """Return the pictures of the staged test split, with their class. Raises StagedFolderError, NoPicturesError."""
    pictures = [
        SourcePicture(name.removeprefix(TEST), root / name, name.split("/")[1])
        for name in read_manifest(root)["files"]
        if name.startswith(TEST)
    ]
    if not pictures:
        raise NoPicturesError(f"{root} has no test pictures: run `python -m training.stage_data` again.")
    return pictures


def plan_files(pictures: Sequence[SourcePicture], most: int) -> list[Arrival]:
    """Return each picture once, all at once, under its own name. Raises SameKeyError, TooManyPicturesError."""
    if len(pictures) > most:
        raise TooManyPicturesError(most)
    by_key: dict[str, SourcePicture] = {}
    for picture in pictures:
        key = f"{INBOX}/{picture.name}"
        if key in by_key:
            raise SameKeyError(f"{by_key[key].body!s} and {picture.body!s} would both become {key}.")
        by_key[key] = picture
    return [Arrival(0.0, key, picture.body, truth=picture.truth) for key, picture in by_key.items()]


def plan_load(
    times: Sequence[float],
    pictures: Sequence[SourcePicture],
    odd: Mapping[int, str],
    odd_pictures: Mapping[str, Sequence[SourcePicture]],
    run_id: str,
) -> list[Arrival]:
    """Return a picture for each time, in turn, under a key of its own.

    `odd` gives the kind of each odd arrival by number, and `odd_pictures` the pictures of each kind.
    """
    arrivals = []
    used: Counter[str] = Counter()
    for number, at in enumerate(times):
        kind = odd.get(number, AS_IT_IS)
        if kind == AS_IT_IS:
            picture = pictures[number % len(pictures)]
        else:
            picture = odd_pictures[kind][used[kind] % len(odd_pictures[kind])]
            used[kind] += 1
        key = f"{INBOX}/{run_id}/{number:05d}-{PurePosixPath(picture.name).name}"
        arrivals.append(Arrival(at, key, picture.body, kind, picture.truth))
    return arrivals


def shuffled(pictures: Sequence[SourcePicture], seed: int) -> list[SourcePicture]:
    """Return the pictures in a random order, so that a short run has all classes."""
    order = list(pictures)
    random.Random(f"{seed} pictures").shuffle(order)  # noqa: S311  a load, not a secret
    return order


def poisson_arrivals(rate: float, *, duration: float | None, count: int | None, seed: int, most: int) -> list[float]:
    """Return the times of arrivals in seconds from the start: gaps are exponential, with mean 1 / rate.

    `rate` is pictures per second. There are `count` of them, or as many as arrive within `duration` seconds. Raises
    TooManyPicturesError above `most`.
    """
    gaps = random.Random(f"{seed} arrivals")  # noqa: S311  a load, not a secret
    times: list[float] = []
    now = gaps.expovariate(rate)
    while len(times) < count if count is not None else now < (duration or 0):
        if len(times) == most:
            raise TooManyPicturesError(most)
        times.append(now)
        now += gaps.expovariate(rate)
    return times


def choose_odd(count: int, share: float, kinds: Sequence[str], seed: int) -> dict[int, str]:
    """Return the kind of each odd arrival among `count`, by number from 0.

    `share` (0 to 1) of all arrivals are odd, spread at random; the kinds are equally frequent.
    """
    order = list(range(count))
    random.Random(f"{seed} odd").shuffle(order)  # noqa: S311  a load, not a secret
    return {number: kinds[index % len(kinds)] for index, number in enumerate(order[: round(share * count)])}
