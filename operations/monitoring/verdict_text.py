"""The result of a comparison in sentences."""

from collections.abc import Sequence
from typing import NamedTuple

from operations.monitoring.feature_drift import ALPHA, CLASS_MIX, FEWEST_PICTURES, FORMAT, QUARTILES, FeatureDrift


class Wording(NamedTuple):
    """A number that is higher, or lower; its name, format and unit."""

    higher: str
    lower: str
    name: str
    digits: str
    unit: str = ""


WORDINGS = {
    "confidence": Wording("The answers are more confident", "The answers are less confident", "confidence", ".3f"),
    "brightness": Wording("The pictures are brighter", "The pictures are darker", "brightness", ".2f"),
    "contrast": Wording("The pictures have more contrast", "The pictures have less contrast", "contrast", ".2f"),
    "sharpness": Wording("The pictures are sharper", "The pictures are more blurred", "sharpness", ".2f"),
    "distance": Wording("The pictures are less familiar", "The pictures are more familiar", "distance", ".1f"),
    "width": Wording("The pictures are wider", "The pictures are narrower", "width", ",.0f", " pixels"),
    "height": Wording("The pictures are taller", "The pictures are less tall", "height", ",.0f", " pixels"),
    "bytes": Wording("The files are larger", "The files are smaller", "size", ",.0f", " bytes"),
}
CATEGORIES = {CLASS_MIX: "The shares of the classes are different", FORMAT: "The formats are different"}
TITLES = {
    "distance": "The distance from the training pictures",
    "bytes": "The size of the files",
    CLASS_MIX: "The mix of classes",
    FORMAT: "The format of the files",
}
# Consequences are named after their causes: blurred pictures make smaller files and less confident answers.
CONSEQUENCES = (CLASS_MIX, "confidence", "distance", "bytes")
SHOWN = 3  # classes or formats, those that have changed most

# A shift has a direction if its lean is at least this part of its effect; otherwise the spread is different, as when
# some pictures get darker and others brighter.
DIRECTED = 0.5
LARGE = 0.3  # an effect that is obvious without a test


def sentence(feature: FeatureDrift, baseline: str) -> str:
    """Return the verdict on a compared feature, with its figures."""
    if feature.p is None:
        return f"{_title(feature)} is the same in all pictures, as in {baseline}."
    figures = f"{_figures(feature)} {_significance(feature)}"
    if feature.drifted:
        return f"{_finding(feature)} than in {baseline}: {figures}"
    if feature.adjusted_p is not None and feature.adjusted_p < ALPHA:
        return f"{_title(feature)} differs from that in {baseline}, but by too little: {figures}"
    return f"{_title(feature)} does not differ from that in {baseline}: {figures}"


def overall(features: Sequence[FeatureDrift], sensitivity: float | None, baseline: str) -> str:
    """Return the verdict on the whole comparison: causes before consequences, the largest first."""
    if sensitivity is None:
        if any(feature.effect is not None for feature in features):
            return f"No drift: all pictures are the same, as in {baseline}."
        return f"Drift cannot be assessed: {_obstacle(features, baseline)}."
    drifted = [feature for feature in features if feature.drifted]
    drifted.sort(key=lambda feature: (feature.name in CONSEQUENCES, -(feature.effect or 0)))
    if drifted:
        tested = sum(feature.p is not None for feature in features)
        names = ", ".join(feature.name for feature in drifted)
        return f"Drift in {len(drifted)} of {tested} features: {names}. {drifted[0].verdict}"
    return (
        f"No drift: {_compared(features)} show no difference from {baseline}. A shift of {_in_100(sensitivity)} or more"
        " would be found nine times in ten."
    )


def notes(features: Sequence[FeatureDrift], sensitivity: float | None) -> list[str]:
    """Return what the comparison could not detect, and why."""
    if sensitivity is None:
        return []  # the verdict says why
    few = [f"{_compared(features)} show only large shifts: those of {_in_100(sensitivity)} or more."]
    return few * (sensitivity > LARGE) + [feature.verdict for feature in features if feature.effect is None]


def _obstacle(features: Sequence[FeatureDrift], baseline: str) -> str:
    before, now = (max(side) for side in zip(*(f.pictures for f in features), strict=True))
    if now < FEWEST_PICTURES:
        return f"a comparison needs {FEWEST_PICTURES} captured pictures and has {now}"
    return f"a comparison needs {FEWEST_PICTURES} pictures in {baseline} and has {before}"


def _finding(feature: FeatureDrift) -> str:
    if feature.name in CATEGORIES:
        return CATEGORIES[feature.name]
    if not _directed(feature):
        return f"{_title(feature)} has a different spread"
    wording = WORDINGS[feature.name]
    return wording.higher if feature.lean > 0 else wording.lower


def _figures(feature: FeatureDrift) -> str:
    now, before = feature.observed, feature.baseline
    if feature.name in CATEGORIES:
        shares = {name: now.get(name, 0) - before.get(name, 0) for name in {*now, *before}}
        most = sorted(shares, key=lambda name: (-abs(shares[name]), -shares[name], name))[:SHOWN]
        return ", ".join(f"{name} {now.get(name, 0):.0%}, was {before.get(name, 0):.0%}" for name in most) + "."
    _, _, name, digits, unit = WORDINGS[feature.name]
    low, median, high = QUARTILES
    if feature.drifted and not _directed(feature):
        return (
            f"half of them from {now[low]:{digits}} to {now[high]:{digits}}{unit}, were from"
            f" {before[low]:{digits}} to {before[high]:{digits}}."
        )
    return f"median {name} {now[median]:{digits}}{unit}, was {before[median]:{digits}}."


def _significance(feature: FeatureDrift) -> str:
    effect, p = feature.effect or 0.0, feature.adjusted_p or 0.0
    chance = "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
    return f"Shift of {_in_100(effect)} ({100 * (feature.low or 0):.0f} to {100 * (feature.high or 0):.0f}), {chance}."


def _directed(feature: FeatureDrift) -> bool:
    return abs(feature.lean) >= DIRECTED * (feature.effect or 0)


def _title(feature: FeatureDrift) -> str:
    return TITLES.get(feature.name, f"The {feature.name}")


def _compared(features: Sequence[FeatureDrift]) -> str:
    tested = [feature.pictures for feature in features if feature.p is not None]
    before, now = (min(side) for side in zip(*tested, strict=True))
    return f"{now:,} pictures against {before:,}"


def _in_100(share: float) -> str:
    return f"{100 * share:.0f} in 100 pictures"
