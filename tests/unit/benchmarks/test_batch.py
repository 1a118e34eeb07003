import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from benchmarks.batch import FIGURES, batch_progress, figures, parse_arguments, time_batch
from benchmarks.runs import BenchmarkError
from tests.unit.aws_stubs import StubbedSession

ARN = "arn:aws:states:us-east-1:000000000000:execution:batch:1"
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:batch"
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUTS = {"PicturesBucketName": "pictures", "MyBatchStateMachineArn": MACHINE}
NOTHING = {"found": 0, "accepted": 0, "review": 0, "failed": 0}


@pytest.fixture
def session():
    made = StubbedSession()
    made.console = Console(file=io.StringIO())  # type: ignore[attr-defined]
    return made


def time_empty_batch(session: StubbedSession, status: str, **more: Any) -> float:
    """Time a batch over an empty prefix, given the description of its execution."""
    stub = session.stub("stepfunctions")
    stub.add_response("start_execution", {"executionArn": ARN, "startDate": STARTED})
    ended = STARTED + timedelta(seconds=2.5)
    description = {"executionArn": ARN, "stateMachineArn": MACHINE, "startDate": STARTED, "stopDate": ended}
    stub.add_response("describe_execution", description | {"status": status} | more, {"executionArn": ARN})
    return time_batch(session, OUTPUTS, [])[0]  # type: ignore[arg-type]


def test_failed_batch_is_an_error(session):
    with pytest.raises(BenchmarkError, match="ended FAILED: too many"):
        time_empty_batch(session, "FAILED", error="E", cause="too many")


@pytest.mark.parametrize("counts", [{"found": 1}, {"accepted": 1}, {"found": 1, "failed": 1}])
def test_summary_without_an_answer_to_every_picture_is_an_error(session, counts):
    with pytest.raises(BenchmarkError, match="Not all 0 pictures have an answer"):
        time_empty_batch(session, "SUCCEEDED", output=json.dumps(NOTHING | counts))


def test_time_of_a_batch_is_the_execution_time(session):
    assert time_empty_batch(session, "SUCCEEDED", output=json.dumps(NOTHING)) == 2.5


def test_progress_has_no_total_before_the_map_run_starts(session):
    session.stub("stepfunctions").add_response("list_map_runs", {"mapRuns": []}, {"executionArn": ARN})
    assert batch_progress(session.client("stepfunctions"), ARN) == (0, None)


def test_figures_are_medians_and_extremes_of_all_pairs():
    found = figures([dict.fromkeys(FIGURES, value) for value in (3.0, 1.0, 8.0)])
    for name in FIGURES:
        assert (found[f"{name}_min"], found[name], found[f"{name}_max"]) == (1.0, 3.0, 8.0)


@pytest.mark.parametrize("number", ["0", "many"])
def test_invalid_number_of_pictures_is_refused(number, usage_error):
    assert "is not a whole number above 0" in usage_error(parse_arguments, ["--pictures", number])
