"""Tell whether two samples differ, by how much, and how sure that is: for few pictures as for many.

The statistic of each test is its effect size, and both kinds of it say the same: the share of the
pictures, from 0 to 1, that would have to be others for the samples to be alike (for numbers, at
least that share). The tests are permutation tests, so that they hold for small samples and for
values that repeat; the intervals hold for any number of pictures, and are wide for that.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

CONFIDENCE_LEVEL = 0.95  # of each interval
PERMUTATIONS = 9_999  # of classes and formats; numbers are counted out
MOST_COUNTS = 2_000_000  # of permuted classes, in memory at a time: 16 MB
SMALLEST_P = 1e-12  # below, it would be rounding errors

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Shift:
    """How two samples differ.

    Attributes:
        effect: a share of the pictures, in [0, 1]: the Kolmogorov-Smirnov distance of numbers, the
            total variation distance of categories.
        low, high: the interval that holds the true effect with CONFIDENCE_LEVEL.
        p: how often samples of the same pictures would differ as much or more, in (0, 1].
        lean: for numbers, how much more often an observed value is above one of the baseline than
            below it, in [-1, 1] (Cliff's delta); 0 for categories.
    """

    effect: float
    low: float
    high: float
    p: float
    lean: float = 0.0


def number_shift(baseline: Numbers, observed: Numbers) -> Shift:
    """Compare two samples of numbers, neither of them empty."""
    first, second = np.sort(baseline), np.sort(observed)
    n, m = len(first), len(second)
    values, counts = np.unique(np.concatenate([first, second]), return_counts=True)
    up_to_first = np.searchsorted(first, values, "right")
    up_to_second = np.searchsorted(second, values, "right")
    distance = int(np.abs(up_to_first * m - up_to_second * n).max())  # times n times m: exact
    below, not_above = np.searchsorted(first, second), np.searchsorted(first, second, "right")
    return _shift(
        distance / (n * m),
        _ks_p_value(distance, np.cumsum(counts), n, m),
        margin(n, math.log(2)) + margin(m, math.log(2)),
        lean=float((below + not_above).sum() / (n * m) - 1),
    )


def category_shift(baseline: Sequence[str], observed: Sequence[str], generator: Generator) -> Shift:
    """Compare two samples of categories, neither of them empty."""
    first, second = Counter(baseline), Counter(observed)
    names = sorted(first | second)
    n, m = len(baseline), len(observed)
    totals = np.array([first[name] + second[name] for name in names])

    def distances(of_second: NDArray[np.int64]) -> NDArray[np.int64]:
        exact: NDArray[np.int64] = np.abs(of_second * (n + m) - totals * m).sum(-1)
        return exact  # twice the total variation distance, times n times m

    distance = int(distances(np.array([second[name] for name in names])))
    at_a_time = max(1, MOST_COUNTS // len(names))
    as_far = 0
    for start in range(0, PERMUTATIONS, at_a_time):
        some = min(at_a_time, PERMUTATIONS - start)
        drawn = generator.multivariate_hypergeometric(totals, m, some)
        as_far += int((distances(drawn) >= distance).sum())
    p = (1 + as_far) / (1 + PERMUTATIONS)
    # The logarithm of 2^K - 2; 2^K itself is no float from 1,024 classes on.
    classes = max(2, len(names))
    log_events = classes * math.log(2) + math.log1p(-(2.0 ** (1 - classes)))
    return _shift(distance / (2 * n * m), p, margin(n, log_events) + margin(m, log_events))


def margin(pictures: int, log_events: float) -> float:
    """Return how far a sample's shares are from the true ones at most, the sample's half of 5 %.

    Of numbers by Dvoretzky, Kiefer and Wolfowitz with Massart's constant (1990), `log_events` being
    the logarithm of 2; of K classes by Weissman and others (2003), being that of 2^K - 2 or more.
    """
    return math.sqrt((log_events - math.log((1 - CONFIDENCE_LEVEL) / 2)) / (2 * pictures))


def sensitivity(baseline: int, observed: int, alpha: float) -> float:
    """Return the effect from which on a test at level `alpha` finds a shift nine times in ten.

    By the two-sample Kolmogorov-Smirnov distance's asymptotic distribution; capped at 1.
    """
    spread = math.sqrt(1 / baseline + 1 / observed)
    # Where the true distributions differ most, the samples' deviation is at most half of `spread`,
    # and 1.28 deviations are not reached nine times in ten.
    return min(1.0, spread * (math.sqrt(math.log(2 / alpha) / 2) + 1.28 / 2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values so that, of all, one is falsely below alpha with probability alpha at most.

    Holm (1979); it holds however the tests depend on each other.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return adjusted


def _shift(effect: float, p: float, half: float, lean: float = 0.0) -> Shift:
    return Shift(effect, max(0.0, effect - half), min(1.0, effect + half), p, lean)


def _ks_p_value(distance: int, ends: NDArray[np.int64], n: int, m: int) -> float:
    """Return the share of all ways to deal out the pooled values with at least this distance.

    Values are dealt in ascending order, i of k to the sample of n. Counted are the ways with
    |i m - (k - i) n| < distance wherever a value ends (`ends`, ascending): between equal values the
    distribution functions have no step (Schroer and Trenkler 1995).
    """
    if distance == 0:
        return 1.0
    n, m = min(n, m), max(n, m)
    is_end = np.zeros(n + m + 1, bool)
    is_end[ends] = True
    steps = np.arange(n + m + 1) * n
    lowest = ((steps - distance) // (n + m) + 1).clip(0).tolist()
    highest = (-((-steps - distance) // (n + m)) - 1).clip(-1, n).tolist()
    ways, scale = np.zeros(n + 1), 0.0
    ways[0] = 1.0
    for step, ended in enumerate(is_end.tolist()):
        if step:
            ways[1:] += ways[:-1]
        if ended:
            ways[: lowest[step]] = 0
            ways[highest[step] + 1 :] = 0
        if step % 500 == 499:  # a step doubles them at most, and floats end at 2^1023
            largest = float(ways.max()) or 1.0
            ways /= largest
            scale += math.log(largest)
    if not ways[n]:
        return 1.0  # whichever way they are dealt out, so many equal values are as far apart
    of_all = math.lgamma(n + m + 1) - math.lgamma(n + 1) - math.lgamma(m + 1)
    inside = math.exp(math.log(ways[n]) + scale - of_all)
    return min(1.0, max(SMALLEST_P, 1 - inside))
