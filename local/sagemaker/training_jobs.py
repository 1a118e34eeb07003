"""SageMaker's training job operations."""

import threading
from typing import Any

from local.sagemaker.arns import sagemaker_arn
from local.sagemaker.errors import AwsError, ValidationFailedError
from local.sagemaker.host import Host
from local.sagemaker.interruptions import Interruptions
from local.sagemaker.job_folder import CONTAINER_PREFIX
from local.sagemaker.paging import list_page
from local.sagemaker.tags import Tags
from local.sagemaker.training_run import MAX_RUNTIME_SECONDS, TrainingJobRun


class TrainingJobs:
    """Every training job of one running laptop's AWS."""

    def __init__(self, host: Host, tags: Tags, interruptions: Interruptions) -> None:
        """Start without jobs; `interruptions` apply to jobs on spot instances."""
        self._host = host
        self._tags = tags
        self._interruptions = interruptions
        self._runs: dict[str, TrainingJobRun] = {}
        self._lock = threading.Lock()

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer CreateTrainingJob and start the job."""
        _check_request(request)
        name = request["TrainingJobName"]
        arn = sagemaker_arn("training-job", name)
        with self._lock:
            if name in self._runs:
                raise AwsError(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a training job "
                    f"with this name already exists ({arn})",
                )
            run = TrainingJobRun(request, arn, self._host, self._interruptions)
            self._runs[name] = run
        self._tags.put(arn, request.get("Tags", []))
        run.start()
        return {"TrainingJobArn": arn}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer DescribeTrainingJob."""
        return self._find(request).snapshot()

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer ListTrainingJobs."""
        with self._lock:
            runs = list(self._runs.values())
        return list_page("ListTrainingJobs", request, [run.snapshot() for run in runs])

    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer StopTrainingJob."""
        status = self._find(request).request_stop()
        if status != "InProgress":
            raise ValidationFailedError(f"The request was rejected because the training job is in status {status}.")
        return {}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer DeleteTrainingJob."""
        run = self._find(request)
        described = run.snapshot()
        status = described["TrainingJobStatus"]
        if status not in ("Completed", "Failed", "Stopped"):
            message = f"The request was rejected because the training job is in status {status}."
            raise AwsError("ResourceInUse", message)
        with self._lock:
            self._runs.pop(request["TrainingJobName"], None)
        self._tags.drop(described["TrainingJobArn"])
        return {}

    def _find(self, request: dict[str, Any]) -> TrainingJobRun:
        with self._lock:
            run = self._runs.get(request["TrainingJobName"])
        if run is None:
            # AWS answers ValidationException here, though its model lists ResourceNotFound.
            raise AwsError("ValidationException", "Requested resource not found.")
        return run


def _check_request(request: dict[str, Any]) -> None:
    """Raise for a job that the laptop's AWS cannot run."""
    specification = request["AlgorithmSpecification"]
    if not specification.get("ContainerEntrypoint") and not specification.get("ContainerArguments"):
        raise ValidationFailedError(
            "The laptop's AWS has no container images, so a job needs a command of its own (AlgorithmSpecification."
            "ContainerEntrypoint and ContainerArguments), as the SageMaker SDK's ModelTrainer with SourceCode does."
        )
    if "OutputDataConfig" not in request:
        raise ValidationFailedError("OutputDataConfig.S3OutputPath is required")
    if request["ResourceConfig"].get("InstanceCount", 1) != 1:
        raise ValidationFailedError("The laptop's AWS runs jobs of one instance only")
    condition = request["StoppingCondition"]
    wait = condition.get("MaxWaitTimeInSeconds")
    is_spot = request.get("EnableManagedSpotTraining", False)
    if is_spot and (wait is None or wait < condition.get("MaxRuntimeInSeconds", MAX_RUNTIME_SECONDS)):
        raise ValidationFailedError(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
        )
    if wait is not None and not is_spot:
        raise ValidationFailedError(
            "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true"
        )
    local_path = request.get("CheckpointConfig", {}).get("LocalPath", f"{CONTAINER_PREFIX}/")
    if not local_path.startswith(f"{CONTAINER_PREFIX}/") or ".." in local_path.split("/"):
        raise ValidationFailedError(
            f"CheckpointConfig.LocalPath {local_path}: the laptop's AWS keeps checkpoints only in "
            f"folders below {CONTAINER_PREFIX}/"
        )
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"].get("S3DataSource")
        if source is None or source["S3DataType"] != "S3Prefix":
            raise ValidationFailedError(
                f"Channel {channel['ChannelName']}: the laptop's AWS reads only S3DataSource with S3DataType S3Prefix"
            )
        if channel.get("InputMode", "File") == "Pipe":
            raise ValidationFailedError("The laptop's AWS has no input mode Pipe; use File")
