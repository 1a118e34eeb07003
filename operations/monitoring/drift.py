"""Decide whether the pictures and answers of an endpoint have drifted from a baseline.

Each feature is tested on its own, and Holm's correction keeps the probability of any false alarm in the whole
comparison at ALPHA, as far as pictures are independent: thirty frames of one scene count as thirty pictures here,
with the information of one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from operations.monitoring import verdict_text
from operations.monitoring.feature_drift import ALPHA, FEATURES, FeatureDrift, compare_feature
from operations.monitoring.sample import Sample
from operations.monitoring.two_samples import holm, sensitivity

# A smaller shift does not call for action, however significant it is. For confidence it means: at no threshold does
# coverage differ by more than a tenth.
MIN_EFFECT = 0.1


@dataclass(frozen=True)
class Drift:
    """The result of a comparison.

    Attributes:
        drifted: whether any feature has drifted.
        verdict: the whole result in a sentence or two.
        notes: what the comparison could not detect, and why.
        features: one for each of FEATURES, in their order.
        sensitivity: a shift of any tested feature by at least this effect, in [0, 1], would be found nine times in ten;
            None where nothing could be tested.
        baseline: the baseline's source, such as "training".
        alpha, min_effect: what a shift has to pass.
    """

    drifted: bool
    verdict: str
    notes: list[str]
    features: list[FeatureDrift]
    sensitivity: float | None
    baseline: str
    alpha: float = ALPHA
    min_effect: float = MIN_EFFECT

    @property
    def tested(self) -> bool:
        """Whether anything could be tested: a few pictures are not enough."""
        return self.sensitivity is not None

    def to_json(self) -> dict[str, Any]:
        """Return all attributes in JSON's types."""
        return asdict(self)


def compare(baseline: Sample, observed: Sample, *, seed: int = 0) -> Drift:
    """Compare an observed sample with a baseline.

    `seed` determines which pictures of a very large sample are taken, and the permutations of classes and formats.
    """
    generator = np.random.default_rng(seed)
    features = [compare_feature(name, baseline, observed, generator) for name in FEATURES]
    features = _decide(features, baseline.source)
    tested = [feature.pictures for feature in features if feature.p is not None]
    effects = [sensitivity(*pictures, ALPHA / len(tested)) for pictures in tested]
    detectable = max(MIN_EFFECT, *effects) if effects else None
    return Drift(
        drifted=any(feature.drifted for feature in features),
        verdict=verdict_text.overall(features, detectable, baseline.source),
        notes=verdict_text.notes(features, detectable),
        features=features,
        sensitivity=detectable,
        baseline=baseline.source,
    )


def _decide(features: Sequence[FeatureDrift], source: str) -> list[FeatureDrift]:
    """Correct the p values for the number of tests, decide what has drifted, and add the verdicts."""
    adjusted = iter(holm([feature.p for feature in features if feature.p is not None]))
    decided = []
    for feature in features:
        if feature.effect is None:
            decided.append(feature)
            continue
        p = None if feature.p is None else next(adjusted)
        drifted = p is not None and p < ALPHA and feature.effect >= MIN_EFFECT
        tested = replace(feature, adjusted_p=p, drifted=drifted)
        decided.append(replace(tested, verdict=verdict_text.sentence(tested, source)))
    return decided
