"""One run of a training job: download, run the container's command, and upload; again after a spot interruption."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.sagemaker.child_process import wait_until
from local.sagemaker.host import Host
from local.sagemaker.interruptions import Interruption, Interruptions
from local.sagemaker.job_folder import CONTAINER_PREFIX, JobFolder
from local.sagemaker.log import LogStream, failure_reason, final_metrics
from local.sagemaker.object_store import CheckpointSync, download_prefix, upload_archive

MAX_RUNTIME_SECONDS = 86_400  # AWS's default
_POLL_SECONDS = 0.1
_SYNC_SECONDS = 1.0  # AWS does not say how often it copies checkpoints
# Of the on-demand price. AWS bills the current spot price, up to 90 % less, as fewer billable seconds.
_SPOT_PRICE_SHARE = 0.3
_STOP_SECONDS = 120.0  # between SIGTERM and SIGKILL, as on SageMaker

# The ends of a job: status, secondary status and message.
End = tuple[str, str, str]
_COMPLETED = ("Completed", "Completed", "Training job completed")
_FAILED = ("Failed", "Failed", "Training job failed")
_STOPPED = ("Stopped", "Stopped", "Training job stopped")
_TOO_LONG = ("Stopped", "MaxRuntimeExceeded", "Training job stopped: maximum runtime exceeded")
_WAITED_TOO_LONG = ("Stopped", "MaxWaitTimeExceeded", "Training job stopped: maximum wait time exceeded")

logger = logging.getLogger(__name__)


class JobFailedError(Exception):
    """The job failed; the message is its `FailureReason`."""


class TrainingJobRun:
    """Runs one training job in a thread and keeps its description."""

    def __init__(self, request: dict[str, Any], arn: str, host: Host, interruptions: Interruptions) -> None:
        """Set up the run of a CreateTrainingJob request."""
        self._request = request
        self._name = request["TrainingJobName"]
        self._spot = bool(request.get("EnableManagedSpotTraining"))
        self._interruptions = interruptions
        self._host = host
        self._folder = JobFolder(host.state / "training-jobs" / self._name)
        self._lock = threading.RLock()
        self._stop = threading.Event()
        now = datetime.now(UTC)
        self._description: dict[str, Any] = {key: value for key, value in request.items() if key != "Tags"} | {
            "TrainingJobArn": arn,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [],
            "ModelArtifacts": {"S3ModelArtifacts": ""},
            "CreationTime": now,
            "LastModifiedTime": now,
            "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
        }
        self._checkpoints: CheckpointSync | None = None
        if config := request.get("CheckpointConfig"):
            folder = self._folder.localise(config.get("LocalPath", f"{CONTAINER_PREFIX}/checkpoints"))
            self._checkpoints = CheckpointSync(host.s3, Path(folder), config["S3Uri"])
        self._seconds = 0.0  # of all attempts before this one
        self._wait_end = time.monotonic() + request["StoppingCondition"].get("MaxWaitTimeInSeconds", float("inf"))
        self._thread = threading.Thread(target=self._run, name=f"training {self._name}", daemon=True)

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
                self._enter("Stopping", "Stopping the training job", TrainingJobStatus="Stopping")
                self._stop.set()
        return status

    def _run(self) -> None:
        try:
            end = self._train()
        except JobFailedError as error:
            end = _FAILED
            self._set(FailureReason=str(error))
        except Exception as error:  # any error must end in a status
            end = _FAILED
            self._set(FailureReason=f"InternalServerError: {error}"[:1024])
            logger.exception("Training job %s", self._name)
        status, secondary, message = end
        seconds = max(1, round(self._seconds))
        self._enter(
            secondary,
            message,
            TrainingJobStatus=status,
            TrainingEndTime=datetime.now(UTC),
            TrainingTimeInSeconds=seconds,
            BillableTimeInSeconds=max(1, round(seconds * _SPOT_PRICE_SHARE)) if self._spot else seconds,
        )

    def _train(self) -> End:
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

    def _attempt(self) -> End | Interruption:
        """Run the job on a new instance; return its end, or the interruption after which it continues."""
        started = time.monotonic()
        self._folder.make()
        stream = LogStream(
            self._host.logs,
            "/aws/sagemaker/TrainingJobs",
            f"{self._name}/algo-1-{int(time.time() * 1000)}",  # host and start in milliseconds, as on SageMaker
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
            return ended or _COMPLETED
        finally:
            stream.finish()
            self._seconds += time.monotonic() - started

    def _download(self) -> None:
        for channel in self._request.get("InputDataConfig", []):
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            folder = self._folder.data / channel["ChannelName"]
            folder.mkdir(parents=True, exist_ok=True)
            with _transfer("Data download", f": {uri}"):
                count = download_prefix(self._host.s3, uri, folder)
            if count == 0:
                raise JobFailedError(f"ClientError: Data download failed:S3 key: {uri} matched no files on s3")
            if channel["ChannelName"] == "sm_drivers":
                self._folder.localise_drivers(folder)
        if self._checkpoints:
            with _transfer("Checkpoint download"):
                self._checkpoints.restore()
        self._folder.write_config(self._request)

    def _sync_checkpoints(self) -> None:
        if self._checkpoints:
            with _transfer("Checkpoint upload"):
                self._checkpoints.sync()

    def _run_command(self) -> tuple[int, End | Interruption | None]:
        """Run the container's command; return its exit code, and the reason if the run ended early."""
        if self._stop.is_set():
            return 0, _STOPPED
        specification = self._request["AlgorithmSpecification"]
        command = specification.get("ContainerEntrypoint", []) + specification.get("ContainerArguments", [])
        process = self._host.children.start(
            [self._folder.localise(part) for part in command],
            self._folder.environment(self._request, self._description["TrainingJobArn"], self._host.environment()),
            self._folder.code,
            self._folder.log,
        )
        started = synced = time.monotonic()
        try:
            while not wait_until(lambda: process.poll() is not None, _POLL_SECONDS):
                ended = self._reason_to_end(started)
                if isinstance(ended, Interruption) and not ended.notice_seconds:
                    return 0, ended  # without a last copy of the checkpoints
                if ended is not None:
                    notice = ended.notice_seconds if isinstance(ended, Interruption) else _STOP_SECONDS
                    self._host.children.stop(process, notice)
                    self._sync_checkpoints()
                    return process.returncode, ended
                if time.monotonic() - synced >= _SYNC_SECONDS:
                    self._sync_checkpoints()
                    synced = time.monotonic()
            return process.returncode, None
        finally:
            self._host.children.forget(process)

    def _reason_to_end(self, started: float) -> End | Interruption | None:
        """Return the reason to end a script that started at `started`, or None."""
        now = time.monotonic()
        if self._stop.is_set():
            return _STOPPED
        limit = self._request["StoppingCondition"].get("MaxRuntimeInSeconds", MAX_RUNTIME_SECONDS)
        if self._seconds + now - started > limit:
            return _TOO_LONG
        if now > self._wait_end:
            return _WAITED_TOO_LONG
        return self._interruptions.draw(self._name, now - started) if self._spot else None

    def _upload(self) -> None:
        output = f"{self._request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self._name}/output"
        if any(self._folder.model.iterdir()):
            artifact = f"{output}/model.tar.gz"
            upload_archive(self._host.s3, self._folder.model, artifact)
            self._set(ModelArtifacts={"S3ModelArtifacts": artifact})
        if any(self._folder.output_data.iterdir()):
            upload_archive(self._host.s3, self._folder.output_data, f"{output}/output.tar.gz")
        self._sync_checkpoints()

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


@contextmanager
def _transfer(name: str, suffix: str = "") -> Iterator[None]:
    """Turn an error of S3 into the job's failure."""
    try:
        yield
    except ClientError as error:
        message = error.response["Error"]["Message"]
        raise JobFailedError(f"ClientError: {name} failed: {message}{suffix}") from error
