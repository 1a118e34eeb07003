"""Model, endpoint configuration and endpoint: create, update in place, wait, test, delete."""

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

# A blue/green update needs the same variant name in the old and the new configuration.
VARIANT = "AllTraffic"
CAPTURE_PERCENT = 100
# SageMaker itself gives up after about half an hour.
TIMEOUT_S = 3600
LOG_GROUP_PREFIX = "/aws/sagemaker/Endpoints"

MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
BEYOND_REPAIR = ("Failed", "OutOfService", "UpdateRollbackFailed")


class EndpointNotOursError(ExpectedError):
    """An endpoint of that name exists that this project did not create."""


class EndpointFailedError(ExpectedError):
    """The endpoint did not come into service."""


class EndpointRolledBackError(ExpectedError):
    """SageMaker restored the previous configuration, because the new one did not come into service."""


class DataCaptureOffError(ExpectedError):
    """The endpoint is in service and captures no calls, or not all."""


class SmokeTestError(ExpectedError):
    """The endpoint is in service, and its answer to one picture is unusable."""


def is_missing(error: ClientError) -> bool:
    """Tell whether SageMaker answers that a resource does not exist: it has two codes for that."""
    code = error.response["Error"]["Code"]
    message = error.response["Error"].get("Message", "").lower()
    return code in ("ResourceNotFound", "ResourceNotFoundException") or (
        code == "ValidationException"
        and ("could not find" in message or "not found" in message or "does not exist" in message)
    )


def _describe(operation: Callable[..., dict[str, Any]], **name: str) -> dict[str, Any] | None:
    """Return the answer of one of SageMaker's Describe operations, None if the resource does not exist."""
    try:
        return operation(**name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def find_endpoint(sagemaker: Any, name: str) -> dict[str, Any] | None:
    """Return SageMaker's description of the endpoint, None if it does not exist."""
    return _describe(sagemaker.describe_endpoint, EndpointName=name)


def has_our_tag(sagemaker: Any, arn: str) -> bool:
    """Tell whether a SageMaker resource has this project's tag."""
    return project().tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]


def check_ours(sagemaker: Any, found: dict[str, Any]) -> None:
    """Raise EndpointNotOursError unless the described endpoint has this project's tag."""
    if not has_our_tag(sagemaker, found["EndpointArn"]):
        raise EndpointNotOursError(
            f"The endpoint {found['EndpointName']} exists, and this project did not make it: give another --endpoint."
        )


def create_model(sagemaker: Any, name: str, *, image: str, model_data: str, role_arn: str) -> None:
    """Create the model: model.tar.gz and the image that serves it."""
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
    """Create a configuration of one instance that captures every request and answer."""
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
    """Return the prefix of the captures; SageMaker adds `/<endpoint>/<variant>/yyyy/mm/dd/hh/*.jsonl`."""
    return f"s3://{bucket}/{CAPTURES_PREFIX}"


