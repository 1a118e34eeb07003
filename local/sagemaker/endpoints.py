"""SageMaker's endpoint operations: create, update blue/green, describe, list, delete."""

import itertools
import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.periodic import PeriodicTask
from local.sagemaker.arns import sagemaker_arn
from local.sagemaker.data_capture import DataCapture
from local.sagemaker.errors import ValidationFailedError
from local.sagemaker.host import Host
from local.sagemaker.model_catalog import ModelCatalog, container_of
from local.sagemaker.model_server import ModelServer, ModelServerError
from local.sagemaker.paging import list_page
from local.sagemaker.tags import Tags

# SageMaker takes minutes to write captures; here tests wait for them.
_SUPERVISION_SECONDS = 2.0

logger = logging.getLogger(__name__)


@dataclass
class Deployment:
    """The records of an endpoint configuration and its model, their server, and its capture if that is enabled."""

    config: dict[str, Any]
    model: dict[str, Any]
    server: ModelServer
    capture: DataCapture | None = None

    @property
    def variant(self) -> Any:
        """The one production variant."""
        return self.config["ProductionVariants"][0]

    def supervise(self) -> None:
        """Write the waiting captures and restart a server that has died; log errors."""
        try:
            if self.capture is not None:
                self.capture.flush()
            self.server.revive()
        except Exception:  # one thread supervises all endpoints and must continue
            logger.exception("Endpoint configuration %s", self.config["EndpointConfigName"])

    def stop(self) -> None:
        """End the process and write the last captures."""
        self.server.stop()
        if self.capture is not None:
            self.capture.flush()


@dataclass
class Endpoint:
    """One endpoint; `deployment` is None until the first one is in service."""

    name: str
    arn: str
    config: dict[str, Any]
    status: str
    created: datetime
    modified: datetime
    failure: str = ""
    deployment: Deployment | None = None


