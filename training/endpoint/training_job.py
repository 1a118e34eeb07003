"""The SageMaker training job: start, wait, read its result, stop."""

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from common.errors import ExpectedError, none_if_missing
from common.settings import CHECKPOINTS_PREFIX, JOBS_PREFIX, ROOT, STAGED_PREFIX, project
from common.waiting import Status, wait_until_done
from training.endpoint.images import image_uri

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
SOURCE_DIR = ROOT / "training" / "container"
ENTRY_SCRIPT = "train.py"

# train.py prints these three on a line; SageMaker reads them from its log.
METRICS = ("train:loss", "validation:loss", "validation:accuracy")
METRIC_VALUE = r"=([0-9.eE+-]+)"

VOLUME_GB = 10  # 60,000 pictures of 32 x 32 pixels and a model of megabytes need less than 1
STOP_TIMEOUT_S = 900  # a job has two minutes to stop, then SageMaker uploads its output
PENDING_S = 3600  # time to find an instance, on top of the job's own limit
ENDED = ("Completed", "Failed", "Stopped")

# Without this, the SDK reports each call to a bucket of AWS.
SDK_SETTINGS = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


class TrainingFailedError(ExpectedError):
    """The training job ended without a model."""


@dataclass(frozen=True)
class TrainingResult:
    """The result of a completed job; accuracy in [0, 1], None if not reported.

    `seconds` are of all attempts together: on spot instances there may be `interruptions`.
    """

    job: str
    model_data: str
    seconds: int
    billable_seconds: int
    validation_accuracy: float | None
    spot: bool = False
    interruptions: int = 0


def start_training_job(
    session: Any,
    *,
    base_name: str,
    bucket: str,
    role_arn: str,
    instance_type: str,
    hyperparameters: Mapping[str, str],
    max_run_s: int,
    max_wait_s: int | None = None,
    checkpoints: str = "",
) -> str:
    """Upload the script and start the job; return its name, `<base_name>-<14 digits>`.

    With `max_wait_s` it runs on spot instances, and that limits waiting and running together. SageMaker keeps the
    script's checkpoints at `checkpoints`, s3://BUCKET/PREFIX.
    """
    # ModelTrainer refuses a role without permissions on EC2 network interfaces, which a job outside a VPC
    # never uses. training/endpoint/role.py checks the permissions that this job uses.
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)

    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training import configs
    from sagemaker.train import ModelTrainer

    trainer = ModelTrainer(
        # Without a bucket, the SDK asks STS at a fixed host for its default.
        sagemaker_session=Session(boto_session=session, default_bucket=bucket, sagemaker_config=SDK_SETTINGS),
        training_image=image_uri(session.region_name, instance_type, "training"),
        source_code=configs.SourceCode(source_dir=str(SOURCE_DIR), entry_script=ENTRY_SCRIPT),
        compute=configs.Compute(
            instance_type=instance_type,
            instance_count=1,
            volume_size_in_gb=VOLUME_GB,
            enable_managed_spot_training=max_wait_s is not None,
        ),
        stopping_condition=configs.StoppingCondition(
            max_runtime_in_seconds=max_run_s,
            **({} if max_wait_s is None else {"max_wait_time_in_seconds": max_wait_s}),
        ),
        # Without the slash, SageMaker fetches every key with the same beginning.
        checkpoint_config=configs.CheckpointConfig(s3_uri=f"{checkpoints.rstrip('/')}/") if checkpoints else None,
        output_data_config=configs.OutputDataConfig(s3_output_path=f"s3://{bucket}/{JOBS_PREFIX}"),
        input_s3_key_prefix=JOBS_PREFIX,
        base_job_name=base_name,
        role=role_arn,
        hyperparameters=dict(hyperparameters),
        tags=[configs.Tag(key=project().tag["Key"], value=project().tag["Value"])],
    ).with_metric_definitions([configs.MetricDefinition(name=name, regex=name + METRIC_VALUE) for name in METRICS])
    trainer.train(
        input_data_config=[
            configs.InputData(channel_name=split, data_source=f"s3://{bucket}/{STAGED_PREFIX}/{split}/")
            for split in ("train", "validation")
        ],
        wait=False,
        logs=False,
    )
    # The SDK has no public attribute for the job; its own examples use this one.
    return str(trainer._latest_training_job.training_job_name)


