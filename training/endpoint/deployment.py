"""The parameters and the command that deploy the workflow for an endpoint."""

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
    """A model's recommended threshold and held-out answers; `missing` is the reason for None."""

    recommendation: Recommendation | None
    held_out: HeldOut | None
    missing: str = ""


def recommend(
    session: Any, max_error: float | None, model_data: str = "", *, endpoint: str = ""
) -> ModelRecommendation:
    """Return the recommendation of the model at this S3 address, without one of the endpoint's model.

    `max_error` is a share in (0, 1), None for the one of the training. Without a recommendation, or permission to
    read the model, `missing` of the result says why.
    """
    try:
        uri = model_data or endpoint_model_data(session.client("sagemaker"), endpoint)
        artifact = read_model_artifact(session.client("s3"), uri)
        return ModelRecommendation(artifact.recommendation(max_error), artifact.held_out)
    except (ExpectedError, ClientError, BotoCoreError) as error:
        return ModelRecommendation(None, None, str(error))


def chosen_threshold(recommendation: Recommendation | None) -> float:
    """Return the threshold of the stack, in [0, 1]: the recommended one, else that of samconfig.toml.

    A recommendation that is not `met` never lowers samconfig.toml's threshold.
    """
    configured = settings.project().confidence_threshold
    if recommendation is None:
        return configured
    return recommendation.threshold if recommendation.met else max(recommendation.threshold, configured)


def threshold_words(recommendation: Recommendation | None, missing: str) -> str:
    """Return the reason for the stack's threshold; `missing` is the reason for no recommendation."""
    threshold = chosen_threshold(recommendation)
    if recommendation is None:
        return f"{missing} So {threshold:g} stays, as in samconfig.toml."
    if threshold != recommendation.threshold:
        return f"{recommendation} So the higher {threshold:g} of samconfig.toml stays."
    return str(recommendation)


def deploy_parameters(endpoint: str, recommendation: Recommendation | None) -> dict[str, str]:
    """Return all parameters of the stack: samconfig.toml's, with this endpoint and its threshold."""
    parameters = {**settings.project().parameters, "EndpointName": endpoint}
    threshold = chosen_threshold(recommendation)
    if threshold != settings.project().confidence_threshold:
        parameters["ConfidenceThreshold"] = f"{threshold:g}"
    return parameters


def deploy_command(parameters: Mapping[str, str]) -> str:
    """Return the command that deploys the workflow with these parameters.

    Parameters on the command line replace all of samconfig.toml's, so the command has none or all.
    """
    # AWS_ENDPOINT_URL points to the laptop's AWS, which has its own section in samconfig.toml.
    config = " --config-env local" if "AWS_ENDPOINT_URL" in os.environ else ""
    command = f"sam build{config} && sam deploy{config}"
    if parameters == settings.project().parameters:
        return command
    return f"{command} {shlex.join(parameter_overrides(parameters))}"


def parameter_overrides(parameters: Mapping[str, str]) -> list[str]:
    """Return the option of `sam deploy` for these parameters, with its values."""
    return ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())]
