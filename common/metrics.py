"""Figures of a classifier, each a function of plain values.

None stands where a figure has no meaning. A prediction of None means that no answer came: it
counts as wrong, and against coverage.
"""

import math
from collections.abc import Sequence
from typing import TypedDict


class ClassFigures(TypedDict):
    """Figures of one class, in [0, 1]; `support` counts its pictures."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def confusion_matrix(truth: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]) -> list[list[int]]:
    """Count pictures: a row for each true class, a column for each predicted one.

    Pictures without an answer are in no column.
    """
    place = {name: position for position, name in enumerate(classes)}
    matrix = [[0] * len(classes) for _ in classes]
    for true, answer in zip(truth, predicted, strict=True):
        if answer is not None:
            matrix[place[true]][place[answer]] += 1
    return matrix


def per_class(truth: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]) -> dict[str, ClassFigures]:
    """Return precision, recall, F1 and support of each class."""
    figures: dict[str, ClassFigures] = {}
    for name in classes:
        hits = sum(t == p == name for t, p in zip(truth, predicted, strict=True))
        precision = share(hits, sum(p == name for p in predicted))
        recall = share(hits, sum(t == name for t in truth))
        f1 = share(2 * hits, sum(p == name for p in predicted) + sum(t == name for t in truth))
        figures[name] = {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "support": sum(t == name for t in truth),
        }
    return figures


def share(part: int, whole: int) -> float | None:
    """Return part / whole, None of nothing."""
    return part / whole if whole else None


def wilson_interval(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Return the range, in [0, 1], that the true share lies in with 95 % confidence (z = 1.96).

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. It
    holds for few pictures and near 0 and 1, where the usual plus-minus does not.
    """
    if total == 0:
        return 0.0, 1.0
    found = hits / total
    middle = (found + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(found * (1 - found) / total + (z / total / 2) ** 2)
    # Exactly the share itself where none or all are hits, which rounding would miss by a little.
    low = max(0.0, middle - half) if hits else 0.0
    high = min(1.0, middle + half) if hits < total else 1.0
    return low, high


def quantile(values: Sequence[float], level: float) -> float | None:
    """Return the value that `level` of the values do not exceed, linear in between (as numpy)."""
    if not values:
        return None
    ordered = sorted(values)
    place = level * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
