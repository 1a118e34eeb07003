"""Compare two samples in one feature: a kind of number, the classes, or the files' formats."""

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

# With fewer, one odd picture could be called drift.
FEWEST_PICTURES = 10
# Of each side: a thirtieth of the pictures then makes a sure difference, which is less than anybody
# acts upon. To count the ways to deal out 10,000 values takes 40 ms.
MOST_PICTURES = 5_000


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's comparison.

    Attributes:
        name: one of FEATURES.
        pictures: how many of the baseline and how many observed ones were compared.
        baseline, observed: what is typical: QUARTILES of numbers, shares of categories by name;
            empty where there is nothing.
        effect: a share of the pictures, in [0, 1], see two_samples.Shift. None: not compared.
        low, high: the effect's interval.
        lean: how much more often the observed number is higher than lower, in [-1, 1].
        p: of this test alone. None where all values are one and the same, or not compared.
        adjusted_p: p corrected for the number of features.
        drifted: surely shifted, and by enough to matter.
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
    """Compare two samples in one of FEATURES; where that cannot be, the verdict says why."""
    before, now = _values(baseline, name), _values(observed, name)
    feature = FeatureDrift(name, (len(before), len(now)), _typical(before), _typical(now))
    if reason := _why_not(feature, baseline, observed):
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


def _values(sample: Sample, name: str) -> Numbers | list[str]:
    if name == CLASS_MIX:
        return sample.labels
    if name == FORMAT:
        return sample.formats
    if name == "confidence":
        return sample.confidences
    if name == "distance":
        return np.empty(0) if sample.distances is None else sample.distances
    return sample.features.get(name, np.empty(0))


def _why_not(feature: FeatureDrift, baseline: Sample, observed: Sample) -> str:
    before, now = feature.pictures
    if not before:
        return f"The baseline does not tell {feature.name}."
    if not now:
        return f"Of what was observed, {feature.name} is not known."
    if min(before, now) < FEWEST_PICTURES:
        whose = "observed" if now < FEWEST_PICTURES else "in the baseline"
        return f"{min(before, now)} {whose}: {FEWEST_PICTURES} are needed to compare {feature.name}."
    if feature.name == "confidence" and baseline.answered_by != observed.answered_by:
        alone, together = "one network a picture", "all of the model's networks together"
        gave = (together, alone) if baseline.answered_by == MODEL else (alone, together)
        return f"The baseline's confidence is that of {gave[0]}, the observed that of {gave[1]}."
    return ""


def _at_most(values: Numbers | list[str], generator: Generator) -> Numbers | list[str]:
    if len(values) <= MOST_PICTURES:
        return values
    places = generator.choice(len(values), MOST_PICTURES, replace=False)
    return values[places] if isinstance(values, np.ndarray) else [values[i] for i in places]


def _typical(values: Numbers | Sequence[str]) -> dict[str, float]:
    if not len(values):
        return {}
    if isinstance(values, np.ndarray):
        quartiles = np.percentile(values, (25, 50, 75))
        return {name: float(value) for name, value in zip(QUARTILES, quartiles, strict=True)}
    names, counts = np.unique(np.array(values), return_counts=True)
    return {str(name): int(count) / len(values) for name, count in zip(names, counts, strict=True)}
