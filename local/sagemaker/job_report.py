"""The metrics and the failure reason in a training job's log."""

import re
from datetime import datetime
from typing import Any

from local.sagemaker.log_stream import last_lines

_REASON_CHARACTERS = 1024  # FailureReason in botocore's model of DescribeTrainingJob
_DRIVER_STARTS_SCRIPT = "Executing command: "
_DRIVER_REPORTS_FAILURE = "Command failed with exit code "
_SHELL_REPORTS_FAILURE = "An error occurred with exit code "
_DRIVER_FAILURES = ("Training Execution failed.", "subprocess.CalledProcessError")


def final_metrics(log: str, definitions: list[dict[str, str]], finished: datetime) -> list[dict[str, Any]]:
    """Return `FinalMetricDataList`: the last match in the log of each metric's expression."""
    metrics = []
    for definition in definitions:
        value = _last_number(definition["Regex"], log)
        if value is not None:
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
    for end in range(begin, len(lines)):
        if lines[end].startswith((_DRIVER_REPORTS_FAILURE, _SHELL_REPORTS_FAILURE)):
            if lines[begin:end]:
                return "\n".join(lines[begin:end])
            break
    return "\n".join(lines[begin:]) or log


def _last_number(expression: str, log: str) -> float | None:
    matches = list(re.finditer(expression, log))
    if not matches:
        return None
    last = matches[-1]
    try:
        return float(last.group(1) if last.re.groups else last.group(0))
    except ValueError:
        return None  # as SageMaker: no value for a match that is not a number