def put_endpoint(sagemaker: Any, name: str, config: str, *, console: Console, sleep: Sleep = time.sleep) -> str:
    """Start to create the endpoint, or to update it in place.

    Waits for a change in progress, and deletes a failed endpoint first. Returns the configuration that the endpoint
    has served so far, "" for a new one. Raises EndpointNotOursError.
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
        # The configuration holds all properties, data capture included: retain none of the old one's.
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, RetainAllVariantProperties=False)
        return str(found["EndpointConfigName"])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=[project().tag])
    return ""


def wait_in_service(
    sagemaker: Any, name: str, config: str, *, console: Console, sleep: Sleep = time.sleep
) -> dict[str, Any]:
    """Wait until the endpoint serves this configuration; return the endpoint's description.

    Raises EndpointFailedError, EndpointRolledBackError or DataCaptureOffError.
    """
    found = settle(sagemaker, name, console=console, sleep=sleep) or {}
    status, reason = found.get("EndpointStatus", "Deleted"), found.get("FailureReason") or "no reason given"
    log = f"Its log: sam logs --cw-log-group {LOG_GROUP_PREFIX}/{name} --start-time '1 day ago'"
    if status != "InService":
        raise EndpointFailedError(
            f"Endpoint {name} is {status}: {reason}\n{log}\nFix the cause and run `python -m training.create_endpoint`"
            " again: it replaces the failed endpoint (--model-data skips the training)."
        )
    if found["EndpointConfigName"] != config:
        raise EndpointRolledBackError(
            f"Endpoint {name} still serves its previous configuration {found['EndpointConfigName']}, because the new"
            f" one did not come into service: {reason}\n{log}"
        )
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
    """Wait until no change of the endpoint is in progress; return its description, None if it is gone."""
    found: dict[str, Any] | None = None

    def poll() -> Status:
        nonlocal found
        found = find_endpoint(sagemaker, name)
        text = found["EndpointStatus"] if found else "gone"
        return Status(text, done=text not in MOVING)

    wait_until_done(poll, f"Endpoint {name}", timeout_s=TIMEOUT_S, console=console, sleep=sleep)
    return found


def delete_endpoint(sagemaker: Any, name: str, *, console: Console, sleep: Sleep = time.sleep) -> None:
    """Delete the endpoint and wait until it is gone; wait for a change in progress first."""
    found = settle(sagemaker, name, console=console, sleep=sleep)
    if found:
        sagemaker.delete_endpoint(EndpointName=name)
        settle(sagemaker, name, console=console, sleep=sleep)


def instance_types(sagemaker: Any, config: str) -> set[str]:
    """Return the instance types of a configuration, none if it does not exist."""
    found = _describe(sagemaker.describe_endpoint_config, EndpointConfigName=config) or {}
    return {variant.get("InstanceType", "") for variant in found.get("ProductionVariants", [])}


def list_models(sagemaker: Any, endpoint: str) -> Iterator[str]:
    """Yield the models that this project made for the endpoint."""
    return _own(sagemaker, endpoint, "list_models", "Models", "Model")


def list_endpoint_configs(sagemaker: Any, endpoint: str) -> Iterator[str]:
    """Yield the endpoint configurations that this project made for the endpoint."""
    return _own(sagemaker, endpoint, "list_endpoint_configs", "EndpointConfigs", "EndpointConfig")


def list_resources(sagemaker: Any, operation: str, key: str, **only: str) -> Iterator[dict[str, Any]]:
    """Yield the entries of all pages of one of SageMaker's List operations."""
    for page in sagemaker.get_paginator(operation).paginate(**only):
        yield from page[key]


def _own(sagemaker: Any, endpoint: str, operation: str, key: str, kind: str) -> Iterator[str]:
    for found in list_resources(sagemaker, operation, key, NameContains=endpoint):
        if is_ours(sagemaker, endpoint, found[f"{kind}Name"], found[f"{kind}Arn"]):
            yield found[f"{kind}Name"]


def is_ours(sagemaker: Any, endpoint: str, name: str, arn: str) -> bool:
    """Tell whether this project made the resource for this endpoint: its name and its tag tell.

    A prefix does not: `scones-unlimited` is a prefix of the names of the endpoint `scones-unlimited-2`.
    """
    return bool(re.fullmatch(rf"{re.escape(endpoint)}-\d{{14}}", name)) and has_our_tag(sagemaker, arn)


def delete_superseded(sagemaker: Any, endpoint: str, keep: str) -> int:
    """Delete this endpoint's configurations and models except `keep`; return the number deleted.

    The endpoint must be in service with `keep`: during an update it needs the others.
    """
    configs = [name for name in list_endpoint_configs(sagemaker, endpoint) if name != keep]
    models = [name for name in list_models(sagemaker, endpoint) if name != keep]
    for name in configs:
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    for name in models:
        sagemaker.delete_model(ModelName=name)
    return len(configs) + len(models)


def smoke_test(runtime: Any, endpoint: str, picture: bytes) -> tuple[str, float]:
    """Send one PNG; return the most probable label and its probability in [0, 1].

    Raises SmokeTestError if the endpoint refuses the picture or its answer cannot be read.
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
            f"Endpoint {endpoint} is in service but answered {answer[:200]!r} instead of"
            ' {"labels": [...], "probabilities": [...]}: check inference.py.'
        ) from error
    label = max(probabilities, key=lambda name: probabilities[name])
    return label, probabilities[label]
