"""From which confidence on answers are accepted: as asked, as the model recommends, or as set."""

from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from common.errors import ExpectedError
from training.container.picture_model.calibration import Recommendation
from training.endpoint.deployment import chosen_threshold
from training.endpoint.model_artifact import HeldOut, endpoint_model_data, read_model_artifact

Source = Literal["--threshold", "recommendation", "samconfig.toml"]


@dataclass(frozen=True)
class Threshold:
    """The threshold, in [0, 1], where it comes from, and what the model brings to judge it by.

    `missing` says why there is no recommendation, "" where there is one.
    """

    value: float
    source: Source
    recommendation: Recommendation | None
    held_out: HeldOut | None
    missing: str


def choose_threshold(session: Any, endpoint: str, asked: float | None, max_error: float | None) -> Threshold:
    """Return the threshold that was asked for, or else the one to deploy the stack with.

    A model that recommends none, or that this caller may not read, is no reason to stop.
    """
    try:
        uri = endpoint_model_data(session.client("sagemaker"), endpoint)
        artifact = read_model_artifact(session.client("s3"), uri)
        recommendation: Recommendation | None = artifact.recommendation(max_error)
        held_out: HeldOut | None = artifact.held_out
        missing = ""
    except (ExpectedError, ClientError, BotoCoreError) as error:
        recommendation, held_out, missing = None, None, str(error)
    value = chosen_threshold(recommendation) if asked is None else asked
    source: Source = "--threshold"
    if asked is None:
        own = recommendation and recommendation.threshold == value
        source = "recommendation" if own else "samconfig.toml"
    return Threshold(value, source, recommendation, held_out, missing)
