"""Choose the threshold of an evaluation: --threshold, the model's recommendation, or samconfig.toml's."""

from dataclasses import dataclass
from typing import Any, Literal

from training.endpoint.deployment import ModelRecommendation, chosen_threshold, recommend


@dataclass(frozen=True)
class EvaluationThreshold:
    """The threshold, in [0, 1], its source, and the model's recommendation."""

    value: float
    source: Literal["--threshold", "recommendation", "samconfig.toml"]
    model: ModelRecommendation


def choose_threshold(
    session: Any, endpoint: str, requested: float | None, max_error: float | None
) -> EvaluationThreshold:
    """Return the requested threshold, or else the one to deploy the stack with."""
    model = recommend(session, max_error, endpoint=endpoint)
    if requested is not None:
        return EvaluationThreshold(requested, "--threshold", model)
    value = chosen_threshold(model.recommendation)
    recommended = model.recommendation and model.recommendation.threshold == value
    return EvaluationThreshold(value, "recommendation" if recommended else "samconfig.toml", model)
