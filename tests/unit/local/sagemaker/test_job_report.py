from datetime import UTC, datetime

import pytest

from local.sagemaker.job_report import failure_reason, final_metrics, script_output
from local.sagemaker.log_stream import last_lines

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# As AWS's drivers (sagemaker-train 1.27) write it around the script's own output.
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
DRIVER_FAILURE = "subprocess.CalledProcessError: Command '['python3']' returned non-zero"


def test_the_scripts_last_lines_are_the_reason() -> None:
    assert failure_reason(1, DRIVER_LOG, DRIVER_FAILURE) == (
        "AlgorithmError: epoch 1 loss=0.9\nTraceback (most recent call last):\n"
        "ValueError: no picture of class bicycle, exit code: 1"
    )


def test_what_the_script_wrote_itself_comes_first() -> None:
    assert failure_reason(2, DRIVER_LOG, "disk is full\n") == ("AlgorithmError: disk is full, exit code: 2")


@pytest.mark.parametrize("log", ["line\n" * 1000, "x" * 5000, ""])
def test_a_reason_fits_into_1024_characters(log: str) -> None:
    reason = failure_reason(1, log, "")
    assert len(reason) <= 1024
    assert reason.startswith("AlgorithmError: ")
    assert reason.endswith(", exit code: 1")


def test_a_killed_script_has_the_shells_exit_code() -> None:
    assert failure_reason(-9, "loading", "") == "AlgorithmError: loading, exit code: 137"


def test_a_script_that_says_nothing_shows_the_drivers_words() -> None:
    log = "Executing command: python3 train.py\nCommand failed with exit code 1. Traceback: none\n"
    assert script_output(log) == "Command failed with exit code 1. Traceback: none"


def test_a_log_without_drivers_is_the_scripts_own() -> None:
    assert script_output("one\ntwo") == "one\ntwo"


def test_a_metric_is_its_last_match() -> None:
    definitions = [
        {"Name": "loss", "Regex": r"loss=([0-9.]+)"},
        {"Name": "nothing", "Regex": "f1=(.*)"},
        {"Name": "words", "Regex": "loss=([a-z]+)"},
    ]
    log = "loss=0.9\nloss=bad\nloss=0.25\n"
    assert final_metrics(log, definitions, NOW) == [{"MetricName": "loss", "Value": 0.25, "Timestamp": NOW}]


@pytest.mark.parametrize(
    ("text", "most", "tail"),
    [
        ("one\ntwo\nthree\n", 10, "two\nthree"),
        ("one\ntwo\nthree\n", 9, "three"),
        ("a long last line", 4, "line"),
        ("", 10, ""),
    ],
)
def test_last_lines_are_whole_where_they_can_be(text: str, most: int, tail: str) -> None:
    assert last_lines(text, most) == tail
