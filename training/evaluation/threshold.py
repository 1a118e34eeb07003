"""Choose the threshold of an evaluation: as asked, as the model recommends, or as samconfig.toml says."""

from dataclasses import dataclass
from typing import Any, Literal

from training.endpoint.deployment import ModelRecommendation, chosen_threshold, recommend


@dataclass(frozen=True)
class EvaluationThreshold:
    """The threshold, in [0, 1], where it comes from, and what the model recommends."""

    value: float
    source: Literal["--threshold", "recommendation", "samconfig.toml"]
    model: ModelRecommendation


def choose_threshold(session: Any, endpoint: str, asked: float | None, max_error: float | None) -> EvaluationThreshold:
    """Return the threshold that was asked for, or else the one to deploy the stack with."""
    model = recommend(session, max_error, endpoint=endpoint)
    if asked is not None:
        return EvaluationThreshold(asked, "--threshold", model)
    value = chosen_threshold(model.recommendation)
    recommended = model.recommendation and model.recommendation.threshold == value
    return EvaluationThreshold(value, "recommendation" if recommended else "samconfig.toml", model)
