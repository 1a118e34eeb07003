"""Model, endpoint configuration and endpoint: create or update in place, wait, try, tidy up."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console

from common.endpoint_answer import AnswerError, read_answer
from common.errors import ExpectedError
from common.settings import CAPTURES_PREFIX, project
from common.waiting import Status, wait_until_done

Sleep = Callable[[float], None]

# Blue/green updates ask that the old and the new configuration name their variant alike.
VARIANT = "AllTraffic"
CAPTURE_PERCENT = 100
# SageMaker itself gives up on an endpoint that does not come up within about half an hour.
TIMEOUT_S = 3600
LOG_GROUP_PREFIX = "/aws/sagemaker/Endpoints"

MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
BEYOND_REPAIR = ("Failed", "OutOfService", "UpdateRollbackFailed")


def log_place(endpoint: str) -> str:
    """Say where an endpoint's log is, and how to read it with what the project installs."""
    group = f"{LOG_GROUP_PREFIX}/{endpoint}"
    return f"Its log: sam logs --cw-log-group {group} --start-time '1 day ago'"


class EndpointNotOursError(ExpectedError):
    """There is an endpoint of that name, and this project did not make it."""


class EndpointFailedError(ExpectedError):
    """The endpoint did not come into service. `reason` is SageMaker's FailureReason."""

    def __init__(self, endpoint: str, status: str, reason: str) -> None:
        """Say why, where its log is, and that a second run makes it anew."""
        self.endpoint, self.status, self.reason = endpoint, status, reason
        super().__init__(
            f"Endpoint {endpoint} is {status}: {reason or 'no reason given'}\n"
            f"{log_place(endpoint)}\nWhen the cause is"
            " gone, run `python -m training.create_endpoint` again: it deletes the failed endpoint"
            " and makes it anew (--model-data skips the training)."
        )


class EndpointRolledBackError(ExpectedError):
    """SageMaker kept the endpoint's former model, for the new one did not come into service."""

    def __init__(self, endpoint: str, kept: str, reason: str) -> None:
        """Name the configuration that still serves, and the reason."""
        self.endpoint, self.kept, self.reason = endpoint, kept, reason
        super().__init__(
            f"Endpoint {endpoint} still serves its former configuration {kept}, because the new one"
            f" did not come into service: {reason or 'no reason given'}\n"
            f"{log_place(endpoint)}"
        )


class DataCaptureOffError(ExpectedError):
    """The endpoint is in service and captures nothing, or not everything."""


class SmokeTestError(ExpectedError):
    """The endpoint is in service, and its answer to one picture is not what was agreed."""


def find_endpoint(sagemaker: Any, name: str) -> dict[str, Any] | None:
    """Return SageMaker's description of the endpoint, or None where there is none."""
    try:
        found: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return found


def has_our_tag(sagemaker: Any, arn: str) -> bool:
    """Tell whether this project made a thing of SageMaker's, which its tag says."""
    return project().tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]


def check_ours(sagemaker: Any, found: dict[str, Any]) -> None:
    """Raise EndpointNotOursError unless this project made the endpoint that was found."""
    if not has_our_tag(sagemaker, found["EndpointArn"]):
        raise EndpointNotOursError(
            f"There is an endpoint {found['EndpointName']} that this project did not make: give another --endpoint."
        )


def is_missing(error: ClientError) -> bool:
    """Tell whether SageMaker says that a thing does not exist: it has two ways of saying so."""
    code = error.response["Error"]["Code"]
    message = error.response["Error"].get("Message", "").lower()
    return code in ("ResourceNotFound", "ResourceNotFoundException") or (
        code == "ValidationException"
        and ("could not find" in message or "not found" in message or "does not exist" in message)
    )


def create_model(sagemaker: Any, name: str, *, image: str, model_data: str, role_arn: str) -> None:
    """Register model.tar.gz together with the image that serves it."""
    sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={
            "Image": image,
            "ModelDataUrl": model_data,
            "Environment": {
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                "SAGEMAKER_REGION": sagemaker.meta.region_name,
            },
        },
        ExecutionRoleArn=role_arn,
        Tags=[project().tag],
    )


def create_endpoint_config(sagemaker: Any, name: str, *, model: str, instance_type: str, bucket: str) -> None:
    """Describe one instance that serves the model and captures every question and answer."""
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": VARIANT,
                "ModelName": model,
                "InstanceType": instance_type,
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 1.0,
            }
        ],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": CAPTURE_PERCENT,
            "DestinationS3Uri": capture_uri(bucket),
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            # Answers are then captured as text; pictures, of no declared type, as base64.
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        },
        Tags=[project().tag],
    )


def capture_uri(bucket: str) -> str:
    """Return where captures go; SageMaker adds `/<endpoint>/<variant>/yyyy/mm/dd/hh/*.jsonl`."""
    return f"s3://{bucket}/{CAPTURES_PREFIX}"


def put_endpoint(sagemaker: Any, name: str, config: str, *, console: Console, sleep: Sleep = time.sleep) -> str:
    """Start creating the endpoint, or updating it in place when it is in service.

    One that is being changed is waited for; one that is beyond repair is deleted first.
    Returns the configuration that it has served so far, "" where there is none.
    Raises EndpointNotOursError.
    """
    found = find_endpoint(sagemaker, name)
    if found:
        check_ours(sagemaker, found)
    if found and found["EndpointStatus"] in MOVING:
        found = settle(sagemaker, name, console=console, sleep=sleep)
    if found and found["EndpointStatus"] in BEYOND_REPAIR:
        console.print(f"Endpoint {name} is {found['EndpointStatus']}: deleting it first")
        delete_endpoint(sagemaker, name, console=console, sleep=sleep)
        found = None
    if found:
        # The configuration says everything, data capture too; nothing is kept from the old one.
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, RetainAllVariantProperties=False)
        return str(found["EndpointConfigName"])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=[project().tag])
    return ""


