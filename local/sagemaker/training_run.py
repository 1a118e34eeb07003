"""One run of a training job: download, run the container's command, upload.

A job on spot instances repeats the first two after each spot interruption.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.sagemaker.checkpoint_sync import CheckpointSync
from local.sagemaker.child_process import wait_until
from local.sagemaker.host import Host
from local.sagemaker.interruptions import Interruption, Interruptions
from local.sagemaker.job_folder import CONTAINER_PREFIX, JobFolder
from local.sagemaker.job_report import failure_reason, final_metrics
from local.sagemaker.log_stream import LogStream
from local.sagemaker.object_store import download_prefix, upload_archive

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
MAX_RUNTIME_SECONDS = 86_400  # AWS's default
_POLL_SECONDS = 0.1
_SYNC_SECONDS = 1.0  # AWS does not say how often it copies checkpoints
# Of the on-demand price. AWS bills the current spot price, up to 90 % less, as fewer billable seconds.
_SPOT_PRICE_SHARE = 0.3
_STOP_SECONDS = 120.0  # between SIGTERM and SIGKILL, as on SageMaker

logger = logging.getLogger(__name__)


class JobFailedError(Exception):
    """The job failed; the message is its `FailureReason`."""


class TrainingJobRun:
    """Runs one training job in a thread and keeps its description."""

    def __init__(self, request: dict[str, Any], arn: str, host: Host, interruptions: Interruptions) -> None:
        """Set up the run of a CreateTrainingJob request."""
        name = request["TrainingJobName"]
        self._request = request
        self._spot = bool(request.get("EnableManagedSpotTraining"))
        self._interruptions = interruptions
        self._arn = arn
        self._host = host
        self._folder = JobFolder(host.state / "training-jobs" / name)
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._description = _first_description(request, arn, datetime.now(UTC))
        self._checkpoints = self._checkpoint_sync()
        self._seconds = 0.0  # of all attempts before this one
        self._wait_end = time.monotonic() + request["StoppingCondition"].get("MaxWaitTimeInSeconds", float("inf"))
        self._thread = threading.Thread(target=self._run, name=f"training {name}", daemon=True)

    def start(self) -> None:
        """Start the job's thread."""
        self._enter("Starting", "Starting the training job")
        self._thread.start()

    def snapshot(self) -> dict[str, Any]:
        """Return a copy of the job's description, in the shape of `DescribeTrainingJob`."""
        with self._lock:
            return {key: list(value) if isinstance(value, list) else value for key, value in self._description.items()}

    def request_stop(self) -> str:
        """Stop the job if it is `InProgress`; return its status before."""
        with self._lock:
            status = str(self._description["TrainingJobStatus"])
            if status == "InProgress":
                self._description["TrainingJobStatus"] = "Stopping"
                self._enter("Stopping", "Stopping the training job")
                self._stop.set()
        return status

    def _run(self) -> None:
        try:
            status, secondary, message = self._train()
        except JobFailedError as error:
            status, secondary, message = "Failed", "Failed", "Training job failed"
            self._set(FailureReason=str(error))
        except Exception as error:  # any error must end in a status
            status, secondary, message = "Failed", "Failed", "Training job failed"
            self._set(FailureReason=f"InternalServerError: {error}"[:1024])
            logger.exception("Training job %s", self._request["TrainingJobName"])
        self._finish(status, secondary, message)

    def _train(self) -> tuple[str, str, str]:
        self._set(TrainingStartTime=datetime.now(UTC))
        while isinstance(end := self._attempt(), Interruption):
            self._enter("Interrupted", "Training job interrupted: spot interruption")
            self._stop.wait(min(end.away_seconds, max(0.0, self._wait_end - time.monotonic())))
            if self._stop.is_set():
                return _STOPPED
            if time.monotonic() >= self._wait_end:
                return _WAITED_TOO_LONG
            self._enter("Starting", "Starting the training job")
        return end

    def _attempt(self) -> tuple[str, str, str] | Interruption:
        """Run the job on a new instance; return its final status, or the interruption after which it continues."""
        started = time.monotonic()
        self._folder.make()
        stream = LogStream(
            self._host.clients.logs,
            LOG_GROUP,
            # SageMaker's name of a stream: host and start in milliseconds.
            f"{self._request['TrainingJobName']}/algo-1-{int(time.time() * 1000)}",
            self._folder.log,
            self._folder.log.stat().st_size,
        )
        stream.start()
        try:
            self._enter("Downloading", "Downloading input data")
            self._download()
            self._enter("Training", "Training image download completed. Training in progress.")
            exit_code, ended = self._run_command()
            if isinstance(ended, Interruption):
                return ended
            log = self._folder.log.read_text(errors="replace")
            definitions = self._request["AlgorithmSpecification"].get("MetricDefinitions", [])
            self._set(FinalMetricDataList=final_metrics(log, definitions, datetime.now(UTC)))
            if exit_code != 0 and ended is None:
                failure = self._folder.failure
                written = failure.read_text(errors="replace") if failure.is_file() else ""
                raise JobFailedError(failure_reason(exit_code, log, written))
            self._enter("Uploading", "Uploading generated training model")
            self._upload()
            return ended or ("Completed", "Completed", "Training job completed")
        finally:
            stream.finish()
            self._seconds += time.monotonic() - started

    def _download(self) -> None:
        for channel in self._request.get("InputDataConfig", []):
            source = channel["DataSource"]["S3DataSource"]
            folder = self._folder.channel(channel["ChannelName"])
            folder.mkdir(parents=True, exist_ok=True)
            try:
                count = download_prefix(self._host.clients.s3, source["S3Uri"], folder)
            except ClientError as error:
                raise JobFailedError(
                    f"ClientError: Data download failed: {error.response['Error']['Message']}: {source['S3Uri']}"
                ) from error
            if count == 0:
                raise JobFailedError(
                    f"ClientError: Data download failed:S3 key: {source['S3Uri']} matched no files on s3"
                )
            if channel["ChannelName"] == "sm_drivers":
                self._folder.localise_drivers(folder)
        if self._checkpoints:
            self._transfer_checkpoints("download", self._checkpoints.restore)
        self._folder.write_config(self._request)

    def _checkpoint_sync(self) -> CheckpointSync | None:
        config = self._request.get("CheckpointConfig")
        if not config:
            return None
        folder = self._folder.localise(config.get("LocalPath", f"{CONTAINER_PREFIX}/checkpoints"))
        return CheckpointSync(self._host.clients.s3, Path(folder), config["S3Uri"])

    def _sync_checkpoints(self) -> None:
        if self._checkpoints:
            self._transfer_checkpoints("upload", self._checkpoints.sync)

    def _transfer_checkpoints(self, direction: str, transfer: Callable[[], None]) -> None:
        try:
            transfer()
        except ClientError as error:
            message = error.response["Error"]["Message"]
            raise JobFailedError(f"ClientError: Checkpoint {direction} failed: {message}") from error

    def _run_command(self) -> tuple[int, tuple[str, str, str] | Interruption | None]:
        """Run the container's command; return its exit code, and the reason if the run ended early."""
        if self._stop.is_set():
            return 0, _STOPPED
        process = self._host.children.start(
            self._command(),
            self._folder.environment(self._request, self._arn, self._host.environment()),
            self._folder.code,
            self._folder.log,
        )
        started = synced = time.monotonic()
        try:
            while not wait_until(lambda: process.poll() is not None, _POLL_SECONDS):
                ended = self._end(started)
                if isinstance(ended, Interruption) and not ended.notice_seconds:
                    return 0, ended  # without a last copy of the checkpoints
                if ended is not None:
                    notice = ended.notice_seconds if isinstance(ended, Interruption) else None
                    self._host.children.stop(process, _STOP_SECONDS if notice is None else notice)
                    self._sync_checkpoints()
                    return process.returncode, ended
                if time.monotonic() - synced >= _SYNC_SECONDS:
                    self._sync_checkpoints()
                    synced = time.monotonic()
            return process.returncode, None
        finally:
            self._host.children.forget(process)

    def _end(self, started: float) -> tuple[str, str, str] | Interruption | None:
        """Return the reason to end a script that started at `started`, or None."""
        now = time.monotonic()
        if self._stop.is_set():
            return _STOPPED
        limit = self._request["StoppingCondition"].get("MaxRuntimeInSeconds", MAX_RUNTIME_SECONDS)
        if self._seconds + now - started > limit:
            return _TOO_LONG
        if now > self._wait_end:
            return _WAITED_TOO_LONG
        if not self._spot:
            return None
        return self._interruptions.draw(self._request["TrainingJobName"], now - started)

    def _command(self) -> list[str]:
        specification = self._request["AlgorithmSpecification"]
        command = specification.get("ContainerEntrypoint", []) + specification.get("ContainerArguments", [])
        return [self._folder.localise(part) for part in command]

    def _upload(self) -> None:
        base = self._request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        output = f"{base}/{self._request['TrainingJobName']}/output"
        if any(self._folder.model.iterdir()):
            artifact = f"{output}/model.tar.gz"
            upload_archive(self._host.clients.s3, self._folder.model, artifact)
            self._set(ModelArtifacts={"S3ModelArtifacts": artifact})
        if any(self._folder.output_data.iterdir()):
            upload_archive(self._host.clients.s3, self._folder.output_data, f"{output}/output.tar.gz")
        self._sync_checkpoints()

    def _finish(self, status: str, secondary: str, message: str) -> None:
        now = datetime.now(UTC)
        seconds = max(1, round(self._seconds))
        self._enter(
            secondary,
            message,
            TrainingJobStatus=status,
            TrainingEndTime=now,
            TrainingTimeInSeconds=seconds,
            BillableTimeInSeconds=max(1, round(seconds * _SPOT_PRICE_SHARE)) if self._spot else seconds,
        )

    def _set(self, **members: Any) -> None:
        with self._lock:
            self._description.update(members)

    def _enter(self, secondary: str, message: str, **members: Any) -> None:
        """Enter a secondary status and set further members in one step."""
        now = members.get("TrainingEndTime") or datetime.now(UTC)
        entered = {"Status": secondary, "StartTime": now, "StatusMessage": message}
        if "TrainingEndTime" in members:
            entered["EndTime"] = now
        with self._lock:
            transitions = self._description["SecondaryStatusTransitions"]
            if transitions:
                transitions[-1] = {**transitions[-1], "EndTime": now}
            transitions.append(entered)
            self._description.update({"SecondaryStatus": secondary, "LastModifiedTime": now} | members)


_STOPPED = ("Stopped", "Stopped", "Training job stopped")
_TOO_LONG = ("Stopped", "MaxRuntimeExceeded", "Training job stopped: maximum runtime exceeded")
_WAITED_TOO_LONG = ("Stopped", "MaxWaitTimeExceeded", "Training job stopped: maximum wait time exceeded")


def _first_description(request: dict[str, Any], arn: str, now: datetime) -> dict[str, Any]:
    described = {key: value for key, value in request.items() if key != "Tags"}
    return described | {
        "TrainingJobArn": arn,
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Starting",
        "SecondaryStatusTransitions": [],
        "ModelArtifacts": {"S3ModelArtifacts": ""},
        "CreationTime": now,
        "LastModifiedTime": now,
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
    }
