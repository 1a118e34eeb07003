import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from benchmarks.batch import BatchFailedError, counted, figures, parse_arguments, time_batch
from tests.unit.aws_stubs import stubbed

ARN = "arn:aws:states:us-east-1:000000000000:execution:batch:1"
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:batch"
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUTS = {"PicturesBucketName": "pictures", "MyBatchStateMachineArn": MACHINE}


class Session:
    """As much of a LaptopSession as a batch of no pictures asks for."""

    def __init__(self, stepfunctions: Any) -> None:
        self.console = Console(file=io.StringIO())
        self._clients = {"stepfunctions": stepfunctions, "s3": None}

    def client(self, service: str) -> Any:
        return self._clients[service]


def ended(status: str, **more: Any) -> dict[str, Any]:
    return {
        "executionArn": ARN,
        "stateMachineArn": MACHINE,
        "status": status,
        "startDate": STARTED,
        "stopDate": STARTED + timedelta(seconds=2.5),
    } | more


def time_one(description: dict[str, Any]) -> dict[str, Any]:
    """Time a batch over an empty prefix, whose execution is described so."""
    stepfunctions, stub = stubbed("stepfunctions")
    stub.add_response("start_execution", {"executionArn": ARN, "startDate": STARTED})
    stub.add_response("describe_execution", description, {"executionArn": ARN})
    found = time_batch(Session(stepfunctions), OUTPUTS, [])  # type: ignore[arg-type]
    stub.assert_no_pending_responses()
    return found


def summary(**counts: int) -> str:
    return json.dumps({"found": 0, "accepted": 0, "review": 0, "failed": 0} | counts)


def test_a_batch_that_failed_is_no_figure():
    with pytest.raises(BatchFailedError, match="ended FAILED: too many"):
        time_one(ended("FAILED", error="E", cause="too many"))


@pytest.mark.parametrize("counts", [{"found": 1}, {"accepted": 1}, {"found": 1, "failed": 1}])
def test_a_summary_without_an_answer_to_every_picture_is_no_figure(counts):
    with pytest.raises(BatchFailedError, match="Not all 0 pictures have an answer"):
        time_one(ended("SUCCEEDED", output=summary(**counts)))


def test_the_time_of_a_batch_is_that_of_its_execution():
    assert time_one(ended("SUCCEEDED", output=summary()))["seconds"] == 2.5


def test_before_the_list_of_pictures_is_read_there_is_no_total():
    stepfunctions, stub = stubbed("stepfunctions")
    stub.add_response("list_map_runs", {"mapRuns": []}, {"executionArn": ARN})
    assert counted(stepfunctions, ARN) == (0, None)
    stub.assert_no_pending_responses()


def test_a_ratio_is_that_of_a_pair_and_the_median_of_all():
    names = ("batch_s", "batch_pictures_per_s", "endpoint_pictures_per_s", "ratio")
    pairs = [dict.fromkeys(names, value) for value in (3.0, 1.0, 8.0)]
    found = figures(pairs)
    for name in names:
        assert (found[f"{name}_min"], found[name], found[f"{name}_max"]) == (1.0, 3.0, 8.0)


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_a_number_of_pictures_that_cannot_be_is_refused(number, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--pictures", number])
    assert "is not a whole number above 0" in capsys.readouterr().err
