"""The process that serves one production variant of a model, and invocations of it."""

import logging
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from local.sagemaker.child_process import wait_until
from local.sagemaker.host import Host
from local.sagemaker.log import LogStream, last_lines
from local.sagemaker.model_catalog import container_of, model_archive
from local.sagemaker.object_store import download_archive

INVOCATION_SECONDS = 60.0  # SageMaker's limit for a container's response
_STARTUP_SECONDS = 300.0  # without ContainerStartupHealthCheckTimeoutInSeconds
_SERVING_HOST = Path(__file__).with_name("serving_host.py")

logger = logging.getLogger(__name__)


class ModelServerError(Exception):
    """The model did not start; the message is the endpoint's `FailureReason`."""


class InvocationTimeoutError(Exception):
    """The container did not answer in time."""


class ModelServerGoneError(Exception):
    """The container's process has ended."""


@dataclass(frozen=True)
class ContainerAnswer:
    """A response of the container: HTTP status, body and content type."""

    status: int
    body: bytes
    content_type: str


class ModelServer:
    """The model server of one production variant."""

    def __init__(
        self,
        endpoint: str,
        variant: dict[str, Any],
        folder: Path,
        host: Host,
        invocation_seconds: float = INVOCATION_SECONDS,
    ) -> None:
        """Set up without a process; `folder` is for its files, and is empty or missing."""
        self._variant = variant
        self._name = variant["VariantName"]
        self._folder = folder
        self._host = host
        self._invocation_seconds = invocation_seconds
        self._log = folder / "log.txt"
        self._stream = LogStream(
            host.logs,
            f"/aws/sagemaker/Endpoints/{endpoint}",
            f"{self._name}/i-{folder.name}{os.urandom(6).hex()}",
            self._log,
        )
        self._environment: dict[str, str] = {}
        self._program = "inference.py"
        self._process: subprocess.Popen[bytes] | None = None
        self._pool: urllib3.HTTPConnectionPool | None = None
        self._running_calls = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._reviving = False

    def start(self, model: dict[str, Any]) -> None:
        """Unpack the model, start the process and wait until it answers `/ping`.

        Raise ModelServerError when it does not, and its process has ended; tarfile.TarError or botocore's ClientError
        when the model archive cannot be unpacked or downloaded.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        model_dir = self._folder / "model"
        download_archive(self._host.s3, model_archive(model), model_dir)
        self._log.touch()
        self._stream.start()
        given = container_of(model).get("Environment", {})
        self._program = given.get("SAGEMAKER_PROGRAM", self._program)
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._folder),
            **self._host.environment(),
            **given,
            # /opt/ml/model in SageMaker's images; here the unpacked archive.
            "SM_MODEL_DIR": str(model_dir),
            "SAGEMAKER_SUBMIT_DIRECTORY": str(model_dir / "code"),
        }
        self._launch()

    def revive(self) -> None:
        """Restart the process in the background if it has died, as SageMaker restarts a container.

        A failure is logged; the next call of `revive` tries again.
        """
        with self._changed:
            process = self._process
            if process is None or process.poll() is None or self._stopped or self._reviving:
                return
            self._reviving = True
        threading.Thread(target=self._revive, args=(process,), name=f"revive {self._name}", daemon=True).start()

    def _revive(self, dead: subprocess.Popen[bytes]) -> None:
        try:
            self._host.children.stop(dead)  # and the rest of its group
            self._launch()
        except ModelServerError as error:
            logger.warning("%s", error)
        except Exception:  # nothing above this thread would log it
            logger.exception("Variant %s could not be restarted", self._name)
        finally:
            with self._changed:
                self._reviving = False

    def _launch(self) -> None:
        port_file = self._folder / "port"
        port_file.unlink(missing_ok=True)
        command = [
            *(sys.executable, "-P", "-u", str(_SERVING_HOST)),
            *("--model-dir", str(self._folder / "model"), "--program", self._program, "--port-file", str(port_file)),
        ]
        process = self._host.children.start(command, self._environment, self._folder, self._log)
        with self._changed:
            self._process = process
            stopped = self._stopped
        if stopped:  # during the restart, so `stop` did not know this process
            self._host.children.stop(process)
            return
        try:
            self._wait(process, port_file)
        except ModelServerError:
            self._host.children.stop(process)
            raise

    def invoke(self, body: bytes, headers: dict[str, str]) -> ContainerAnswer:
        """Send one invocation to the container.

        Raise InvocationTimeoutError without a response in time, and ModelServerGoneError when the process has ended.
        """
        with self._changed:
            if self._pool is None or self._stopped:
                raise ModelServerGoneError("the container is not running")
            self._running_calls += 1
        timeout = urllib3.Timeout(connect=60.0, read=self._invocation_seconds)
        try:
            answer = self._pool.urlopen(
                "POST", "/invocations", body=body, headers=headers, retries=False, timeout=timeout
            )
        except urllib3.exceptions.ReadTimeoutError as error:
            raise InvocationTimeoutError(str(error)) from error
        except urllib3.exceptions.HTTPError as error:
            raise ModelServerGoneError(str(error)) from error
        finally:
            with self._changed:
                self._running_calls -= 1
                self._changed.notify_all()
        return ContainerAnswer(answer.status, answer.data, answer.headers.get("content-type", "application/json"))

    def stop(self) -> None:
        """End the process and its log stream after the running invocations."""
        with self._changed:
            self._stopped = True
            self._changed.wait_for(lambda: self._running_calls == 0, self._invocation_seconds)
            process = self._process
        if process is not None:
            self._host.children.stop(process)
        self._stream.finish()

    def _wait(self, process: subprocess.Popen[bytes], port_file: Path) -> None:
        seconds = self._variant.get("ContainerStartupHealthCheckTimeoutInSeconds", _STARTUP_SECONDS)
        wait_until(lambda: port_file.exists() or process.poll() is not None, seconds)
        if not port_file.exists():
            raise self._failure()
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", int(port_file.read_text()), maxsize=64, block=False)
        try:
            answer = self._pool.urlopen("GET", "/ping", timeout=60.0, retries=3)
        except urllib3.exceptions.HTTPError as error:
            raise self._failure() from error
        if answer.status != 200:
            raise self._failure()

    def _failure(self) -> ModelServerError:
        message = (
            f"The primary container for production variant {self._name} did not pass the ping "
            "health check. Please check CloudWatch logs for this endpoint. Its last lines:\n"
        )
        log = self._log.read_text(errors="replace")
        return ModelServerError(message + last_lines(log, 1024 - len(message)))
