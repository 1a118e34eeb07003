"""P values are exact, intervals cover the true effect, and the correction limits false alarms."""

import itertools

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from operations.monitoring import two_samples
from operations.monitoring.two_samples import SMALLEST_P, category_shift, holm, margin, number_shift, sensitivity


def share_as_distant(first, second, distance):
    """Return the share of all splits of the pooled values that have at least this distance."""
    pooled = np.concatenate([first, second])
    least = distance(first, second) - 1e-12
    as_distant = []
    for split in itertools.combinations(range(len(pooled)), len(first)):
        in_first = np.isin(np.arange(len(pooled)), split)
        as_distant.append(distance(pooled[in_first], pooled[~in_first]) >= least)
    return np.mean(as_distant)


def ks_distance(first, second):
    values = np.unique(np.concatenate([first, second]))
    shares = [(sample[:, None] <= values).mean(0) for sample in (first, second)]
    return np.abs(shares[0] - shares[1]).max()


def total_variation(first, second):
    names = set(first) | set(second)
    return sum(abs(np.mean(first == name) - np.mean(second == name)) for name in names) / 2


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("n", "m", "levels"), [(4, 6, 3), (5, 7, 5), (6, 6, 2), (3, 8, 50)])
def test_number_shift_with_repeated_values_has_the_exact_p(n, m, levels, seed):
    generator = np.random.default_rng(seed)
    first = generator.integers(0, levels, n).astype(float)
    second = generator.integers(0, levels + 1, m).astype(float)
    shift = number_shift(first, second)
    assert shift.effect == pytest.approx(ks_distance(first, second))
    assert shift.p == pytest.approx(share_as_distant(first, second, ks_distance))


@pytest.mark.parametrize(("n", "m"), [(30, 100), (200, 800), (37, 211), (1000, 1000)])
@pytest.mark.parametrize("apart", [0.0, 0.3])
def test_number_shift_without_repeated_values_has_scipys_p(n, m, apart):
    generator = np.random.default_rng(n)
    first, second = generator.normal(size=n), generator.normal(apart, size=m)
    expected = stats.ks_2samp(first, second, method="exact")
    shift = number_shift(first, second)
    assert shift.effect == pytest.approx(expected.statistic)
    assert shift.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-11)
    assert number_shift(second, first).p == pytest.approx(shift.p)


def test_number_shift_of_disjoint_samples_is_the_largest():
    shift = number_shift(np.zeros(400), np.ones(300))
    assert (shift.effect, shift.high, shift.lean, shift.p) == (1, 1, 1, SMALLEST_P)
    assert number_shift(np.ones(5), np.ones(7)).p == 1
    assert number_shift(np.arange(3000.0), np.arange(3000.0) + 5000).p == SMALLEST_P


def test_number_shift_leans_by_the_share_of_higher_pairs():
    generator = np.random.default_rng(0)
    first, second = (generator.integers(0, 9, size).astype(float) for size in (40, 30))
    pairs = np.sign(second[None, :] - first[:, None])
    assert number_shift(first, second).lean == pytest.approx(pairs.mean())


@pytest.mark.parametrize("seed", range(4))
def test_category_shift_has_the_p_of_all_permutations(seed):
    generator = np.random.default_rng(seed)
    first, second = (generator.choice(list("abc"), size) for size in (5, 7))
    shift = category_shift(list(first), list(second), np.random.default_rng(0))
    assert shift.effect == pytest.approx(total_variation(first, second))
    # The standard deviation of a share of 9,999 permutations is .005 at most; four of them are allowed.
    assert shift.p == pytest.approx(share_as_distant(first, second, total_variation), abs=0.02)


def test_category_shift_of_two_classes_has_the_hypergeometric_p():
    shift = category_shift(["a"] * 400 + ["b"] * 400, ["a"] * 125 + ["b"] * 75, np.random.default_rng(0))
    counts = np.arange(201)
    as_distant = np.abs(counts - 105) >= 20  # of 1,000, 525 are a; 105 of 200 are expected, 125 seen
    exact = stats.hypergeom(1000, 525, 200).pmf(counts)[as_distant].sum()
    assert shift.p == pytest.approx(exact, abs=0.001)
    assert shift.effect == pytest.approx(0.125)


@pytest.mark.parametrize(("n", "m"), [(15, 30), (200, 400)])
def test_number_interval_covers_the_true_effect(n, m):
    generator = np.random.default_rng(0)
    true = stats.norm.cdf(0.25) - stats.norm.cdf(-0.25)  # of two normals half a deviation apart
    covered = []
    for _ in range(400):
        shift = number_shift(generator.normal(size=n), generator.normal(0.5, size=m))
        covered.append(shift.low <= true <= shift.high)
    assert np.mean(covered) >= 0.95


def test_category_interval_covers_the_true_effect():
    generator = np.random.default_rng(0)
    before, now = [0.5, 0.3, 0.2], [0.3, 0.4, 0.3]
    covered = []
    for _ in range(400):
        first, second = (generator.choice(list("abc"), 60, p=p).tolist() for p in (before, now))
        shift = category_shift(first, second, np.random.default_rng(0))
        covered.append(shift.low <= 0.2 <= shift.high)
    assert np.mean(covered) >= 0.95


def test_margin_halves_with_four_times_the_pictures_and_grows_with_the_classes():
    assert margin(800, np.log(2)) == pytest.approx(margin(200, np.log(2)) / 2)
    assert margin(200, np.log(2**5 - 2)) > margin(200, np.log(2))


def test_category_shift_of_over_a_thousand_labels_is_finite():
    before, now = [f"class {n}" for n in range(1100)], ["class 1"] * 20
    shift = category_shift(before, now, np.random.default_rng(0))
    assert shift.effect == pytest.approx(1 - 1 / 1100)
    assert (shift.low, shift.high) == (0, 1)


def test_category_shift_permuted_in_parts_gives_the_same(monkeypatch):
    generator = np.random.default_rng(0)
    first, second = (generator.integers(0, 40, size).astype(str).tolist() for size in (200, 90))
    at_once = category_shift(first, second, np.random.default_rng(0))
    monkeypatch.setattr(two_samples, "MOST_COUNTS", 2000)
    in_parts = category_shift(first, second, np.random.default_rng(0))
    assert in_parts.p == at_once.p
    assert (in_parts.low, in_parts.high) == (at_once.low, at_once.high)


def test_holm_adjusts_the_smallest_most_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([]) == []


@pytest.mark.parametrize(("n", "m"), [(100, 30), (400, 200)])
def test_sensitivity_shift_is_found_nine_times_in_ten(n, m):
    alpha = 0.005
    least = sensitivity(n, m, alpha)
    apart = 2 * stats.norm.ppf((1 + least) / 2)  # deviations; their KS distance is `least`
    generator = np.random.default_rng(0)
    found = [number_shift(generator.normal(size=n), generator.normal(apart, size=m)).p < alpha for _ in range(300)]
    assert np.mean(found) >= 0.9
    assert sensitivity(5, 5, alpha) == 1
