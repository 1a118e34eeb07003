"""Say in plain words what a comparison has found."""

from collections.abc import Sequence
from typing import NamedTuple

from operations.monitoring.feature_drift import (
    CLASS_MIX,
    FEWEST_PICTURES,
    FORMAT,
    QUARTILES,
    FeatureDrift,
)


class Words(NamedTuple):
    """What to call a number that has become higher, and lower; itself; how to write it."""

    higher: str
    lower: str
    name: str
    digits: str
    unit: str = ""


WORDS = {
    "confidence": Words("The answers are more confident", "The answers are less confident", "confidence", ".3f"),
    "brightness": Words("The pictures are brighter", "The pictures are darker", "brightness", ".2f"),
    "contrast": Words(
        "The pictures are richer in contrast",
        "The pictures are poorer in contrast",
        "contrast",
        ".2f",
    ),
    "sharpness": Words("The pictures are sharper", "The pictures are more blurred", "sharpness", ".2f"),
    "distance": Words(
        "The pictures are stranger to the network",
        "The pictures are less strange to the network",
        "distance",
        ".1f",
    ),
    "width": Words("The pictures are wider", "The pictures are narrower", "width", ",.0f", " pixels"),
    "height": Words("The pictures are taller", "The pictures are less tall", "height", ",.0f", " pixels"),
    "bytes": Words("The files are larger", "The files are smaller", "size", ",.0f", " bytes"),
}
CATEGORIES = {CLASS_MIX: "The classes come in other shares", FORMAT: "The formats are others"}
TITLES = {
    "distance": "The distance from what the network has learned",
    "bytes": "The size of the files",
    CLASS_MIX: "The mix of classes",
    FORMAT: "The files' format",
}
# What may follow from another shift is named after it: blurred pictures make smaller files
# and less confident answers, and not the other way round.
FOLLOWING = (CLASS_MIX, "confidence", "distance", "bytes")
SHOWN = 3  # classes or formats, those that have changed most

# From half of a shift's size on in one direction it is called by it; else the values are spread
# otherwise, as when some pictures get darker and others brighter.
DIRECTED = 0.5
# A shift that only shows from here on is one that anybody would have noticed.
LARGE = 0.3


def sentence(feature: FeatureDrift, baseline: str, alpha: float) -> str:
    """Say what a feature that was compared has done, with its figures.

    Below `alpha` a p value is sure; see drift.Drift.
    """
    if feature.p is None:
        return f"{_title(feature)} is the same in all pictures, as in {baseline}."
    figures = f"{_figures(feature)} {_significance(feature)}"
    if feature.drifted:
        return f"{_finding(feature)} than in {baseline}: {figures}"
    if feature.adjusted_p is not None and feature.adjusted_p < alpha:
        return f"{_title(feature)} differs from that in {baseline}, but by too little: {figures}"
    return f"{_title(feature)} shows no difference from {baseline}: {figures}"


def overall(features: Sequence[FeatureDrift], sensitivity: float | None, baseline: str) -> str:
    """Return the verdict of the whole comparison: causes before consequences, the largest first."""
    if sensitivity is None:
        if any(feature.effect is not None for feature in features):
            return f"No drift: all pictures are one and the same, as in {baseline}."
        return f"Nothing can be said about drift: {_too_little(features, baseline)}."
    drifted = [feature for feature in features if feature.drifted]
    drifted.sort(key=lambda feature: (feature.name in FOLLOWING, -(feature.effect or 0)))
    if drifted:
        tested = sum(feature.p is not None for feature in features)
        names = ", ".join(feature.name for feature in drifted)
        return f"Drift in {len(drifted)} of {tested} features: {names}. {drifted[0].verdict}"
    return (
        f"No drift: pictures and answers are like those of {baseline}, as far as"
        f" {_compared(features)} can tell. A shift of {_in_100(sensitivity)} or more would have"
        " shown nine times in ten."
    )


def notes(features: Sequence[FeatureDrift], sensitivity: float | None) -> list[str]:
    """Return what the comparison could not detect, and why."""
    if sensitivity is None:
        return []  # the verdict has said it
    found = []
    if sensitivity > LARGE:
        found.append(
            f"{_compared(features)} are too few to tell anything but large shifts: those of"
            f" {_in_100(sensitivity)} or more."
        )
    return found + [feature.verdict for feature in features if feature.effect is None]


def _too_little(features: Sequence[FeatureDrift], baseline: str) -> str:
    before, now = (max(side) for side in zip(*(f.pictures for f in features), strict=True))
    if not now:
        return "there are no pictures"
    if now < FEWEST_PICTURES:
        return f"{_count(now)} too few to compare with {baseline}, {FEWEST_PICTURES} are needed"
    if not before:
        return f"there is nothing in {baseline} to compare with"
    return f"{_count(before)} too few in {baseline} to compare with, {FEWEST_PICTURES} are needed"


def _finding(feature: FeatureDrift) -> str:
    if feature.name in CATEGORIES:
        return CATEGORIES[feature.name]
    if not _directed(feature):
        return f"{_title(feature)} is spread otherwise"
    words = WORDS[feature.name]
    return words.higher if feature.lean > 0 else words.lower


def _figures(feature: FeatureDrift) -> str:
    now, before = feature.observed, feature.baseline
    if feature.name in CATEGORIES:
        shares = {name: now.get(name, 0) - before.get(name, 0) for name in {*now, *before}}
        most = sorted(shares, key=lambda name: (-abs(shares[name]), -shares[name], name))[:SHOWN]
        return ", ".join(f"{name} {now.get(name, 0):.0%}, was {before.get(name, 0):.0%}" for name in most) + "."
    _, _, name, digits, unit = WORDS[feature.name]
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


def _count(pictures: int) -> str:
    return "1 picture is" if pictures == 1 else f"{pictures} pictures are"


def _in_100(share: float) -> str:
    return f"{100 * share:.0f} in 100 pictures"
