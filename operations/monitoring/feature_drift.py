"""Compare two samples in one feature: a kind of number, the classes, or the files' formats."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from operations.monitoring.sample import MODEL, Sample
from operations.monitoring.two_samples import Numbers, category_shift, number_shift

CLASS_MIX = "class mix"
FORMAT = "format"
FEATURES = (
    "confidence",
    CLASS_MIX,
    "brightness",
    "contrast",
    "sharpness",
    "distance",
    "width",
    "height",
    "bytes",
    FORMAT,
)
QUARTILES = ("25%", "50%", "75%")

# One report in 50: daily ones would be wrong once in seven weeks. The tests expect at most 5 % of false alarms in 200
# comparisons; with .05 itself, chance alone would exceed that half the time.
ALPHA = 0.02
FEWEST_PICTURES = 10  # with fewer, one odd picture could be called drift
# Of each side: a thirtieth of the pictures is then significant, which is too little to act upon. A test of 10,000
# values takes 40 ms.
MOST_PICTURES = 5_000


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's comparison.

    Attributes:
        name: one of FEATURES.
        pictures: numbers of compared pictures: of the baseline, and observed.
        baseline, observed: QUARTILES of numbers, or shares of categories by name; empty without pictures.
        effect, low, high: effect and its interval, see two_samples.Shift; None if not compared.
        lean: see two_samples.Shift.
        p: of this test alone; None if not compared or if all values are the same.
        adjusted_p: p corrected for the number of features.
        drifted: whether the shift is significant and large enough.
        verdict: a sentence.
    """

    name: str
    pictures: tuple[int, int]
    baseline: dict[str, float]
    observed: dict[str, float]
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    lean: float = 0.0
    p: float | None = None
    adjusted_p: float | None = None
    drifted: bool = False
    verdict: str = ""


def compare_feature(name: str, baseline: Sample, observed: Sample, generator: Generator) -> FeatureDrift:
    """Compare two samples in one of FEATURES; where that is impossible, the verdict says why."""
    before, now = feature_values(baseline, name), feature_values(observed, name)
    feature = FeatureDrift(name, (len(before), len(now)), _typical(before), _typical(now))
    if reason := _obstacle(feature, baseline, observed):
        return replace(feature, verdict=reason)
    before, now = _at_most(before, generator), _at_most(now, generator)
    if isinstance(before, np.ndarray) and isinstance(now, np.ndarray):
        shift = number_shift(before, now)
    else:
        shift = category_shift(list(before), list(now), generator)
    return replace(
        feature,
        pictures=(len(before), len(now)),
        effect=shift.effect,
        low=shift.low,
        high=shift.high,
        lean=shift.lean,
        p=shift.p if len({*before, *now}) > 1 else None,
    )


def feature_values(sample: Sample, name: str) -> Numbers | list[str]:
    """Return the values of one of FEATURES, none where the sample lacks it."""
    if name == CLASS_MIX:
        return sample.labels
    if name == FORMAT:
        return sample.formats
    if name == "confidence":
        return sample.confidences
    if name == "distance":
        return np.empty(0) if sample.distances is None else sample.distances
    return sample.features.get(name, np.empty(0))


def _obstacle(feature: FeatureDrift, baseline: Sample, observed: Sample) -> str:
    """Say why the feature cannot be compared, "" if it can."""
    before, now = feature.pictures
    if not before:
        return f"The baseline has no {feature.name}."
    if not now:
        return f"The captured calls have no {feature.name}."
    if min(before, now) < FEWEST_PICTURES:
        side = "observed" if now < FEWEST_PICTURES else "in the baseline"
        return f"{min(before, now)} {side}: {FEWEST_PICTURES} are needed to compare {feature.name}."
    if feature.name == "confidence" and baseline.answered_by != observed.answered_by:
        member, ensemble = "one ensemble member per picture", "the whole ensemble"
        sources = (ensemble, member) if baseline.answered_by == MODEL else (member, ensemble)
        return f"The baseline's confidence is that of {sources[0]}, the observed that of {sources[1]}."
    return ""


def _at_most(values: Numbers | list[str], generator: Generator) -> Numbers | list[str]:
    if len(values) <= MOST_PICTURES:
        return values
    chosen = generator.choice(len(values), MOST_PICTURES, replace=False)
    return values[chosen] if isinstance(values, np.ndarray) else [values[i] for i in chosen]


def _typical(values: Numbers | Sequence[str]) -> dict[str, float]:
    if not len(values):
        return {}
    if isinstance(values, np.ndarray):
        quartiles = np.percentile(values, (25, 50, 75))
        return {name: float(value) for name, value in zip(QUARTILES, quartiles, strict=True)}
    return {name: count / len(values) for name, count in sorted(Counter(values).items())}
