"""How to deploy the workflow for an endpoint: with the threshold that its model recommends."""

import os
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from common import settings
from common.errors import ExpectedError
from training.container.picture_model.calibration import Recommendation
from training.endpoint.model_artifact import HeldOut, endpoint_model_data, read_model_artifact


class ModelRecommendation(NamedTuple):
    """A model's recommended threshold and held-out answers; `missing` says why there are none."""

    recommendation: Recommendation | None
    held_out: HeldOut | None
    missing: str = ""


def recommend(
    session: Any, max_error: float | None, model_data: str = "", *, endpoint: str = ""
) -> ModelRecommendation:
    """Return what the model at this S3 address, or else behind the endpoint, recommends.

    `max_error` is a share; None stands for the one that the model was trained with. A model that
    recommends nothing, or that the caller may not read, raises no error.
    """
    try:
        uri = model_data or endpoint_model_data(session.client("sagemaker"), endpoint)
        artifact = read_model_artifact(session.client("s3"), uri)
        return ModelRecommendation(artifact.recommendation(max_error), artifact.held_out)
    except (ExpectedError, ClientError, BotoCoreError) as error:
        return ModelRecommendation(None, None, str(error))


def chosen_threshold(recommendation: Recommendation | None) -> float:
    """Return the threshold, in [0, 1], that the stack gets: samconfig.toml's without a better one.

    One that was not shown to be enough never takes the place of a higher one that a person set.
    """
    if recommendation is None:
        return settings.project().confidence_threshold
    if recommendation.met:
        return recommendation.threshold
    return max(recommendation.threshold, settings.project().confidence_threshold)


def threshold_words(recommendation: Recommendation | None, missing: str) -> str:
    """Say why the stack gets its threshold; `missing` is why nothing is recommended."""
    threshold = chosen_threshold(recommendation)
    if recommendation is None:
        return f"{missing} So {threshold:g} stays, as in samconfig.toml."
    if threshold != recommendation.threshold:
        return f"{recommendation} So the higher {threshold:g} of samconfig.toml stays."
    return str(recommendation)


def deploy_parameters(endpoint: str, recommendation: Recommendation | None) -> dict[str, str]:
    """Return all parameters of the stack: samconfig.toml's, with the endpoint and its threshold."""
    parameters = {**settings.project().parameters, "EndpointName": endpoint}
    threshold = chosen_threshold(recommendation)
    if threshold != settings.project().confidence_threshold:
        parameters["ConfidenceThreshold"] = f"{threshold:g}"
    return parameters


def deploy_command(parameters: Mapping[str, str]) -> str:
    """Return the command that deploys the workflow with these parameters.

    Parameters on the command line replace all of samconfig.toml's, so either none is given or all.
    """
    # Where AWS's tools are pointed at another AWS, it is the laptop's: its own part of samconfig.
    config = " --config-env local" if "AWS_ENDPOINT_URL" in os.environ else ""
    command = f"sam build{config} && sam deploy{config}"
    if parameters == settings.project().parameters:
        return command
    return f"{command} {shlex.join(parameter_overrides(parameters))}"


def parameter_overrides(parameters: Mapping[str, str]) -> list[str]:
    """Return the option of `sam deploy` that gives these parameters, and its values."""
    return ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())]
