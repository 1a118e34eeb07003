"""The metrics and the failure reason in a training job's log."""

import contextlib
import itertools
import re
from datetime import datetime
from typing import Any

from local.sagemaker.log_stream import last_lines

_REASON_CHARACTERS = 1024  # FailureReason in botocore's model of DescribeTrainingJob
_DRIVER_STARTS_SCRIPT = "Executing command: "
_REPORTS_OF_FAILURE = ("Command failed with exit code ", "An error occurred with exit code ")  # driver, shell
_DRIVER_FAILURES = ("Training Execution failed.", "subprocess.CalledProcessError")


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
        reason = script_output(log)
    # The shell's exit code for a signal, 137 for SIGKILL.
    shown = exit_code if exit_code >= 0 else 128 - exit_code
    start, end = "AlgorithmError: ", f", exit code: {shown}"
    return start + last_lines(reason, _REASON_CHARACTERS - len(start) - len(end)) + end


def script_output(log: str) -> str:
    """Return the output of the entry script in a log, without that of the drivers."""
    lines = log.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(_DRIVER_STARTS_SCRIPT)]
    begin = starts[-1] + 1 if starts else 0
    own = list(itertools.takewhile(lambda line: not line.startswith(_REPORTS_OF_FAILURE), lines[begin:]))
    return "\n".join(own or lines[begin:]) or log
