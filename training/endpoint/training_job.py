"""The SageMaker training job: start it, watch it, read what it made."""

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

from common.errors import ExpectedError
from common.settings import CHECKPOINTS_PREFIX, JOBS_PREFIX, ROOT, STAGED_PREFIX, project
from common.waiting import Status, wait_until_done
from training.endpoint.images import image_uri

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
SOURCE_DIR = ROOT / "training" / "container"
ENTRY_SCRIPT = "train.py"

# train.py prints these three on a line now and then; SageMaker reads them off its log.
METRICS = ("train:loss", "validation:loss", "validation:accuracy")
METRIC_VALUE = r"=([0-9.eE+-]+)"

VOLUME_GB = 10  # 60,000 pictures of 32 x 32 and a model of megabytes need well under one
PENDING_S = 3600  # how long an instance may take to be found, on top of the job's own limit

# The SDK reports each call to a bucket of AWS's own unless its configuration says not to.
SDK_SETTINGS = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


class TrainingFailedError(ExpectedError):
    """The training job ended without a model. `job` is its name, `status` and `reason` AWS's."""

    def __init__(self, job: str, status: str, reason: str, region: str, checkpoints: str = "") -> None:
        """Say why, where the whole log is, and how to go on from its checkpoints if it has any."""
        self.job, self.status, self.reason = job, status, reason
        message = (
            f"Training job {job} ended as {status}: {reason or 'no reason given'}\n"
            f"Its log: sam logs --cw-log-group {LOG_GROUP} --start-time '1 day ago'"
            f" --region {region} | grep {job}/"
        )
        if checkpoints:
            message += f"\nTo go on with what it had learned, add --checkpoints {checkpoints}"
        super().__init__(message)


@dataclass(frozen=True)
class TrainingResult:
    """What a completed job made; times in seconds, accuracy in [0, 1] where it was reported.

    On spot instances there may have been `interruptions`; `seconds` are of all attempts together.
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

    With `max_wait_s` it runs on spot instances, and ends after so many seconds of waiting and
    running. `checkpoints` is where SageMaker keeps the script's checkpoints, s3://BUCKET/PREFIX.
    """
    # ModelTrainer would refuse a role without rights on EC2 network interfaces, which a job
    # outside a VPC never uses. training/endpoint/role.py checks the rights that this job does use.
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)

    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training.configs import (
        CheckpointConfig,
        Compute,
        InputData,
        MetricDefinition,
        OutputDataConfig,
        SourceCode,
        StoppingCondition,
        Tag,
    )
    from sagemaker.train import ModelTrainer

    trainer = ModelTrainer(
        # The bucket is named, so that the SDK does not ask STS at a fixed host for its default.
        sagemaker_session=Session(boto_session=session, default_bucket=bucket, sagemaker_config=SDK_SETTINGS),
        training_image=image_uri(session.region_name, instance_type, "training"),
        source_code=SourceCode(source_dir=str(SOURCE_DIR), entry_script=ENTRY_SCRIPT),
        compute=Compute(
            instance_type=instance_type,
            instance_count=1,
            volume_size_in_gb=VOLUME_GB,
            enable_managed_spot_training=max_wait_s is not None,
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=max_run_s,
            **({} if max_wait_s is None else {"max_wait_time_in_seconds": max_wait_s}),
        ),
        # With the slash, or SageMaker would fetch whatever begins with the same letters.
        checkpoint_config=CheckpointConfig(s3_uri=f"{checkpoints.rstrip('/')}/") if checkpoints else None,
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/{JOBS_PREFIX}"),
        input_s3_key_prefix=JOBS_PREFIX,
        base_job_name=base_name,
        role=role_arn,
        hyperparameters=dict(hyperparameters),
        tags=[Tag(key=project().tag["Key"], value=project().tag["Value"])],
    ).with_metric_definitions([MetricDefinition(name=name, regex=name + METRIC_VALUE) for name in METRICS])
    trainer.train(
        input_data_config=[
            InputData(channel_name=split, data_source=f"s3://{bucket}/{STAGED_PREFIX}/{split}/")
            for split in ("train", "validation")
        ],
        wait=False,
        logs=False,
    )
    # The SDK's own examples read the job off this attribute; it has no public one.
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
    """Wait for the job, printing its status and its latest metrics as they are logged.

    `max_run_s` is the job's own limit: of the time it may run, or on spot wait and run.

    Raises TrainingFailedError when it ends as anything but Completed.
    """
    log = MetricLog(logs, job)

    def look() -> Status:
        found = sagemaker.describe_training_job(TrainingJobName=job)
        status = found["TrainingJobStatus"]
        done = status in ("Completed", "Failed", "Stopped")
        detail = found.get("SecondaryStatus", status)
        text = status if detail == status else f"{status} ({detail})"
        lines = log.new_lines(_interruptions(found))
        return Status(text, done, lines[-1:])  # epochs may pass faster than looks

    wait_until_done(look, f"Training job {job}", timeout_s=max_run_s + PENDING_S, console=console, sleep=sleep)
    return _result(sagemaker.describe_training_job(TrainingJobName=job))


def model_data_uri(bucket: str, job: str) -> str:
    """Return where SageMaker puts what a job makes."""
    return f"s3://{bucket}/{JOBS_PREFIX}/{job}/output/model.tar.gz"


def new_checkpoints_uri(bucket: str, base_name: str) -> str:
    """Make up a place for the checkpoints of a job that is about to start.

    One for each job, named as jobs are: of a shared one, the next job would fetch all that the
    last one left, and cleanup could not tell whose it is.
    """
    return f"s3://{bucket}/{CHECKPOINTS_PREFIX}/{base_name}-{datetime.now(UTC):%Y%m%d%H%M%S}"


def stop_training_job(sagemaker: Any, job: str) -> None:
    """Ask SageMaker to stop a job; one that has ended already is left alone."""
    try:
        sagemaker.stop_training_job(TrainingJobName=job)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":
            raise


@dataclass
class MetricLog:
    """The lines of a job's log that carry metrics, each read once."""

    logs: Any
    job: str
    stream: str = ""
    token: dict[str, str] = field(default_factory=dict)
    restarts: int = 0

    def new_lines(self, restarts: int = 0) -> list[str]:
        """Return the lines with metrics that were logged since the last call.

        They are only shown: a log that is not there yet, or that cannot be read, has none.
        `restarts` counts how often the job was started again: each time it gets another stream.
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
        """Find the newest stream, which is there once its container has printed something."""
        streams = self.logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self.job}/")[
            "logStreams"
        ]
        # Their names end in the time when they were made, and come in the order of names.
        newest = streams[-1]["logStreamName"] if streams else ""
        if newest != self.stream:
            self.stream, self.token, self.restarts = newest, {}, restarts


def _result(found: dict[str, Any]) -> TrainingResult:
    job, status = found["TrainingJobName"], found["TrainingJobStatus"]
    if status != "Completed":
        region = found.get("TrainingJobArn", ":::").split(":")[3]
        reason = found.get("FailureReason", found.get("SecondaryStatus", ""))
        raise TrainingFailedError(job, status, reason, region, found.get("CheckpointConfig", {}).get("S3Uri", ""))
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
    """Count how often SageMaker took the job's spot instance away."""
    transitions = found.get("SecondaryStatusTransitions", [])
    return sum(transition["Status"] == "Interrupted" for transition in transitions)