class Endpoints:
    """Every endpoint of one running laptop's AWS."""

    def __init__(self, host: Host, catalog: ModelCatalog, tags: Tags) -> None:
        """Start without endpoints."""
        self._host = host
        self._catalog = catalog
        self._tags = tags
        self._endpoints: dict[str, Endpoint] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._supervision = PeriodicTask(_SUPERVISION_SECONDS, self._supervise)

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer CreateEndpoint and start the deployment."""
        name = request["EndpointName"]
        arn = sagemaker_arn("endpoint", name)
        deployment = self._plan(name, request["EndpointConfigName"])
        now = datetime.now(UTC)
        with self._lock:
            if name in self._endpoints:
                raise ValidationFailedError(f'Cannot create already existing endpoint "{arn}".')
            endpoint = Endpoint(name, arn, deployment.config, "Creating", now, now)
            self._endpoints[name] = endpoint
        self._tags.put(arn, request.get("Tags", []))
        _in_thread(self._bring_up, endpoint, deployment)
        return {"EndpointArn": arn}

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer UpdateEndpoint: the old deployment serves until the new one is in service."""
        deployment = self._plan(request["EndpointName"], request["EndpointConfigName"])
        endpoint = self._begin("Updating", request["EndpointName"])
        _in_thread(self._bring_up, endpoint, deployment)
        return {"EndpointArn": endpoint.arn}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer DeleteEndpoint and stop the deployment."""
        _in_thread(self._take_down, self._begin("Deleting", request["EndpointName"]))
        return {}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer DescribeEndpoint."""
        with self._lock:
            return _description(self._find(request["EndpointName"]))

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer ListEndpoints."""
        with self._lock:
            described = [_description(endpoint) for endpoint in self._endpoints.values()]
        return list_page("ListEndpoints", request, described)

    def serving(self, name: str) -> Deployment | None:
        """Return the deployment of an endpoint that accepts invocations, or None."""
        with self._lock:
            endpoint = self._endpoints.get(name)
            return endpoint.deployment if endpoint and endpoint.status in ("InService", "Updating") else None

    def close(self) -> None:
        """Stop the supervision; `ChildProcesses.stop_all` ends the processes."""
        self._supervision.stop()

    def _plan(self, endpoint_name: str, config_name: str) -> Deployment:
        config = self._catalog.configs.find(config_name)
        model = self._catalog.models.find(config["ProductionVariants"][0]["ModelName"])
        folder = self._host.state / "endpoints" / endpoint_name / f"{next(self._numbers):04d}"
        server = ModelServer(endpoint_name, config["ProductionVariants"][0], folder, self._host)
        settings = config.get("DataCaptureConfig")
        if settings is None or not settings.get("EnableCapture", True):
            return Deployment(config, model, server)
        return Deployment(config, model, server, DataCapture(settings, endpoint_name, self._host.s3))

    def _bring_up(self, endpoint: Endpoint, deployment: Deployment) -> None:
        failure = self._start(endpoint.name, deployment)
        retired: Deployment | None = deployment
        if not failure:
            with self._lock:
                retired = endpoint.deployment
                endpoint.deployment, endpoint.config = deployment, deployment.config
        try:
            if retired is not None:
                retired.stop()
        finally:  # the endpoint must not stay in progress
            with self._lock:
                # A failed update leaves the old deployment in service, as SageMaker's rollback does.
                _mark(endpoint, "InService" if endpoint.deployment else "Failed", failure)

    def _start(self, name: str, deployment: Deployment) -> str:
        """Start the model server; return the reason of a failure, or an empty string."""
        try:
            deployment.server.start(deployment.model)
        except ModelServerError as error:
            return str(error)
        except Exception as error:  # any error must end in the status Failed
            logger.exception("Endpoint %s", name)
            return f"Failed to download or start the model: {error}"[:1024]
        return ""

    def _take_down(self, endpoint: Endpoint) -> None:
        if endpoint.deployment:
            endpoint.deployment.stop()
        shutil.rmtree(self._host.state / "endpoints" / endpoint.name, ignore_errors=True)
        with self._lock:
            self._endpoints.pop(endpoint.name, None)
        self._tags.drop(endpoint.arn)

    def _begin(self, status: str, name: str) -> Endpoint:
        """Mark an endpoint that is not in progress as `Updating` or `Deleting`."""
        with self._lock:
            endpoint = self._find(name)
            if endpoint.status not in ("InService", "Failed"):
                raise ValidationFailedError(f'Cannot update in-progress endpoint "{endpoint.arn}".')
            if status == "Updating" and endpoint.deployment is None:
                raise ValidationFailedError(
                    f'Cannot update endpoint "{endpoint.arn}": it was never in service. Delete it and create it again.'
                )
            _mark(endpoint, status)
        return endpoint

    def _find(self, name: str) -> Endpoint:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            arn = sagemaker_arn("endpoint", name)
            raise ValidationFailedError(f'Could not find endpoint "{arn}".')
        return endpoint

    def _supervise(self) -> None:
        with self._lock:
            deployments = [endpoint.deployment for endpoint in self._endpoints.values() if endpoint.deployment]
        for deployment in deployments:
            deployment.supervise()


def _in_thread(work: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, name=work.__name__, daemon=True).start()


def _mark(endpoint: Endpoint, status: str, failure: str = "") -> None:
    endpoint.status, endpoint.failure, endpoint.modified = status, failure, datetime.now(UTC)


def _description(endpoint: Endpoint) -> dict[str, Any]:
    described: dict[str, Any] = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config["EndpointConfigName"],
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
    }
    if endpoint.failure:
        described["FailureReason"] = endpoint.failure
    if endpoint.deployment is not None:
        variant, image = endpoint.deployment.variant, container_of(endpoint.deployment.model).get("Image", "none")
        weight, count = variant.get("InitialVariantWeight", 1.0), variant.get("InitialInstanceCount", 1)
        deployed = {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": endpoint.modified}
        described["ProductionVariants"] = [
            {
                "VariantName": variant["VariantName"],
                "DeployedImages": [deployed],
                "CurrentWeight": weight,
                "DesiredWeight": weight,
                "CurrentInstanceCount": count,
                "DesiredInstanceCount": count,
            }
        ]
        capture = endpoint.config.get("DataCaptureConfig")
        if capture is not None:
            enabled = capture.get("EnableCapture", True)
            described["DataCaptureConfig"] = {
                "EnableCapture": enabled,
                "CaptureStatus": "Started" if enabled else "Stopped",
                "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
                "DestinationS3Uri": capture["DestinationS3Uri"],
                "KmsKeyId": capture.get("KmsKeyId", ""),
            }
    return described
