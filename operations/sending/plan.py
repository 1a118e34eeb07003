"""Decide what is sent when and under which key, before anything is sent."""

import random
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from operations.sending.arrivals import INBOX, Arrival, SourcePicture
from operations.sending.odd_pictures import OddPicture
from operations.sending.pictures import objects_of
from operations.sending.schedule import TooManyPicturesError


def new_run_id() -> str:
    """Return a name for a run that no other has, with the time in UTC."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


def plan_files(pictures: Sequence[SourcePicture], most: int) -> list[Arrival]:
    """Return each picture once, all at once, under its own name.

    Raises SameKeyError, and TooManyPicturesError above `most`.
    """
    if len(pictures) > most:
        raise TooManyPicturesError(most)
    return [Arrival(0.0, key, p.path, truth=p.truth) for key, p in objects_of(pictures).items()]


def plan_load(
    times: Sequence[float],
    pictures: Sequence[SourcePicture],
    odd: Mapping[int, str],
    odd_pictures: Mapping[str, Sequence[OddPicture]],
    run_id: str,
) -> list[Arrival]:
    """Return a picture for each time, under a key of its own; pictures come in turn, again if need.

    `odd` gives the kind of those that are odd, by number, and `odd_pictures` what there is of each
    kind.
    """
    arrivals = []
    turns: Counter[str] = Counter()
    for number, at in enumerate(times):
        if kind := odd.get(number):
            made = odd_pictures[kind][turns[kind] % len(odd_pictures[kind])]
            turns[kind] += 1
            key = f"{INBOX}/{run_id}/{number:05d}-{made.name}"
            arrivals.append(Arrival(at, key, made.content, kind, made.truth))
        else:
            picture = pictures[number % len(pictures)]
            key = f"{INBOX}/{run_id}/{number:05d}-{PurePosixPath(picture.name).name}"
            arrivals.append(Arrival(at, key, picture.path, truth=picture.truth))
    return arrivals


def shuffled(pictures: Sequence[SourcePicture], seed: int) -> list[SourcePicture]:
    """Return the pictures in a random order, so that a short run holds all classes."""
    order = list(pictures)
    random.Random(f"{seed} pictures").shuffle(order)  # noqa: S311  a load, not a secret
    return order
