"""Test whether two samples differ, and by how much.

The statistic of each test is its effect size: the share of the pictures, from 0 to 1, that would have to change to make
the samples alike (for numbers, at least that share). The tests are permutation tests, valid for small samples and
repeated values; the intervals are valid for any number of pictures, and wide for that reason.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

CONFIDENCE_LEVEL = 0.95  # of each interval
PERMUTATIONS = 9_999  # of categories; for numbers, all are counted
MOST_COUNTS = 2_000_000  # of permuted categories, in memory at a time: 16 MB
SMALLEST_P = 1e-12  # smaller ones would be rounding errors

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Shift:
    """How two samples differ.

    Attributes:
        effect: Kolmogorov-Smirnov distance of numbers, or total variation distance of categories, in [0, 1].
        low, high: confidence interval of the effect at CONFIDENCE_LEVEL.
        p: probability of this effect or a larger one for two samples of the same pictures, in (0, 1].
        lean: for numbers, how much more often an observed value is above one of the baseline than below it, in [-1, 1]
            (Cliff's delta); 0 for categories.
    """

    effect: float
    low: float
    high: float
    p: float
    lean: float = 0.0


def number_shift(baseline: Numbers, observed: Numbers) -> Shift:
    """Compare two non-empty samples of numbers."""
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
    """Compare two non-empty samples of categories."""
    first, second = Counter(baseline), Counter(observed)
    names = sorted(first | second)
    n, m = len(baseline), len(observed)
    totals = np.array([first[name] + second[name] for name in names])

    def distances(of_second: NDArray[np.int64]) -> NDArray[np.int64]:
        exact: NDArray[np.int64] = np.abs(of_second * (n + m) - totals * m).sum(-1)
        return exact  # twice the total variation distance, times n times m

    distance = int(distances(np.array([second[name] for name in names])))
    at_a_time = max(1, MOST_COUNTS // len(names))
    as_distant = 0
    for start in range(0, PERMUTATIONS, at_a_time):
        drawn = generator.multivariate_hypergeometric(totals, m, min(at_a_time, PERMUTATIONS - start))
        as_distant += int((distances(drawn) >= distance).sum())
    p = (1 + as_distant) / (1 + PERMUTATIONS)
    # The logarithm of 2^K - 2; 2^K itself is no float from 1,024 classes on.
    classes = max(2, len(names))
    log_events = classes * math.log(2) + math.log1p(-(2.0 ** (1 - classes)))
    return _shift(distance / (2 * n * m), p, margin(n, log_events) + margin(m, log_events))


def margin(pictures: int, log_events: float) -> float:
    """Return how far a sample's shares are from the true ones at most, with a probability of 97.5 %.

    For numbers by Dvoretzky, Kiefer and Wolfowitz with Massart's constant (1990), where `log_events` is the logarithm
    of 2; for K classes by Weissman and others (2003), where it is that of 2^K - 2 or more.
    """
    return math.sqrt((log_events - math.log((1 - CONFIDENCE_LEVEL) / 2)) / (2 * pictures))


def sensitivity(baseline: int, observed: int, alpha: float) -> float:
    """Return the least effect that a test at level `alpha` finds nine times in ten, at most 1.

    By the asymptotic distribution of the two-sample Kolmogorov-Smirnov distance.
    """
    spread = math.sqrt(1 / baseline + 1 / observed)
    # Where the true distributions differ most, the samples' standard deviation is at most half of `spread`, and nine
    # times in ten the deviation is less than 1.28 of those.
    return min(1.0, spread * (math.sqrt(math.log(2 / alpha) / 2) + 1.28 / 2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values so that with probability alpha at most any is falsely below alpha.

    Holm (1979); valid whatever the dependence between the tests.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[position] * (len(p_values) - rank)))
        adjusted[position] = largest
    return adjusted


def _shift(effect: float, p: float, half: float, lean: float = 0.0) -> Shift:
    return Shift(effect, max(0.0, effect - half), min(1.0, effect + half), p, lean)


def _ks_p_value(distance: int, ends: NDArray[np.int64], n: int, m: int) -> float:
    """Return the share of the permutations of the pooled values that have at least this distance.

    Of the k lowest values, i belong to the sample of n. Counted are the permutations with |i m - (k - i) n| < distance
    wherever a run of equal values ends (`ends`, ascending), since the distribution functions have no step inside one
    (Schroer and Trenkler 1995).
    """
    if distance == 0:
        return 1.0
    n, m = min(n, m), max(n, m)
    is_end = np.zeros(n + m + 1, bool)
    is_end[ends] = True
    steps = np.arange(n + m + 1) * n
    lowest = ((steps - distance) // (n + m) + 1).clip(0).tolist()
    highest = (-((-steps - distance) // (n + m)) - 1).clip(-1, n).tolist()
    counts, scale = np.zeros(n + 1), 0.0
    counts[0] = 1.0
    for step, ended in enumerate(is_end.tolist()):
        if step:
            counts[1:] += counts[:-1]
        if ended:
            counts[: lowest[step]] = 0
            counts[highest[step] + 1 :] = 0
        if step % 500 == 499:  # a step at most doubles them, and the largest float is 2^1024
            largest = float(counts.max()) or 1.0
            counts /= largest
            scale += math.log(largest)
    if not counts[n]:
        return 1.0  # with so many equal values, all permutations are as distant
    log_all = math.lgamma(n + m + 1) - math.lgamma(n + 1) - math.lgamma(m + 1)
    closer = math.exp(math.log(counts[n]) + scale - log_all)
    return min(1.0, max(SMALLEST_P, 1 - closer))
