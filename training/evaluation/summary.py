"""Summarise an evaluation: figures from its predictions and the threshold alone."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from common.metrics import confusion_matrix, per_class, quantile, share, wilson_interval
from training.container.picture_model.calibration import expected_calibration_error
from training.evaluation.predictions import EndpointPrediction

RESAMPLES = 1000  # the ends of a 95 % interval are then the 25th values from both ends


def summarise(predictions: Sequence[EndpointPrediction], threshold: float) -> dict[str, Any]:
    """Return the contents of evaluation.json that come from these predictions."""
    truth = [p.true_class for p in predictions]
    labels = [p.label for p in predictions]
    classes = sorted({*truth, *(name for p in predictions for name in p.probabilities or ())})
    hits = sum(t == label for t, label in zip(truth, labels, strict=True))
    accepted = [p for p in predictions if p.is_accepted(threshold)]
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
        **_calibration(*answered(predictions)),
        "classes": per_class(truth, labels, classes),
        "confusion_matrix": {
            "true_rows_predicted_columns": classes,
            "counts": confusion_matrix(truth, labels, classes),
        },
        "latency_s": {"median": quantile(seconds, 0.5), "p90": quantile(seconds, 0.9)},
        "predictions": [asdict(p) for p in predictions],
    }


def answered(predictions: Sequence[EndpointPrediction]) -> tuple[list[float], list[bool]]:
    """Return the confidences of the pictures that got an answer, and whether it was right."""
    confidences = [p.confidence for p in predictions if p.confidence is not None]
    return confidences, [p.label == p.true_class for p in predictions if p.confidence is not None]


def acceptable(predictions: Sequence[EndpointPrediction]) -> tuple[list[float], list[bool]]:
    """Return the confidences of all pictures, 0 if no threshold accepts them: a tie, no answer."""
    confidences = [(p.is_accepted(0.0) and p.confidence) or 0.0 for p in predictions]
    return confidences, [p.label == p.true_class for p in predictions]


def _calibration(confidences: list[float], correct: list[bool]) -> dict[str, Any]:
    """Return the expected calibration error with its 95 % interval, and the one of perfectly calibrated answers.

    The interval is a percentile bootstrap (B. Efron, "Bootstrap methods", 1979). Resampling adds its own
    randomness to that of the pictures, so that the interval lies somewhat too high.
    """
    if not confidences:
        return {"expected_calibration_error": None}
    generator = np.random.default_rng(0)  # the same interval for the same pictures
    errors = []
    for _ in range(RESAMPLES):
        drawn = generator.integers(len(confidences), size=len(confidences))
        errors.append(expected_calibration_error([confidences[i] for i in drawn], [correct[i] for i in drawn]))
    low, high = np.quantile(errors, [0.025, 0.975])
    return {
        "expected_calibration_error": expected_calibration_error(confidences, correct),
        "expected_calibration_error_interval_95": (float(low), float(high)),
        "expected_calibration_error_of_luck": calibration_error_of_luck(confidences),
    }


def calibration_error_of_luck(confidences: Sequence[float]) -> float:
    """Return the mean calibration error of perfectly calibrated answers with these confidences.

    So many pictures show it of a classifier whose accuracy is exactly its confidence (J. Bröcker and
    L. A. Smith, "Increasing the reliability of reliability diagrams", 2007).
    """
    generator = np.random.default_rng(0)
    drawn = (generator.random(len(confidences)) < confidences for _ in range(RESAMPLES))
    return float(np.mean([expected_calibration_error(confidences, correct.tolist()) for correct in drawn]))
