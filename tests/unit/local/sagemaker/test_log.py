from datetime import UTC, datetime

import pytest

from local.sagemaker.log import failure_reason, final_metrics, last_lines

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# The output of AWS's drivers (sagemaker-train 1.27) around that of the script.
DRIVER_LOG = """\
+ python3 /opt/ml/input/data/sm_drivers/distributed_drivers/basic_script_driver.py
Executing command: /usr/bin/python3 train.py --epochs 2
epoch 1 loss=0.9
Traceback (most recent call last):
ValueError: no picture of class bicycle
Command failed with exit code 1. Traceback: Traceback (most recent call last):
subprocess.CalledProcessError: Command '['python3']' returned non-zero exit status 1.
++ handle_error
An error occurred with exit code 1
"""
SILENT_LOG = "Executing command: python3 train.py\nCommand failed with exit code 1. Traceback: none\n"
DRIVER_FAILURE = "subprocess.CalledProcessError: Command '['python3']' returned non-zero"


@pytest.mark.parametrize(
    ("exit_code", "log", "failure_file", "reason"),
    [
        (
            1,
            DRIVER_LOG,
            DRIVER_FAILURE,
            "AlgorithmError: epoch 1 loss=0.9\nTraceback (most recent call last):\n"
            "ValueError: no picture of class bicycle, exit code: 1",
        ),
        (2, DRIVER_LOG, "disk is full\n", "AlgorithmError: disk is full, exit code: 2"),
        (-9, "loading\nthe model", "", "AlgorithmError: loading\nthe model, exit code: 137"),
        (
            1,
            SILENT_LOG,
            DRIVER_FAILURE,
            "AlgorithmError: Command failed with exit code 1. Traceback: none, exit code: 1",
        ),
    ],
    ids=["last lines of the script", "failure file of the script", "signal, without drivers", "silent script"],
)
def test_failure_reason_has_the_scripts_own_text(exit_code, log, failure_file, reason):
    assert failure_reason(exit_code, log, failure_file) == reason


@pytest.mark.parametrize("log", ["line\n" * 1000, "x" * 5000, ""])
def test_failure_reason_has_at_most_1024_characters(log):
    reason = failure_reason(1, log, "")
    assert len(reason) <= 1024
    assert reason.startswith("AlgorithmError: ")
    assert reason.endswith(", exit code: 1")


def test_final_metrics_have_the_last_numeric_match():
    definitions = [
        {"Name": "loss", "Regex": r"loss=([0-9.]+)"},
        {"Name": "nothing", "Regex": "f1=(.*)"},
        {"Name": "letters", "Regex": "loss=([a-z]+)"},
    ]
    log = "loss=0.9\nloss=bad\nloss=0.25\n"
    assert final_metrics(log, definitions, NOW) == [{"MetricName": "loss", "Value": 0.25, "Timestamp": NOW}]


@pytest.mark.parametrize(
    ("text", "characters", "tail"),
    [
        ("one\ntwo\nthree\n", 10, "two\nthree"),
        ("one\ntwo\nthree\n", 9, "three"),
        ("a long last line", 4, "line"),
        ("", 10, ""),
    ],
)
def test_last_lines_are_whole_if_they_fit(text, characters, tail):
    assert last_lines(text, characters) == tail
