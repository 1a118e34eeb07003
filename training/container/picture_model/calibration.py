"""Calibration of the classifier, and the recommended threshold; used in the container and on the laptop.

`confidences` are those of the most probable class, in [0, 1], on held-out pictures; `correct` tells
whether that class was the true one. A confidence of 0 is never accepted: a tie, or no answer.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

MAX_ERROR = 0.01
CONFIDENCE_LEVEL = 0.95

THRESHOLD_STEPS = 10_000  # a threshold has four decimals, so that it is the same number everywhere

# 40 pictures in each bin of 200. A perfectly calibrated classifier of .93 accuracy then shows an
# expected calibration error of .024, by luck alone; with ten bins .033, with fifteen .040.
BINS = 5


class HeldOutError(ValueError):
    """The input is empty or does not match, or a value is outside its range."""


@dataclass(frozen=True)
class Recommendation:
    """A threshold, and what the held-out pictures prove about it; rates in [0, 1].

    Attributes:
        threshold: an answer is accepted from this confidence on.
        met: the error among accepted answers is at most `max_error` with `confidence_level`, although
            the threshold was chosen among many (see `simultaneous_level`).
        pictures, accepted, errors: held-out pictures, those accepted, and the wrong ones among these.
        coverage: accepted / pictures.
        error_bound: upper bound of the error rate at the threshold, with `confidence_level`.

    With an ensemble, one member answers for each held-out picture, so these are figures of single
    members. The whole ensemble is right more often and less confident where its members disagree:
    at the same threshold fewer of its accepted answers are wrong.
    """

    threshold: float
    met: bool
    pictures: int
    accepted: int
    errors: int
    coverage: float
    error_bound: float
    max_error: float
    confidence_level: float

    def __str__(self) -> str:
        """Summarise what the held-out pictures prove, and why not more."""
        level, wanted = f"{self.confidence_level:g}", f"{100 * self.max_error:g}%"
        counted = (
            f"{self.accepted} of {self.pictures} held-out pictures ({self.coverage:.1%}) are"
            f" accepted at threshold {self.threshold:g}, {self.errors} of them wrong"
        )
        if self.met:
            return (
                f"{counted}: this shows an error of at most {wanted} among accepted answers, with confidence {level}."
            )
        needed = fewest_pictures(self.max_error, self.confidence_level)
        if self.pictures < needed:
            best = error_bound(0, self.pictures, self.confidence_level)
            why = (
                f"{self.pictures} held-out pictures, even with no error at all, only show an error"
                f" of at most {best:.1%}: it takes {needed} right ones"
            )
        else:
            why = "the held-out pictures have too many errors among the most confident"
        return (
            f"No threshold keeps the error among accepted answers at {wanted} with"
            f" confidence {level}: {why}. By the confidences {wanted} is to be expected: {counted}."
            f" Shown is an error of at most {self.error_bound:.1%}."
        )


@dataclass(frozen=True)
class ReliabilityBin:
    """Pictures of similar confidence."""

    lowest: float
    highest: float
    mean_confidence: float
    accuracy: float
    pictures: int
    correct: int


def fit_temperature(log_probabilities: "Tensor", labels: "Tensor") -> float:
    """Find the temperature that makes the log probabilities [N, classes] fit the labels best.

    It divides them: above 1 it lowers confidence (Guo et al., "On Calibration of Modern Neural
    Networks", 2017). At least 0.5: a few pictures without errors do not prove certainty.
    """
    import torch
    from torch.nn import functional

    candidates = torch.logspace(math.log10(0.5), math.log10(5), 100)
    losses = [functional.cross_entropy(log_probabilities / t, labels) for t in candidates]
    return float(candidates[int(torch.stack(losses).argmin())])


def held_out_answers(truth: Sequence[int], probabilities: Sequence[Sequence[float]]) -> tuple[list[float], list[bool]]:
    """Return confidences and correctness, from true class numbers [N] and rows [N, classes].

    Raises:
        HeldOutError: not one row for each class number, or an empty row.
    """
    if len(truth) != len(probabilities) or not all(probabilities):
        raise HeldOutError(f"{len(truth)} true classes for {len(probabilities)} answers")
    confidences, correct = [], []
    for true, row in zip(truth, probabilities, strict=True):
        confidence = max(row)
        tie = list(row).count(confidence) > 1  # the workflow never accepts a tie
        confidences.append(0.0 if tie else confidence)
        correct.append(not tie and list(row).index(confidence) == true)
    return confidences, correct


def reliability_bins(confidences: Sequence[float], correct: Sequence[bool], bins: int = BINS) -> list[ReliabilityBin]:
    """Divide pictures by confidence into at most `bins` bins of about equal size.

    Pictures of equal confidence share a bin. Raises HeldOutError for invalid input.
    """
    values, right = _checked(confidences, correct)
    ordered = np.sort(values)
    places = np.searchsorted(ordered, values) * bins // len(values)
    return [
        ReliabilityBin(
            float(values[inside].min()),
            float(values[inside].max()),
            float(values[inside].mean()),
            float(right[inside].mean()),
            int(inside.sum()),
            int(right[inside].sum()),
        )
        for inside in (places == place for place in np.unique(places))
    ]


def expected_calibration_error(confidences: Sequence[float], correct: Sequence[bool], bins: int = BINS) -> float:
    """Return the mean difference, weighted by pictures, between confidence and accuracy of the bins.

    Guo et al., 2017, but over bins of equal mass (Nixon et al., "Measuring Calibration in Deep
    Learning", 2019): most confidences lie above .9. Raises HeldOutError for invalid input.
    """
    found = reliability_bins(confidences, correct, bins)
    distances = sum(b.pictures * abs(b.mean_confidence - b.accuracy) for b in found)
    return distances / sum(b.pictures for b in found)


def error_bound(errors: int, accepted: int, confidence_level: float) -> float:
    """Return the upper confidence bound, in [0, 1], of the error rate; 1 where nothing was accepted.

    One-sided and exact: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits
    illustrated in the case of the binomial", 1934.
    """
    if errors >= accepted:
        return 1.0
    low, high = errors / accepted, 1.0
    for _ in range(60):  # halves the range to below a float's precision
        middle = (low + high) / 2
        if _chance_of_at_most(errors, accepted, middle) > 1 - confidence_level:
            low = middle
        else:
            high = middle
    return high


def accepted_and_errors(confidences: Sequence[float], correct: Sequence[bool]) -> list[tuple[float, int, int]]:
    """Return (threshold, accepted, errors among them) of every distinct threshold, from the highest down.

    The counts are those at the threshold as rounded to four decimals. Raises HeldOutError for invalid input.
    """
    values, right = _checked(confidences, correct)
    steps = np.floor(values * THRESHOLD_STEPS)
    steps -= steps / THRESHOLD_STEPS > values  # where the product was rounded up
    # Above 0: a confidence of 0 is never accepted.
    thresholds = np.unique(steps[steps > 0])[::-1] / THRESHOLD_STEPS
    order = np.argsort(-values)
    accepted = np.searchsorted(-values[order], -thresholds, side="right")
    errors = np.concatenate([[0], np.cumsum(~right[order])])[accepted]
    return [(float(t), int(n), int(e)) for t, n, e in zip(thresholds, accepted, errors, strict=True)]


def recommend_threshold(
    confidences: Sequence[float],
    correct: Sequence[bool],
    max_error: float = MAX_ERROR,
    confidence_level: float = CONFIDENCE_LEVEL,
) -> Recommendation:
    """Find the lowest threshold whose error stays at most `max_error` with `confidence_level`.

    If none does, `met` is false, and the threshold is the lowest at which both the observed errors
    and those expected from the confidences are at most `max_error`, or else the highest.

    Raises:
        HeldOutError: invalid input, or no answer that could be accepted.
    """
    counts = accepted_and_errors(confidences, correct)
    if not counts:
        raise HeldOutError("every held-out answer is a tie: the classifier tells nothing apart")
    level = simultaneous_level(len(confidences), max_error, confidence_level)
    passing = (
        count
        for count in reversed(counts)  # the first that passes accepts the most
        if _chance_of_at_most(count[2], count[1], max_error) <= 1 - level
    )
    found = next(passing, None)
    threshold, accepted, errors = found or _expected(counts, confidences, max_error)
    return Recommendation(
        threshold=threshold,
        met=found is not None,
        pictures=len(confidences),
        accepted=accepted,
        errors=errors,
        coverage=accepted / len(confidences),
        error_bound=error_bound(errors, accepted, level),
        max_error=max_error,
        confidence_level=confidence_level,
    )


def simultaneous_level(pictures: int, max_error: float, confidence_level: float) -> float:
    """Return the level of each bound that gives the chosen one `confidence_level`.

    The best of many thresholds may pass by luck: of 800 pictures with an error rate of .01
    throughout, bounds of .95 let some threshold pass in .107 of all cases, not in .05. So each bound
    gets a higher level, here .974: a classifier whose error is `max_error` at every threshold then
    passes anywhere with a chance of 1 - confidence_level. That is the worst case for errors that
    fall with rising confidence. Geifman and El-Yaniv (2017) divide by the number of thresholds
    instead; this accounts for how much they overlap, and costs less.
    """
    _check_share("max_error", max_error)
    _check_share("confidence_level", confidence_level)
    low, high = math.log((1 - confidence_level) / 1000), math.log(1 - confidence_level)
    if _chance_to_pass(pictures, max_error, math.exp(high)) <= 1 - confidence_level:
        return confidence_level  # too few pictures for a choice
    for _ in range(20):
        middle = (low + high) / 2
        if _chance_to_pass(pictures, max_error, math.exp(middle)) <= 1 - confidence_level:
            low = middle
        else:
            high = middle
    return 1 - math.exp(low)


def fewest_pictures(max_error: float, confidence_level: float) -> int:
    """Return how many held-out pictures without an error prove an error rate of at most `max_error`."""
    return math.ceil(math.log1p(-confidence_level) / math.log1p(-max_error))


def _expected(
    counts: Sequence[tuple[float, int, int]], confidences: Sequence[float], max_error: float
) -> tuple[float, int, int]:
    """Return the lowest threshold at which neither observed nor expected errors exceed `max_error`."""
    expected = np.cumsum(1 - np.sort(np.asarray(confidences, np.float64))[::-1])
    good = [count for count in counts if max(count[2], expected[count[1] - 1]) <= max_error * count[1]]
    return good[-1] if good else counts[0]


def _chance_to_pass(pictures: int, rate: float, doubt: float) -> float:
    """Return the chance that any threshold passes a bound of level 1 - doubt at this error rate.

    From the most confident picture down, `passing[k]` is the number of pictures from which on k
    errors pass. Errors only grow, so they first pass where one more is allowed.
    """
    passing: list[int] = []
    first = 1
    while (first := _first_that_passes(len(passing), first, pictures, rate, doubt)) <= pictures:
        passing.append(first)
    chances = np.zeros(len(passing))  # of each number of errors, without having passed yet
    chances[:1] = 1.0
    passed, previous = 0.0, 0
    for errors, count in enumerate(passing):
        more = count - previous
        chances = np.convolve(chances, _binomial(more, rate, min(more, len(passing))))[: len(passing)]
        passed += float(chances[: errors + 1].sum())
        chances[: errors + 1] = 0.0
        previous = count
    return passed


def _first_that_passes(errors: int, first: int, last: int, rate: float, doubt: float) -> int:
    """Return the fewest pictures in [first, last] of which so few errors pass, else last + 1."""
    counts = range(first, last + 1)
    return first + bisect.bisect_left(counts, True, key=lambda n: _chance_of_at_most(errors, n, rate) <= doubt)


def _chance_of_at_most(errors: int, pictures: int, rate: float) -> float:
    """Return the binomial probability of at most this many errors, for a rate in [0, 1]."""
    if errors >= pictures or rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    # From the last term, for our rates the largest, down; logarithms avoid underflow.
    logarithm = (
        math.lgamma(pictures + 1)
        - math.lgamma(errors + 1)
        - math.lgamma(pictures - errors + 1)
        + errors * math.log(rate)
        + (pictures - errors) * math.log1p(-rate)
    )
    ratio = total = 1.0
    for k in range(errors, 0, -1):
        ratio *= k * (1 - rate) / ((pictures - k + 1) * rate)
        total += ratio
        if ratio < 1e-17 * total and k < pictures * rate:
            break
    return min(1.0, math.exp(logarithm + math.log(total)))


def _binomial(pictures: int, rate: float, most: int) -> npt.NDArray[np.float64]:
    """Return the binomial probabilities of 0 to `most` errors."""
    chances = np.zeros(most + 1)
    chances[0] = math.exp(pictures * math.log1p(-rate))
    for k in range(1, min(most, pictures) + 1):
        chances[k] = chances[k - 1] * (pictures - k + 1) / k * rate / (1 - rate)
    return chances


def _checked(
    confidences: Sequence[float], correct: Sequence[bool]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    values, right = np.asarray(confidences, np.float64), np.asarray(correct, np.bool_)
    if values.ndim != 1 or values.shape != right.shape or not len(values):
        raise HeldOutError(f"{len(values)} confidences for {len(right)} answers")
    if not ((values >= 0) & (values <= 1)).all():  # which NaN is not
        raise HeldOutError("a confidence is not in [0, 1]")
    return values, right


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise HeldOutError(f"{name} must be between 0 and 1, not {value}")
