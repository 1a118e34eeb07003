"""The figures of a monitoring report, in the shape of monitor.json."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from operations.monitoring.predictions import Floats, Integers, Predictions, Reading

Length = Literal["minute", "hour", "day"]

SECONDS: dict[Length, int] = {"minute": 60, "hour": 3600, "day": 86400}
# A chart shows about this many periods clearly.
MOST_MINUTES = 90
MOST_HOURS = 72
QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}
HISTOGRAM_BINS = 20


def summarise(reading: Reading, threshold: float) -> dict[str, Any]:
    """Return all figures that need neither a baseline nor a picture; without predictions a figure may be None."""
    predictions = reading.predictions
    times = predictions.times
    accepted = predictions.accepted(threshold)
    counts = class_counts(predictions)
    return {
        "files": len(reading.files),
        "files_left_out": reading.left_out,
        "lines": reading.lines,
        "damaged": reading.damaged.total(),
        "refused": reading.refused,
        "outside": reading.outside,
        "predictions": len(predictions),
        "classes": counts,
        "first": iso(times.min()) if len(times) else None,
        "last": iso(times.max()) if len(times) else None,
        "threshold": threshold,
        "accepted": int(accepted.sum()),
        "coverage": _mean(accepted.astype(float)),
        "mean_confidence": _mean(predictions.confidences),
        "median_confidence": _quantile(predictions.confidences, 0.5),
        "damaged_reasons": dict(reading.damaged.most_common()),
        "damaged_lines": [line._asdict() for line in reading.damaged_lines],
        "class_figures": {
            name: {
                "predictions": counts[name],
                "share": counts[name] / len(predictions),
                "accepted": int(accepted[of_class].sum()),
                "mean_confidence": _mean(predictions.confidences[of_class]),
                "histogram": np.histogram(predictions.confidences[of_class], HISTOGRAM_BINS, (0, 1))[0].tolist(),
            }
            for position, name in enumerate(predictions.classes)
            for of_class in [predictions.labels == position]
        },
        "histogram_edges": [edge / HISTOGRAM_BINS for edge in range(HISTOGRAM_BINS + 1)],
        "period": (length := period_length(times)),
        "periods": period_figures(predictions, threshold, length),
        "formats": dict(sorted(Counter(predictions.formats.tolist()).items())),
        "features": {
            name: {"mean": _mean(values)} | {key: _quantile(values, level) for key, level in QUANTILES.items()}
            for name, values in predictions.features.items()
        },
    }


def class_counts(predictions: Predictions) -> dict[str, int]:
    """Count the predictions of each class, including classes without any."""
    counts = np.bincount(predictions.labels, minlength=len(predictions.classes))
    return {name: int(count) for name, count in zip(predictions.classes, counts, strict=True)}


def period_figures(predictions: Predictions, threshold: float, length: Length) -> list[dict[str, Any]]:
    """Return the figures of each period with predictions, in their order."""
    starts = period_starts(predictions.times, length)
    order = np.argsort(starts, kind="stable")
    first = np.flatnonzero(np.diff(starts[order], prepend=-1))
    groups: list[Integers] = np.split(order, first[1:]) if len(order) else []
    return [
        {
            "start": iso(starts[group[0]]),
            "predictions": len(part),
            "coverage": _mean(part.accepted(threshold).astype(float)),
            "mean_confidence": _mean(part.confidences),
            **{key: _quantile(part.confidences, level) for key, level in QUANTILES.items()},
            "classes": class_counts(part),
        }
        for group in groups
        for part in [predictions.select(group)]
    ]


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _quantile(values: Floats, level: float) -> float | None:
    return float(np.quantile(values, level)) if len(values) else None


def period_length(times: Floats) -> Length:
    """Return the length that suits the span of these times, in seconds since 1970."""
    span = float(times.max() - times.min()) if len(times) else 0.0
    if span < MOST_MINUTES * SECONDS["minute"]:
        return "minute"
    return "hour" if span < MOST_HOURS * SECONDS["hour"] else "day"


def period_starts(times: Floats, length: Length) -> Integers:
    """Return the start of each time's period, in UTC: seconds since 1970."""
    return np.floor_divide(times, SECONDS[length]).astype(np.int64) * SECONDS[length]


def moment(seconds: float) -> datetime:
    """Return seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(float(seconds), UTC)


def iso(seconds: float) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC, to the second."""
    return f"{moment(seconds):%Y-%m-%dT%H:%M:%SZ}"
