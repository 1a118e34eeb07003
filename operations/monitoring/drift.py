"""Compare what an endpoint gets and answers with a baseline: what has drifted, how far, how surely.

Each feature is tested for itself, and Holm's correction keeps the chance of any false alarm in the
whole comparison at `alpha`, as far as pictures come independently of each other: thirty frames of
one scene count as thirty pictures here, and say as much as one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from operations.monitoring import verdicts
from operations.monitoring.feature_drift import FEATURES, FeatureDrift, compare_feature
from operations.monitoring.sample import Sample
from operations.monitoring.two_samples import holm, sensitivity

# One report in 50: daily ones would be wrong once in seven weeks. It also takes that much to see at
# most 5 % of false alarms in 200 comparisons; with .05 itself luck would make them more half the
# time.
ALPHA = 0.02
# A shift of less than a tenth of the pictures is none to act upon, however sure it is. Of
# confidence it says: at no threshold does coverage differ by more than a tenth.
MIN_EFFECT = 0.1


@dataclass(frozen=True)
class Drift:
    """What has drifted.

    Attributes:
        drifted: any feature has.
        verdict: a sentence or two: all of the result, for who reads no table.
        notes: what the comparison could not tell, and why.
        features: one for each of FEATURES, in their order.
        sensitivity: the effect from which on a shift of any feature that was tested would be found
            nine times in ten, in [0, 1]; None where nothing was tested.
        baseline: what is compared with, in words: "training".
        alpha, min_effect: what a shift has to pass.
    """

    drifted: bool
    verdict: str
    notes: list[str]
    features: list[FeatureDrift]
    sensitivity: float | None
    baseline: str
    alpha: float
    min_effect: float = MIN_EFFECT

    def to_json(self) -> dict[str, Any]:
        """Give all of it in JSON's types."""
        return asdict(self)


def compare(baseline: Sample, observed: Sample, *, alpha: float = ALPHA, seed: int = 0) -> Drift:
    """Compare an observed sample with a baseline.

    `alpha` is the chance of a false alarm in the whole comparison. `seed` decides which pictures of
    a very large sample are taken, and how classes and formats are permuted.
    """
    generator = np.random.default_rng(seed)
    features = _decide([compare_feature(name, baseline, observed, generator) for name in FEATURES], alpha)
    features = [
        feature
        if feature.effect is None
        else replace(feature, verdict=verdicts.sentence(feature, baseline.source, alpha))
        for feature in features
    ]
    least = _sensitivity(features, alpha)
    return Drift(
        drifted=any(feature.drifted for feature in features),
        verdict=verdicts.overall(features, least, baseline.source),
        notes=verdicts.notes(features, least),
        features=features,
        sensitivity=least,
        baseline=baseline.source,
        alpha=alpha,
    )


def _decide(features: Sequence[FeatureDrift], alpha: float) -> list[FeatureDrift]:
    """Correct the p values of what was tested for their number, and say what has drifted."""
    adjusted = iter(holm([feature.p for feature in features if feature.p is not None]))
    decided = []
    for feature in features:
        if feature.p is not None and feature.effect is not None:
            p = next(adjusted)
            drifted = p < alpha and feature.effect >= MIN_EFFECT
            decided.append(replace(feature, adjusted_p=p, drifted=drifted))
        else:
            decided.append(feature)
    return decided


def _sensitivity(features: Sequence[FeatureDrift], alpha: float) -> float | None:
    tested = [feature.pictures for feature in features if feature.p is not None]
    found = [sensitivity(*pictures, alpha / len(tested)) for pictures in tested]
    return max(MIN_EFFECT, *found) if found else None
