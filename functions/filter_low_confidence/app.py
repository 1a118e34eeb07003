"""Filter Low Confidence: accept the answer or send the picture to review.

Takes  {"inferences": [0.98, 0.02], "class_names": ["bicycle", "motorcycle"], "threshold": 0.9, ...}
Adds   {"label": "bicycle", "confidence": 0.98, "accepted": true}

A picture below the threshold is an outcome, not an error: the state machine routes on `accepted`.
"""

import os
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

logger = Logger(service="filter_low_confidence")
metrics = Metrics(service="filter_low_confidence", namespace=os.environ["POWERTOOLS_METRICS_NAMESPACE"])


class InvalidInferencesError(Exception):
    """The inferences are not one probability for each of the named classes."""


class InvalidThresholdError(Exception):
    """The threshold is not a number in [0, 1]."""


def is_probability(value: object) -> bool:
    """Tell whether the value is a finite number in [0, 1]; NaN, text and true are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def decide(inferences: Any, class_names: Any, threshold: Any) -> dict[str, Any]:
    """Return the most probable class, its probability, and whether it is accepted.

    A tie for the highest probability is never accepted, since the label would depend on the order of the classes.

    Raises:
        InvalidInferencesError: not one probability for each class, or names that are not distinct.
        InvalidThresholdError: the threshold is not a number in [0, 1].
    """
    if not is_probability(threshold):
        raise InvalidThresholdError(f"the threshold must be a number in [0, 1], not {threshold!r}")
    if not isinstance(inferences, list) or not all(is_probability(p) for p in inferences):
        raise InvalidInferencesError(f"not a list of probabilities: {inferences!r}")
    if not isinstance(class_names, list) or not all(isinstance(n, str) for n in class_names):
        raise InvalidInferencesError(f"not a list of class names: {class_names!r}")
    if not inferences or not len(inferences) == len(class_names) == len(set(class_names)):
        raise InvalidInferencesError(f"{len(inferences)} probabilities for {class_names!r}: each class needs one")
    confidence = max(inferences)
    return {
        "label": class_names[inferences.index(confidence)],
        "confidence": confidence,
        "accepted": confidence >= threshold and inferences.count(confidence) == 1,
    }


def measure(label: str, confidence: float, accepted: bool) -> None:
    """Write the decision as CloudWatch metrics, for all pictures together and for this class.

    The average of `Reviewed`, 0 or 1 for each answer, is the low-confidence rate.
    """
    metrics.add_metric("Confidence", MetricUnit.NoUnit, confidence)
    metrics.add_metric("Accepted", MetricUnit.Count, float(accepted))
    metrics.add_metric("Reviewed", MetricUnit.Count, float(not accepted))
    metrics.add_dimensions(service=metrics.service, label=label)
    metrics.flush_metrics()


def filter_answer(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event with label, confidence and the decision."""
    threshold = event.get("threshold")
    decision = decide(event.get("inferences"), event.get("class_names"), threshold)
    measure(**decision)
    logger.info(
        "picture decided",
        s3_bucket=event.get("s3_bucket"),
        s3_key=event.get("s3_key"),
        threshold=threshold,
        **decision,
    )
    return event | decision


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Decide on the answer of the event; log the outcome under the execution's ARN."""
    if not isinstance(event, dict):
        raise InvalidInferencesError(f"the event must be an object, not {event!r}")
    logger.set_correlation_id(event.get("execution_arn"))
    try:
        return filter_answer(event)
    except Exception:
        logger.exception("picture not decided")
        raise
