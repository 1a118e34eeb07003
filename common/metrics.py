"""Metrics of a classifier, None where a metric is undefined.

A prediction of None means that no answer came: it counts as wrong, and against coverage.
"""

import math
from collections.abc import Sequence
from typing import TypedDict


class ClassFigures(TypedDict):
    """Metrics of one class, in [0, 1]; `support` is the number of its pictures."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def confusion_matrix(truth: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]) -> list[list[int]]:
    """Count pictures by true class (row) and predicted class (column); a picture without an answer is in none."""
    index = {name: position for position, name in enumerate(classes)}
    matrix = [[0] * len(classes) for _ in classes]
    for true, answer in zip(truth, predicted, strict=True):
        if answer is not None:
            matrix[index[true]][index[answer]] += 1
    return matrix


def per_class(truth: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]) -> dict[str, ClassFigures]:
    """Return precision, recall, F1 and support of each class."""
    figures: dict[str, ClassFigures] = {}
    for name in classes:
        hits = sum(t == p == name for t, p in zip(truth, predicted, strict=True))
        answers, support = predicted.count(name), truth.count(name)
        figures[name] = {
            "precision": share(hits, answers),
            "recall": share(hits, support),
            "f1": share(2 * hits, answers + support),
            "support": support,
        }
    return figures


def share(part: int, whole: int) -> float | None:
    """Return part / whole, None if whole is 0."""
    return part / whole if whole else None


def wilson_interval(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % confidence interval (z = 1.96) of a share, within [0, 1].

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927: unlike the normal
    approximation, it holds for few pictures and near 0 and 1.
    """
    if total == 0:
        return 0.0, 1.0
    found = hits / total
    middle = (found + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(found * (1 - found) / total + (z / total / 2) ** 2)
    # Rounding would miss the exact limits 0 and 1.
    low = max(0.0, middle - half) if hits else 0.0
    high = min(1.0, middle + half) if hits < total else 1.0
    return low, high


def quantile(values: Sequence[float], level: float) -> float | None:
    """Return the quantile at `level` in [0, 1], linearly interpolated as by numpy; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    position = level * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