def wait_for_training_job(
    sagemaker: Any,
    logs: Any,
    job: str,
    *,
    max_run_s: int,
    console: Console,
    sleep: Callable[[float], None] = time.sleep,
) -> TrainingResult:
    """Wait for the job; print its status and its latest metrics as they are logged.

    `max_run_s` limits the job's run, on spot instances its waiting and run together.
    Raises TrainingFailedError if it does not end as Completed.
    """
    log = MetricLog(logs, job)

    def poll() -> Status:
        found = sagemaker.describe_training_job(TrainingJobName=job)
        status = found["TrainingJobStatus"]
        detail = found.get("SecondaryStatus", status)
        text = status if detail == status else f"{status} ({detail})"
        lines = log.new_lines(_interruptions(found))
        return Status(text, status in ENDED, lines[-1:])  # there may be several epochs between two polls

    wait_until_done(poll, f"Training job {job}", timeout_s=max_run_s + PENDING_S, console=console, sleep=sleep)
    return _result(sagemaker.describe_training_job(TrainingJobName=job))


def model_data_uri(bucket: str, job: str) -> str:
    """Return the address of the model archive that SageMaker writes for a job."""
    return f"s3://{bucket}/{JOBS_PREFIX}/{job}/output/model.tar.gz"


def new_checkpoints_uri(bucket: str, base_name: str) -> str:
    """Return a new address for the checkpoints of a job that is about to start.

    One per job, named as jobs are: a job fetches everything there, and cleanup finds its owner by name.
    """
    return f"s3://{bucket}/{CHECKPOINTS_PREFIX}/{base_name}-{datetime.now(UTC):%Y%m%d%H%M%S}"


def stop_training_job(sagemaker: Any, job: str) -> None:
    """Ask SageMaker to stop a job; do nothing if it has already ended."""
    none_if_missing(sagemaker.stop_training_job, "ValidationException", TrainingJobName=job)


def delete_training_job(sagemaker: Any, job: str, console: Console) -> None:
    """Delete the job; stop it first if it runs, since SageMaker deletes only ended jobs."""

    def poll() -> Status:
        status = sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"]
        return Status(status, done=status in ENDED)

    if not poll().done:
        stop_training_job(sagemaker, job)
        wait_until_done(poll, f"Training job {job}", timeout_s=STOP_TIMEOUT_S, console=console)
    sagemaker.delete_training_job(TrainingJobName=job)


@dataclass
class MetricLog:
    """Reads each line with metrics in a job's log once."""

    logs: Any
    job: str
    stream: str = ""
    token: dict[str, str] = field(default_factory=dict)
    restarts: int = 0

    def new_lines(self, restarts: int = 0) -> list[str]:
        """Return the lines with metrics that were logged since the last call, none if the log cannot be read.

        `restarts` counts the job's interruptions: after each one it logs into another stream.
        """
        try:
            if not self.stream or restarts > self.restarts:
                self._find_stream(restarts)
            if not self.stream:
                return []
            page = self.logs.get_log_events(
                logGroupName=LOG_GROUP, logStreamName=self.stream, startFromHead=True, **self.token
            )
        except (ClientError, BotoCoreError):
            return []
        self.token = {"nextToken": page["nextForwardToken"]}
        return [
            event["message"].strip()
            for event in page["events"]
            if re.search(METRICS[-1] + METRIC_VALUE, event["message"])
        ]

    def _find_stream(self, restarts: int) -> None:
        """Find the newest stream, which exists once its container has printed a line."""
        streams = self.logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self.job}/")[
            "logStreams"
        ]
        # Names end in the time of creation, and are listed in their order.
        newest = streams[-1]["logStreamName"] if streams else ""
        if newest != self.stream:
            self.stream, self.token, self.restarts = newest, {}, restarts


def _result(found: dict[str, Any]) -> TrainingResult:
    job, status = found["TrainingJobName"], found["TrainingJobStatus"]
    if status != "Completed":
        reason = found.get("FailureReason") or found.get("SecondaryStatus") or "no reason given"
        message = (
            f"Training job {job} ended as {status}: {reason}\n"
            f"Its log: sam logs --cw-log-group {LOG_GROUP} --start-time '1 day ago'"
            f" --region {found['TrainingJobArn'].split(':')[3]} | grep {job}/"
        )
        if checkpoints := found.get("CheckpointConfig", {}).get("S3Uri"):
            message += f"\nTo continue from its checkpoints, add --checkpoints {checkpoints}"
        raise TrainingFailedError(message)
    metrics = {m["MetricName"]: m["Value"] for m in found.get("FinalMetricDataList", [])}
    return TrainingResult(
        job=job,
        model_data=found["ModelArtifacts"]["S3ModelArtifacts"],
        seconds=found.get("TrainingTimeInSeconds", 0),
        billable_seconds=found.get("BillableTimeInSeconds", 0),
        validation_accuracy=metrics.get("validation:accuracy"),
        spot=found.get("EnableManagedSpotTraining", False),
        interruptions=_interruptions(found),
    )


def _interruptions(found: dict[str, Any]) -> int:
    """Count the interruptions of the job's spot instances."""
    transitions = found.get("SecondaryStatusTransitions", [])
    return sum(transition["Status"] == "Interrupted" for transition in transitions)
