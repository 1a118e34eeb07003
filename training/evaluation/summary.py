"""The figures of an evaluation, from its predictions and the threshold alone."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from common.metrics import (
    confusion_matrix,
    per_class,
    quantile,
    share,
    wilson_interval,
)
from common.predictions import is_accepted
from training.container.picture_model.calibration import expected_calibration_error
from training.evaluation.calibration_error import (
    calibration_error_interval,
    calibration_error_of_luck,
)
from training.evaluation.predictions import EndpointPrediction


def summarise(predictions: Sequence[EndpointPrediction], threshold: float) -> dict[str, Any]:
    """Return all that evaluation.json holds of these predictions."""
    truth = [p.true_class for p in predictions]
    labels = [p.label for p in predictions]
    classes = sorted({*truth, *(name for p in predictions for name in p.probabilities or ())})
    hits = sum(t == label for t, label in zip(truth, labels, strict=True))
    accepted = [p for p in predictions if p.probabilities and is_accepted([*p.probabilities.values()], threshold)]
    accepted_hits = sum(p.label == p.true_class for p in accepted)
    seconds = [p.seconds for p in predictions if p.error is None]
    return {
        "threshold": threshold,
        "pictures": len(predictions),
        "correct": hits,
        "accuracy": share(hits, len(predictions)),
        "accuracy_interval_95": wilson_interval(hits, len(predictions)),
        "accepted": len(accepted),
        "coverage": share(len(accepted), len(predictions)),
        "coverage_interval_95": wilson_interval(len(accepted), len(predictions)),
        "accuracy_accepted": share(accepted_hits, len(accepted)),
        "accuracy_accepted_interval_95": wilson_interval(accepted_hits, len(accepted)),
        "errors": sum(p.error is not None for p in predictions),
        **calibration(predictions),
        "classes": per_class(truth, labels, classes),
        "confusion_matrix": {
            "true_rows_predicted_columns": classes,
            "counts": confusion_matrix(truth, labels, classes),
        },
        "latency_s": {"median": quantile(seconds, 0.5), "p90": quantile(seconds, 0.9)},
        "predictions": [asdict(p) for p in predictions],
    }


def calibration(predictions: Sequence[EndpointPrediction]) -> dict[str, Any]:
    """Return the expected calibration error, its interval, and what luck alone would show."""
    confidences, correct = answered(predictions)
    if not confidences:
        return {"expected_calibration_error": None}
    return {
        "expected_calibration_error": expected_calibration_error(confidences, correct),
        "expected_calibration_error_interval_95": calibration_error_interval(confidences, correct),
        "expected_calibration_error_of_luck": calibration_error_of_luck(confidences),
    }


def answered(predictions: Sequence[EndpointPrediction]) -> tuple[list[float], list[bool]]:
    """Return the confidences of the pictures that got an answer, and whether it was right."""
    found = [p for p in predictions if p.confidence is not None]
    return [p.confidence or 0.0 for p in found], [p.label == p.true_class for p in found]


def acceptable(predictions: Sequence[EndpointPrediction]) -> tuple[list[float], list[bool]]:
    """Return the confidences of all pictures, 0 for what no threshold accepts: a tie, no answer."""
    confidences = [
        p.confidence or 0.0 if p.probabilities and is_accepted([*p.probabilities.values()], 0.0) else 0.0
        for p in predictions
    ]
    return confidences, [p.label == p.true_class for p in predictions]
