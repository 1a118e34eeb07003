"""SageMaker's operations on models and endpoint configurations."""

import threading
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from local.sagemaker.arns import sagemaker_arn
from local.sagemaker.errors import ValidationFailedError
from local.sagemaker.host import Host
from local.sagemaker.object_store import split_s3_uri
from local.sagemaker.paging import list_page
from local.sagemaker.tags import Tags


class ModelCatalog:
    """Every model and endpoint configuration of one running laptop's AWS."""

    def __init__(self, host: Host, tags: Tags) -> None:
        """Start without records."""
        self._clients = host.clients
        self._tags = tags
        self._models: dict[str, dict[str, Any]] = {}
        self._configs: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer CreateModel; the model archive must exist, as on AWS."""
        name = request["ModelName"]
        arn = sagemaker_arn("model", name)
        self._check_archive(model_archive(request))
        record = _record(request) | {"ModelArn": arn, "CreationTime": datetime.now(UTC)}
        record.setdefault("EnableNetworkIsolation", False)
        with self._lock:
            if name in self._models:
                raise ValidationFailedError(f'Cannot create already existing model "{arn}".')
            self._models[name] = record
        self._tags.put(arn, request.get("Tags", []))
        return {"ModelArn": arn}

    def describe_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer DescribeModel."""
        return dict(self._find_model(request["ModelName"]))

    def list_models(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer ListModels."""
        summaries = _summaries(self._models, ("ModelName", "ModelArn", "CreationTime"))
        return list_page(request, "Models", summaries, "ModelName")

    def delete_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer DeleteModel."""
        record = self._find_model(request["ModelName"])
        with self._lock:
            self._models.pop(request["ModelName"], None)
        self._tags.drop(record["ModelArn"])
        return {}

    def create_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer CreateEndpointConfig; its models must exist, as on AWS."""
        name = request["EndpointConfigName"]
        arn = sagemaker_arn("endpoint-config", name)
        if len(request["ProductionVariants"]) != 1:
            raise ValidationFailedError("The laptop's AWS serves endpoints of exactly one production variant")
        self._check_variant(request["ProductionVariants"][0])
        record = _record(request) | {"EndpointConfigArn": arn, "CreationTime": datetime.now(UTC)}
        with self._lock:
            if name in self._configs:
                raise ValidationFailedError(f'Cannot create already existing endpoint configuration "{arn}".')
            self._configs[name] = record
        self._tags.put(arn, request.get("Tags", []))
        return {"EndpointConfigArn": arn}

    def describe_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer DescribeEndpointConfig."""
        return dict(self.find_config(request["EndpointConfigName"]))

    def list_configs(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer ListEndpointConfigs."""
        members = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        return list_page(request, "EndpointConfigs", _summaries(self._configs, members), "EndpointConfigName")

    def delete_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer DeleteEndpointConfig."""
        record = self.find_config(request["EndpointConfigName"])
        with self._lock:
            self._configs.pop(request["EndpointConfigName"], None)
        self._tags.drop(record["EndpointConfigArn"])
        return {}

    def find_config(self, name: str) -> dict[str, Any]:
        """Return an endpoint configuration.

        Raises:
            ValidationFailedError: when it does not exist.
        """
        record = self._configs.get(name)
        if record is None:
            arn = sagemaker_arn("endpoint-config", name)
            raise ValidationFailedError(f'Could not find endpoint configuration "{arn}".')
        return record

    def model_of(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the model of an endpoint configuration.

        Raises:
            ValidationFailedError: when it was deleted.
        """
        return self._find_model(config["ProductionVariants"][0]["ModelName"])

    def _find_model(self, name: str) -> dict[str, Any]:
        record = self._models.get(name)
        if record is None:
            raise ValidationFailedError(f'Could not find model "{sagemaker_arn("model", name)}".')
        return record

    def _check_variant(self, variant: dict[str, Any]) -> None:
        if "ServerlessConfig" in variant:
            raise ValidationFailedError(
                f"Variant {variant['VariantName']}: the laptop's AWS serves real-time endpoints "
                "only; give InstanceType and InitialInstanceCount in place of ServerlessConfig"
            )
        if "ModelName" not in variant:
            raise ValidationFailedError(f"Variant {variant['VariantName']} has no ModelName")
        self._find_model(variant["ModelName"])

    def _check_archive(self, uri: str) -> None:
        bucket, key = split_s3_uri(uri)
        try:
            self._clients.s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise ValidationFailedError(f"Could not find model data at {uri}.") from error


def container_of(model: dict[str, Any]) -> dict[str, Any]:
    """Return the one container definition of a model.

    Raises:
        ValidationFailedError: for a model without exactly one container.
    """
    containers = model.get("Containers") or [container for container in [model.get("PrimaryContainer")] if container]
    if len(containers) != 1:
        raise ValidationFailedError("The laptop's AWS serves models of exactly one container")
    container: dict[str, Any] = containers[0]
    return container


def model_archive(model: dict[str, Any]) -> str:
    """Return the S3 URI of a model's archive, `model.tar.gz`.

    Raises:
        ValidationFailedError: for a model without one.
    """
    uri: str | None = container_of(model).get("ModelDataUrl")
    if uri is None:
        raise ValidationFailedError(
            "The laptop's AWS has no container images, so a model needs ModelDataUrl: a "
            "model.tar.gz with code/inference.py in it"
        )
    return uri


def _record(request: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key != "Tags"}


def _summaries(records: dict[str, dict[str, Any]], members: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{member: record[member] for member in members} for record in list(records.values())]