def wait_in_service(
    sagemaker: Any, name: str, config: str, *, console: Console, sleep: Sleep = time.sleep
) -> dict[str, Any]:
    """Wait until the endpoint serves this configuration; return its description.

    Raises EndpointFailedError, EndpointRolledBackError or DataCaptureOffError.
    """
    found = settle(sagemaker, name, console=console, sleep=sleep) or {}
    status, reason = found.get("EndpointStatus", "Deleted"), found.get("FailureReason", "")
    if status != "InService":
        raise EndpointFailedError(name, status, reason)
    if found["EndpointConfigName"] != config:
        raise EndpointRolledBackError(name, found["EndpointConfigName"], reason)
    capture = found.get("DataCaptureConfig", {})
    percent = capture.get("CurrentSamplingPercentage", 0)
    state = capture.get("CaptureStatus", "absent")
    if not capture.get("EnableCapture") or percent != CAPTURE_PERCENT or state != "Started":
        raise DataCaptureOffError(
            f"Endpoint {name} is in service but its data capture is {state}, at {percent} % of its"
            " requests: run `python -m training.create_endpoint` again."
        )
    return found


def settle(sagemaker: Any, name: str, *, console: Console, sleep: Sleep = time.sleep) -> dict[str, Any] | None:
    """Wait until the endpoint is in a lasting state; return it, or None once it is gone."""
    found: dict[str, Any] | None = None

    def poll() -> Status:
        nonlocal found
        found = find_endpoint(sagemaker, name)
        text = found["EndpointStatus"] if found else "gone"
        return Status(text, done=text not in MOVING)

    wait_until_done(poll, f"Endpoint {name}", timeout_s=TIMEOUT_S, console=console, sleep=sleep)
    return found


def delete_endpoint(sagemaker: Any, name: str, *, console: Console, sleep: Sleep = time.sleep) -> None:
    """Delete the endpoint and wait until it is gone; one being changed is waited for first."""
    found = settle(sagemaker, name, console=console, sleep=sleep)
    if found:
        sagemaker.delete_endpoint(EndpointName=name)
        settle(sagemaker, name, console=console, sleep=sleep)


def instance_types(sagemaker: Any, config: str) -> set[str]:
    """Return the instance types of a configuration, none where it is gone."""
    try:
        found = sagemaker.describe_endpoint_config(EndpointConfigName=config)
    except ClientError as error:
        if is_missing(error):
            return set()
        raise
    return {variant.get("InstanceType", "") for variant in found["ProductionVariants"]}


def list_models(sagemaker: Any, endpoint: str) -> Iterator[str]:
    """Yield the models that this project made for the endpoint."""
    return _own(sagemaker, endpoint, "list_models", "Models", "Model")


def list_endpoint_configs(sagemaker: Any, endpoint: str) -> Iterator[str]:
    """Yield the endpoint configurations that this project made for the endpoint."""
    return _own(sagemaker, endpoint, "list_endpoint_configs", "EndpointConfigs", "EndpointConfig")


def list_resources(sagemaker: Any, operation: str, key: str, **only: str) -> Iterator[dict[str, Any]]:
    """Yield the entries of all pages of one of SageMaker's lists."""
    for page in sagemaker.get_paginator(operation).paginate(**only):
        yield from page[key]


def _own(sagemaker: Any, endpoint: str, operation: str, key: str, kind: str) -> Iterator[str]:
    for found in list_resources(sagemaker, operation, key, NameContains=endpoint):
        if is_ours(sagemaker, endpoint, found[f"{kind}Name"], found[f"{kind}Arn"]):
            yield found[f"{kind}Name"]


def is_ours(sagemaker: Any, endpoint: str, name: str, arn: str) -> bool:
    """Tell whether this project made the thing: by its name, then by its tag.

    The name alone would not do, nor would a prefix: those of the endpoint `scones-unlimited-2`
    begin like those of `scones-unlimited`.
    """
    if not re.fullmatch(rf"{re.escape(endpoint)}-\d{{14}}", name):
        return False
    return has_our_tag(sagemaker, arn)


def delete_superseded(sagemaker: Any, endpoint: str, keep: str) -> int:
    """Delete this endpoint's configurations and models not named `keep`; return how many.

    Only once the endpoint is in service with `keep`: one that is still updating needs the others.
    """
    configs = [name for name in list_endpoint_configs(sagemaker, endpoint) if name != keep]
    models = [name for name in list_models(sagemaker, endpoint) if name != keep]
    for name in configs:
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    for name in models:
        sagemaker.delete_model(ModelName=name)
    return len(configs) + len(models)


def smoke_test(runtime: Any, endpoint: str, picture: bytes) -> tuple[str, float]:
    """Send one PNG; return the most probable label with its probability in [0, 1].

    Raises SmokeTestError when the endpoint refuses it or does not answer as agreed.
    """
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            ContentType="image/png",
            Accept="application/json",
            Body=picture,
        )["Body"].read()
        probabilities = read_answer(answer, class_names=None)
    except ClientError as error:
        raise SmokeTestError(f"Endpoint {endpoint} is in service but refused a picture: {error}") from error
    except AnswerError as error:
        raise SmokeTestError(
            f"Endpoint {endpoint} is in service but answered {answer[:200]!r}, where"
            ' {"labels": [...], "probabilities": [...]} was agreed: look at inference.py.'
        ) from error
    label = max(probabilities, key=lambda name: probabilities[name])
    return label, probabilities[label]
