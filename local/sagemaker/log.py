"""The log of a job or an endpoint: its copy in CloudWatch Logs, and the metrics and the failure reason in it."""

import contextlib
import itertools
import logging
import re
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_POLL_SECONDS = 0.5
_BATCH_EVENTS = 1000  # AWS accepts up to 10,000 events and 1 MiB per call
_LINE_BYTES = 32_000  # keeps a batch of long lines below 1 MiB in practice; AWS accepts 256 KB per line
_REASON_CHARACTERS = 1024  # FailureReason in botocore's model of DescribeTrainingJob
_DRIVER_STARTS_SCRIPT = "Executing command: "
_REPORTS_OF_FAILURE = ("Command failed with exit code ", "An error occurred with exit code ")  # driver, shell
_DRIVER_FAILURES = ("Training Execution failed.", "subprocess.CalledProcessError")

logger = logging.getLogger(__name__)


class LogStream:
    """Copies one file into one CloudWatch log stream."""

    def __init__(self, logs: Any, group: str, stream: str, path: Path, offset: int = 0) -> None:
        """Set the Logs client, the target, the file and the offset of its first byte to copy."""
        self._logs = logs
        self._target = {"logGroupName": group, "logStreamName": stream}
        self._path = path
        self._offset = offset
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"log {stream}", daemon=True)

    def start(self) -> None:
        """Create group and stream and start to copy."""
        with contextlib.suppress(self._logs.exceptions.ResourceAlreadyExistsException):
            self._logs.create_log_group(logGroupName=self._target["logGroupName"])
        self._logs.create_log_stream(**self._target)
        self._thread.start()

    def finish(self) -> None:
        """Copy the rest and end; wait at most 10 seconds."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._done.wait(_POLL_SECONDS)
            try:
                self._copy(last)
            except (BotoCoreError, ClientError) as error:
                # A deleted log group must not end the job; the file still has everything.
                logger.warning("Log stream %s stopped: %s", self._target["logStreamName"], error)
                return

    def _copy(self, last: bool) -> None:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        end = len(text) if last else text.rfind(b"\n") + 1
        self._offset += end
        now = int(time.time() * 1000)
        events = [
            {"timestamp": now, "message": line[:_LINE_BYTES].decode(errors="replace")}
            for line in text[:end].splitlines()
            if line.strip()
        ]
        for start in range(0, len(events), _BATCH_EVENTS):
            self._logs.put_log_events(**self._target, logEvents=events[start : start + _BATCH_EVENTS])


def last_lines(text: str, characters: int) -> str:
    """Return as many whole lines from the end of a text as fit into a number of characters.

    A last line that is too long keeps its end, where Python names the error.
    """
    text = "\n".join(text.strip().splitlines())  # a progress bar's carriage returns end lines, too
    end = text[-characters:]
    if len(end) == len(text) or "\n" not in end:
        return end
    return end.partition("\n")[2]


def final_metrics(log: str, definitions: list[dict[str, str]], finished: datetime) -> list[dict[str, Any]]:
    """Return `FinalMetricDataList`: the last match in the log of each metric's expression."""
    metrics = []
    for definition in definitions:
        for match in list(re.finditer(definition["Regex"], log))[-1:]:
            with contextlib.suppress(ValueError):  # as SageMaker: no value for a match that is not a number
                value = float(match.group(1) if match.re.groups else match.group(0))
                metrics.append({"MetricName": definition["Name"], "Value": value, "Timestamp": finished})
    return metrics


def failure_reason(exit_code: int, log: str, failure_file: str) -> str:
    """Return the `FailureReason` of a job in SageMaker's format, at most 1024 characters.

    SageMaker shows the text that the script wrote to `/opt/ml/output/failure`. The SDK's drivers
    write there only that a command failed; the script's last lines replace that.
    """
    reason = failure_file.strip()
    if not reason or any(mark in reason for mark in _DRIVER_FAILURES):
        reason = _script_output(log)
    # The shell's exit code for a signal, 137 for SIGKILL.
    shown = exit_code if exit_code >= 0 else 128 - exit_code
    start, end = "AlgorithmError: ", f", exit code: {shown}"
    return start + last_lines(reason, _REASON_CHARACTERS - len(start) - len(end)) + end


def _script_output(log: str) -> str:
    """Return the output of the entry script in a log, without that of the drivers."""
    lines = log.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(_DRIVER_STARTS_SCRIPT)]
    begin = starts[-1] + 1 if starts else 0
    own = list(itertools.takewhile(lambda line: not line.startswith(_REPORTS_OF_FAILURE), lines[begin:]))
    return "\n".join(own or lines[begin:]) or log
