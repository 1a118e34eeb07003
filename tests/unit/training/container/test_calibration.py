"""What held-out pictures show: against published values, brute force, and simulation."""

import bisect
import functools
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from common.predictions import is_accepted
from common.settings import ROOT
from training.container.picture_model.calibration import (
    HeldOutError,
    accepted_and_errors,
    error_bound,
    expected_calibration_error,
    fewest_pictures,
    fit_temperature,
    held_out_answers,
    recommend_threshold,
    reliability_bins,
    simultaneous_level,
)


@pytest.mark.parametrize(
    ("confidences", "correct", "message"),
    [
        ([], [], "0 confidences"),
        ([0.5], [True, False], "1 confidences for 2 answers"),
        ([0.5, math.nan], [True, True], r"not in \[0, 1\]"),
        ([1.5], [True], r"not in \[0, 1\]"),
        ([-0.1], [True], r"not in \[0, 1\]"),
    ],
)
@pytest.mark.parametrize(
    "figure",
    [recommend_threshold, expected_calibration_error, reliability_bins],
)
def test_invalid_confidences_fail(figure, confidences, correct, message):
    with pytest.raises(HeldOutError, match=message):
        figure(confidences, correct)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, math.nan])
def test_recommend_threshold_with_rate_out_of_range_fails(share):
    with pytest.raises(HeldOutError, match="max_error must be between 0 and 1"):
        recommend_threshold([0.9], [True], max_error=share)
    with pytest.raises(HeldOutError, match="confidence_level must be between 0 and 1"):
        recommend_threshold([0.9], [True], confidence_level=share)


def test_held_out_answers_without_truth_or_all_tied_fail():
    with pytest.raises(HeldOutError, match="1 true classes for 2 answers"):
        held_out_answers([0], [[0.5, 0.5], [1.0, 0.0]])
    with pytest.raises(HeldOutError, match="every held-out answer is a tie"):
        recommend_threshold(*held_out_answers([0, 1], [[0.5, 0.5], [0.5, 0.5]]))


def test_held_out_answers_of_a_tie_are_wrong_with_zero_confidence():
    assert held_out_answers([0, 1, 1], [[0.4, 0.4, 0.2], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1]]) == (
        [0.0, 0.8, 0.7],
        [False, True, False],
    )


@pytest.mark.parametrize(
    ("errors", "accepted", "level", "bound"),
    [
        (0, 0, 0.95, 1.0),
        (3, 3, 0.95, 1.0),
        (0, 299, 0.95, 1 - 0.05 ** (1 / 299)),  # below .01, as the 298 before it are not
        (0, 120, 0.95, 0.02466),
        # Two-sided 95 % limits of Newcombe 1998, Statistics in Medicine 17, table I (method 5)
        (81, 263, 0.975, 0.3676),
        (15, 148, 0.975, 0.1617),
        (0, 20, 0.975, 0.1684),
        (1, 29, 0.975, 0.1776),
    ],
)
def test_error_bound_matches_published_values(errors, accepted, level, bound):
    assert error_bound(errors, accepted, level) == pytest.approx(bound, abs=5e-5)


def test_error_bound_of_many_pictures_is_exact():
    assert error_bound(500, 100_000, 0.95) == pytest.approx(0.00538, abs=1e-5)
    assert error_bound(0, 10**7, 0.95) == pytest.approx(3.0 / 10**7, rel=2e-3)


def brute_force_chance_to_pass(pictures, rate, level):
    bound = functools.cache(lambda errors, n: error_bound(errors, n, level))
    passed = 0.0
    for wrong in itertools.product([False, True], repeat=pictures):
        sums = itertools.accumulate(wrong)
        if any(bound(errors, n) <= rate for n, errors in enumerate(sums, start=1)):
            passed += rate ** sum(wrong) * (1 - rate) ** (pictures - sum(wrong))
    return passed


@pytest.mark.parametrize(("rate", "wanted"), [(0.3, 0.8), (0.25, 0.7), (0.5, 0.95)])
def test_simultaneous_level_bounds_the_chance_of_a_bad_classifier(rate, wanted):
    level = simultaneous_level(10, rate, wanted)
    assert brute_force_chance_to_pass(10, rate, level) <= 1 - wanted
    # A little less, and it would pass too often: nothing is given away.
    assert brute_force_chance_to_pass(10, rate, level - 0.002) > 1 - wanted


def test_simultaneous_level_corrects_the_choice_of_threshold():
    rng = np.random.default_rng(0)
    runs, pictures = 4000, 800
    errors = np.cumsum(rng.random((runs, pictures)) < 0.01, axis=1)

    def share_that_passes(level):
        allowed = np.full(pictures, -1)
        for count in itertools.takewhile(lambda count: error_bound(count, pictures, level) <= 0.01, itertools.count()):
            first = bisect.bisect_left(range(1, pictures), -0.01, key=lambda n: -error_bound(count, n, level))
            allowed[first:] = count
        return float((errors <= allowed).any(axis=1).mean())

    level = simultaneous_level(pictures, 0.01, 0.95)
    assert level == pytest.approx(0.974, abs=5e-4)  # the figures of its docstring
    assert share_that_passes(level) == pytest.approx(0.05, abs=0.01)
    assert share_that_passes(0.95) == pytest.approx(0.107, abs=0.015)


def test_simultaneous_level_without_choice_is_the_wanted_level():
    assert simultaneous_level(299, 0.01, 0.95) == 0.95
    assert fewest_pictures(0.01, 0.95) == 299


