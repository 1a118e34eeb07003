"""When pictures arrive, and which of them are odd: functions of plain values, seeded."""

import random
from collections.abc import Sequence
from itertools import islice

from common.errors import ExpectedError


class TooManyPicturesError(ExpectedError):
    """The run would send more pictures than it may."""

    def __init__(self, most: int) -> None:
        """Name the limit, and how to raise it."""
        super().__init__(
            f"This would send more than {most} pictures, each of which costs an execution: send"
            " fewer, or raise the limit with --max."
        )


def poisson_arrivals(rate: float, *, duration: float | None, count: int | None, seed: int, most: int) -> list[float]:
    """Return when pictures arrive, in seconds from the start: gaps are exponential, mean 1 / rate.

    `rate` is pictures per second. There are `count` of them, or as many as come within `duration`
    seconds. The same seed gives the same times. Raises TooManyPicturesError above `most`.
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


def burst_arrivals(count: int, *, most: int) -> list[float]:
    """Return `count` times of 0: all at once. Raises TooManyPicturesError above `most`."""
    if count > most:
        raise TooManyPicturesError(most)
    return [0.0] * count


def choose_odd(count: int, share: float, kinds: Sequence[str], seed: int) -> dict[int, str]:
    """Return the kind of each odd one among `count` pictures, by number from 0.

    Of all, `share` (0 to 1, to the nearest picture) are odd, spread at random; the kinds have as
    many each, give or take one.
    """
    order = list(range(count))
    chance = random.Random(f"{seed} odd")  # noqa: S311  a load, not a secret
    chance.shuffle(order)
    odd = islice(order, round(share * count))
    return {number: kinds[place % len(kinds)] for place, number in enumerate(odd)}
