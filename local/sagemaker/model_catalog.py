"""SageMaker's operations on models and endpoint configurations."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from local.sagemaker.arns import sagemaker_arn
from local.sagemaker.errors import ValidationFailedError
from local.sagemaker.host import Host
from local.sagemaker.object_store import split_s3_uri
from local.sagemaker.paging import list_page
from local.sagemaker.tags import Tags

Operation = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class ResourceRecords:
    """The resources of one kind, which never change after their creation."""

    member: str  # the kind in names of members and operations, such as `Model`
    kind: str  # the kind in ARNs, such as `model`
    noun: str  # the kind in error messages
    check: Callable[[dict[str, Any]], None]  # raises for a request that AWS would reject
    tags: Tags
    defaults: dict[str, Any] = field(default_factory=dict)  # members of a record that a request may omit
    _records: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def operations(self) -> dict[str, Operation]:
        """Return the operations on these resources by name."""
        return {
            f"Create{self.member}": self._create,
            f"Describe{self.member}": lambda request: dict(self.find(request[f"{self.member}Name"])),
            f"List{self.member}s": self._list,
            f"Delete{self.member}": self._delete,
        }

    def find(self, name: str) -> dict[str, Any]:
        """Return a record; raise ValidationFailedError when it does not exist."""
        record = self._records.get(name)
        if record is None:
            raise ValidationFailedError(f'Could not find {self.noun} "{sagemaker_arn(self.kind, name)}".')
        return record

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request[f"{self.member}Name"]
        arn = sagemaker_arn(self.kind, name)
        self.check(request)
        created = {f"{self.member}Arn": arn, "CreationTime": datetime.now(UTC)}
        with self._lock:
            if name in self._records:
                raise ValidationFailedError(f'Cannot create already existing {self.noun} "{arn}".')
            self._records[name] = self.defaults | {k: v for k, v in request.items() if k != "Tags"} | created
        self.tags.put(arn, request.get("Tags", []))
        return {f"{self.member}Arn": arn}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return list_page(f"List{self.member}s", request, list(self._records.values()))

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        record = self.find(request[f"{self.member}Name"])
        with self._lock:
            self._records.pop(record[f"{self.member}Name"], None)
        self.tags.drop(record[f"{self.member}Arn"])
        return {}


class ModelCatalog:
    """Every model and endpoint configuration of one running laptop's AWS."""

    def __init__(self, host: Host, tags: Tags) -> None:
        """Start without records."""
        self._s3 = host.s3
        isolation = {"EnableNetworkIsolation": False}
        self.models = ResourceRecords("Model", "model", "model", self._check_model, tags, isolation)
        noun = "endpoint configuration"
        self.configs = ResourceRecords("EndpointConfig", "endpoint-config", noun, self._check_config, tags)

    def _check_model(self, request: dict[str, Any]) -> None:
        """Raise unless the model archive exists, as on AWS."""
        uri = model_archive(request)
        bucket, key = split_s3_uri(uri)
        try:
            self._s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise ValidationFailedError(f"Could not find model data at {uri}.") from error

    def _check_config(self, request: dict[str, Any]) -> None:
        """Raise unless the model exists, as on AWS."""
        variant, *others = request["ProductionVariants"]
        if others:
            raise ValidationFailedError("The laptop's AWS serves endpoints of exactly one production variant")
        if "ServerlessConfig" in variant:
            raise ValidationFailedError(
                f"Variant {variant['VariantName']}: the laptop's AWS serves real-time endpoints only; give "
                "InstanceType and InitialInstanceCount in place of ServerlessConfig"
            )
        if "ModelName" not in variant:
            raise ValidationFailedError(f"Variant {variant['VariantName']} has no ModelName")
        self.models.find(variant["ModelName"])


def container_of(model: dict[str, Any]) -> dict[str, Any]:
    """Return the one container definition of a model; raise ValidationFailedError for another number."""
    containers: list[dict[str, Any]] = model.get("Containers") or [model.get("PrimaryContainer") or {}]
    if len(containers) != 1 or not containers[0]:
        raise ValidationFailedError("The laptop's AWS serves models of exactly one container")
    return containers[0]


def model_archive(model: dict[str, Any]) -> str:
    """Return the S3 URI of a model's archive, `model.tar.gz`; raise ValidationFailedError for a model without one."""
    uri = container_of(model).get("ModelDataUrl")
    if uri is None:
        raise ValidationFailedError(
            "The laptop's AWS has no container images, so a model needs ModelDataUrl: a model.tar.gz with "
            "code/inference.py in it"
        )
    return str(uri)