def test_accepted_and_errors_match_the_workflow():
    rng = np.random.default_rng(0)
    # Many within one step of a threshold, and the edges between steps themselves.
    confidences = [*(0.9 + rng.random(300) / 500), *(n / 10_000 for n in range(2800, 3000)), 1.0]
    confidences += [math.nextafter(c, 0) for c in confidences]
    correct = list(rng.random(len(confidences)) < 0.9)
    counts = accepted_and_errors(confidences, correct)
    for threshold, accepted, errors in counts:
        assert float(f"{threshold:.4f}") == threshold  # as it is written on a command line
        taken = [is_accepted([c, 0.0], float(f"{threshold:.4f}")) for c in confidences]
        assert sum(taken) == accepted
        assert sum(t and not c for t, c in zip(taken, correct, strict=True)) == errors
    assert counts[0][0] == 1.0
    assert counts[-1][1] == len(confidences)


def test_recommend_threshold_finds_the_lowest_that_passes():
    # 1000 pictures from the most confident down; every tenth is wrong from the 700th on.
    confidences = [1 - n / 2000 for n in range(1000)]
    correct = [n < 700 or n % 10 > 0 for n in range(1000)]
    found = recommend_threshold(confidences, correct, max_error=0.01, confidence_level=0.95)
    level = simultaneous_level(1000, 0.01, 0.95)
    assert found.met
    assert found.errors == 1
    assert found.accepted == 710  # before the second error, which 2 of 711 do not outweigh
    assert found.threshold == confidences[709]
    assert found.coverage == 0.71
    assert found.error_bound == error_bound(1, 710, level) <= 0.01
    assert error_bound(2, 720, level) > 0.01
    assert "710 of 1000 held-out pictures (71.0%) are accepted at threshold 0.6455" in str(found)
    assert "1 of them wrong: this shows an error of at most 1% among accepted answers" in str(found)


def test_recommend_threshold_with_few_pictures_explains_the_limit():
    confidences = [0.9] * 40 + [0.985] * 40 + [1.0] * 40  # .75 % are to be expected of the last 80
    found = recommend_threshold(confidences, [True] * 120)
    assert (found.met, found.accepted, found.errors) == (False, 80, 0)
    assert found.threshold == 0.985
    assert found.error_bound == pytest.approx(0.0368, abs=1e-4)
    assert str(found) == (
        "No threshold keeps the error among accepted answers at 1% with confidence 0.95: 120"
        " held-out pictures, even with no error at all, only show an error of at most 2.5%: it"
        " takes 299 right ones. By the confidences 1% is to be expected: 80 of 120 held-out"
        " pictures (66.7%) are accepted at threshold 0.985, 0 of them wrong. Shown is an error of"
        " at most 3.7%."
    )


def test_recommend_threshold_falls_back_to_observed_and_expected_errors():
    confidences = [0.999] * 100 + [0.985] * 100 + [0.9] * 100

    def recommended(*wrong: int) -> tuple[bool, float, int]:
        found = recommend_threshold(confidences, [n not in wrong for n in range(300)])
        return found.met, found.threshold, found.errors

    assert recommended(250) == (False, 0.985, 0)  # its mean doubt is .8 %, at 0.9 it is 3.9 %
    assert recommended(0, 1, 150) == (False, 0.999, 2)  # too many everywhere: the highest


def test_recommendation_with_too_many_errors_says_so():
    found = recommend_threshold([0.9] * 400, [n % 5 > 0 for n in range(400)])
    assert not found.met
    assert "too many errors among the most confident" in str(found)


def test_reliability_bins_have_equal_sizes_and_share_no_confidence():
    confidences = [0.5, 0.6, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9]
    correct = [True, False, True, True, True, True, True, False]
    bins = reliability_bins(confidences, correct, bins=4)
    assert [(b.lowest, b.highest, b.pictures, b.correct) for b in bins] == [
        (0.5, 0.6, 2, 1),
        (0.7, 0.8, 2, 2),
        (0.9, 0.9, 4, 3),
    ]
    assert bins[0].mean_confidence == pytest.approx(0.55)
    assert bins[2].accuracy == 0.75
    assert reliability_bins(confidences[::-1], correct[::-1], bins=4) == bins
    # (2 * |.55 - .5| + 2 * |.75 - 1| + 4 * |.9 - .75|) / 8
    assert expected_calibration_error(confidences, correct, bins=4) == pytest.approx(0.15)


def test_calibration_error_of_equal_confidences():
    assert expected_calibration_error([1.0] * 50, [True] * 50) == 0
    assert expected_calibration_error([0.9] * 50, [False] * 50) == pytest.approx(0.9)


def test_fit_temperature_recovers_the_scale():
    generator = torch.Generator().manual_seed(0)
    logs = (3 * torch.randn(5_000, 3, generator=generator)).log_softmax(1)
    labels = torch.multinomial(logs.exp(), 1, generator=generator).flatten()
    for factor in (0.7, 1.0, 2.5):
        assert fit_temperature(logs * factor, labels) == pytest.approx(factor, rel=0.1)


def test_fit_temperature_without_errors_stops_at_the_minimum():
    logs = torch.tensor([[0.6, 0.4]]).log().repeat(50, 1)
    assert fit_temperature(logs, torch.zeros(50, dtype=torch.long)) == pytest.approx(0.5)


def test_calibration_imports_no_torch():
    module = "training.container.picture_model.calibration"
    code = f"import sys, {module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
