"""Answers of SageMaker, as its API describes endpoints, training jobs, configurations and models."""

from collections.abc import Iterable
from typing import Any

from botocore.stub import Stubber

from common.settings import project
from tests.unit.aws_stubs import ACCOUNT, REGION

WHEN = "2026-01-01T00:00:00Z"


def arn(kind: str, name: str) -> str:
    """Return the ARN of a SageMaker resource."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


def add_tags(sagemaker: Stubber, kind: str, *names: str, tags: Iterable[dict[str, str]] = (project().tag,)) -> None:
    """Let list_tags answer these tags for each of the resources."""
    for name in names:
        sagemaker.add_response("list_tags", {"Tags": list(tags)}, {"ResourceArn": arn(kind, name)})


def described_endpoint(name: str, status: str, config: str = "c", **more: Any) -> dict[str, Any]:
    """Return what describe_endpoint answers."""
    return {
        "EndpointName": name,
        "EndpointArn": arn("endpoint", name),
        "EndpointConfigName": config,
        "EndpointStatus": status,
        "CreationTime": WHEN,
        "LastModifiedTime": WHEN,
        **more,
    }


def described_job(name: str, status: str, secondary: str, **more: Any) -> dict[str, Any]:
    """Return what describe_training_job answers."""
    return {
        **job_summary(name, status),
        "SecondaryStatus": secondary,
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://b/jobs/{name}/output/model.tar.gz"},
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "StoppingCondition": {},
        **more,
    }


def described_config(name: str, variants: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what describe_endpoint_config answers."""
    return {**config_summary(name), "ProductionVariants": variants}


def job_summary(name: str, status: str = "InProgress") -> dict[str, Any]:
    """Return one entry of list_training_jobs."""
    return {
        "TrainingJobName": name,
        "TrainingJobArn": arn("training-job", name),
        "TrainingJobStatus": status,
        "CreationTime": WHEN,
    }


def config_summary(name: str) -> dict[str, Any]:
    """Return one entry of list_endpoint_configs."""
    return {"EndpointConfigName": name, "EndpointConfigArn": arn("endpoint-config", name), "CreationTime": WHEN}


def model_summary(name: str) -> dict[str, Any]:
    """Return one entry of list_models."""
    return {"ModelName": name, "ModelArn": arn("model", name), "CreationTime": WHEN}
