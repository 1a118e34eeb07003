"""One run of a training job: download, run the container's command, upload."""

import logging
import subprocess
import threading
import time
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from local.sagemaker.host import Host
from local.sagemaker.job_folder import JobFolder
from local.sagemaker.job_report import failure_reason, final_metrics
from local.sagemaker.log_stream import LogStream
from local.sagemaker.object_store import download_prefix, upload_archive, upload_folder

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_POLL_SECONDS = 0.1
_STOP_SECONDS = 120.0  # what SageMaker gives a script between SIGTERM and SIGKILL

logger = logging.getLogger(__name__)


class JobFailedError(Exception):
    """The job cannot go on; the message is its `FailureReason`."""


class TrainingRun:
    """Runs one training job in a thread and keeps what `DescribeTrainingJob` answers."""

    def __init__(self, request: dict[str, Any], arn: str, host: Host) -> None:
        """Take over a CreateTrainingJob request; `start` starts it."""
        name = request["TrainingJobName"]
        self._request = request
        self._arn = arn
        self._host = host
        self._folder = JobFolder(host.state / "training-jobs" / name)
        self._lock = threading.RLock()
        self._stop = threading.Event()
        # As SageMaker names a stream: host and start in milliseconds.
        self._stream = f"{name}/algo-1-{int(time.time() * 1000)}"
        self._description = _first_description(request, arn, datetime.now(UTC))
        self._thread = threading.Thread(target=self._run, name=f"training {name}", daemon=True)

    def start(self) -> None:
        """Start the job's thread."""
        self._enter("Starting", "Starting the training job")
        self._thread.start()

    def snapshot(self) -> dict[str, Any]:
        """Return the job's description as it stands, in the shape of `DescribeTrainingJob`."""
        with self._lock:
            return {
                key: list(value) if isinstance(value, list) else value
                for key, value in self._description.items()
            }

    def request_stop(self) -> str:
        """Ask the job to stop, as `StopTrainingJob` does, and return the status that it had.

        It stops only if that was `InProgress`.
        """
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
        except Exception as error:  # whatever it is, a job has to end in a status
            status, secondary, message = "Failed", "Failed", "Training job failed"
            self._set(FailureReason=f"InternalServerError: {error}"[:1024])
            logger.exception("Training job %s", self._request["TrainingJobName"])
        self._finish(status, secondary, message)

    def _train(self) -> tuple[str, str, str]:
        self._folder.make()
        stream = LogStream(self._host.clients.logs, LOG_GROUP, self._stream, self._folder.log)
        stream.start()
        try:
            self._set(TrainingStartTime=datetime.now(UTC))
            self._enter("Downloading", "Downloading input data")
            self._download()
            self._enter("Training", "Training image download completed. Training in progress.")
            exit_code, ended = self._run_command()
            self._report_metrics()
            if exit_code != 0 and ended is None:
                raise JobFailedError(failure_reason(exit_code, self._log(), self._failure_file()))
            self._enter("Uploading", "Uploading generated training model")
            self._upload()
            return ended or ("Completed", "Completed", "Training job completed")
        finally:
            stream.finish()

    def _download(self) -> None:
        for channel in self._request.get("InputDataConfig", []):
            source = channel["DataSource"]["S3DataSource"]
            folder = self._folder.channel(channel["ChannelName"])
            folder.mkdir(parents=True, exist_ok=True)
            try:
                count = download_prefix(self._host.clients.s3, source["S3Uri"], folder)
            except ClientError as error:
                raise JobFailedError(
                    f"ClientError: Data download failed: {error.response['Error']['Message']}: "
                    f"{source['S3Uri']}"
                ) from error
            if count == 0:
                raise JobFailedError(
                    f"ClientError: Data download failed:S3 key: {source['S3Uri']} "
                    "matched no files on s3"
                )
            if channel["ChannelName"] == "sm_drivers":
                self._folder.localise_drivers(folder)
        checkpoints = self._request.get("CheckpointConfig")
        if checkpoints:
            download_prefix(self._host.clients.s3, checkpoints["S3Uri"], self._folder.checkpoints)
        self._folder.write_config(self._request)

    def _run_command(self) -> tuple[int, tuple[str, str, str] | None]:
        """Run the container's command; return its exit code and how it was ended, if it was."""
        if self._stop.is_set():
            return 0, _STOPPED
        process = self._host.children.start(
            self._command(),
            self._folder.environment(self._request, self._arn, self._host.endpoint_url),
            self._folder.code,
            self._folder.log,
        )
        most = self._request["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400)
        deadline = time.monotonic() + most
        ended = None
        while (exit_code := self._poll(process)) is None:
            if self._stop.is_set():
                ended = _STOPPED
            elif time.monotonic() > deadline:
                ended = _TOO_LONG
            if ended is not None:
                self._host.children.stop(process, _STOP_SECONDS)
                return process.returncode, ended
        self._host.children.forget(process)
        return exit_code, None

    def _poll(self, process: subprocess.Popen[bytes]) -> int | None:
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def _command(self) -> list[str]:
        specification = self._request["AlgorithmSpecification"]
        words = specification.get("ContainerEntrypoint", []) + specification.get(
            "ContainerArguments", []
        )
        return [self._folder.localise(word) for word in words]

    def _upload(self) -> None:
        base = f"{self._request['OutputDataConfig']['S3OutputPath'].rstrip('/')}"
        output = f"{base}/{self._request['TrainingJobName']}/output"
        if any(self._folder.model.iterdir()):
            artifact = f"{output}/model.tar.gz"
            upload_archive(self._host.clients.s3, self._folder.model, artifact)
            self._set(ModelArtifacts={"S3ModelArtifacts": artifact})
        if any(self._folder.output_data.iterdir()):
            upload_archive(
                self._host.clients.s3, self._folder.output_data, f"{output}/output.tar.gz"
            )
        checkpoints = self._request.get("CheckpointConfig")
        if checkpoints:
            upload_folder(self._host.clients.s3, self._folder.checkpoints, checkpoints["S3Uri"])

    def _report_metrics(self) -> None:
        definitions = self._request["AlgorithmSpecification"].get("MetricDefinitions", [])
        self._set(FinalMetricDataList=final_metrics(self._log(), definitions, datetime.now(UTC)))

    def _log(self) -> str:
        return self._folder.log.read_text(errors="replace")

    def _failure_file(self) -> str:
        failure = self._folder.failure
        return failure.read_text(errors="replace") if failure.is_file() else ""

    def _finish(self, status: str, secondary: str, message: str) -> None:
        now = datetime.now(UTC)
        started = self._description.get("TrainingStartTime", now)
        seconds = max(1, round((now - started).total_seconds()))
        self._enter(
            secondary,
            message,
            TrainingJobStatus=status,
            TrainingEndTime=now,
            TrainingTimeInSeconds=seconds,
            BillableTimeInSeconds=seconds,
        )

    def _set(self, **members: Any) -> None:
        with self._lock:
            self._description.update(members)

    def _enter(self, secondary: str, message: str, **members: Any) -> None:
        """Go into a secondary status, and change other members in the same moment."""
        now = members.get("TrainingEndTime") or datetime.now(UTC)
        entered = {"Status": secondary, "StartTime": now, "StatusMessage": message}
        if "TrainingEndTime" in members:
            entered["EndTime"] = now
        with self._lock:
            transitions = self._description["SecondaryStatusTransitions"]
            if transitions:
                transitions[-1] = {**transitions[-1], "EndTime": now}
            transitions.append(entered)
            self._description.update(
                {"SecondaryStatus": secondary, "LastModifiedTime": now} | members
            )


_STOPPED = ("Stopped", "Stopped", "Training job stopped")
_TOO_LONG = ("Stopped", "MaxRuntimeExceeded", "Training job stopped: maximum runtime exceeded")


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
