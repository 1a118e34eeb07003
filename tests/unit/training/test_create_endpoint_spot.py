"""--spot: what SageMaker is asked for, what is said of it, and how an early end is gone on from."""

import io
import re

import pytest
from rich.console import Console

from common.account import Caller
from tests.unit.aws_stubs import ACCOUNT, StubbedSession
from training import create_endpoint
from training.create_endpoint import parse_arguments, train, training_time
from training.endpoint.preflight import CheckpointsUnusableError, QuotaExceededError
from training.endpoint.role import Role
from training.endpoint.training_job import TrainingResult

URI = "s3://b/checkpoints/e-20260102030405"
CALLER = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/me", "aws")


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=300)


@pytest.fixture
def trained(monkeypatch, console):
    """Run train with these arguments; return what the job and the wait for it were asked for."""

    def run(*argv, ended=None):
        asked = {}

        def start(_, **keywords):
            asked.update(keywords)
            return "job"

        def wait(_, __, job, *, max_run_s, console):
            asked["wait_s"] = max_run_s
            if ended:
                raise ended
            return TrainingResult(job, "s3://b/model.tar.gz", 10, 3, None, spot=True)

        monkeypatch.setattr(create_endpoint, "start_training_job", start)
        monkeypatch.setattr(create_endpoint, "wait_for_training_job", wait)
        session = StubbedSession()
        session.stub("sagemaker").add_response("stop_training_job", {})
        arguments = parse_arguments(["--endpoint", "e", *argv])
        train(session, arguments, "b", Role("role", changed=False), console)
        return asked

    return run


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--spot", "--model-data", "s3://b/m.tar.gz"], "--model-data: it trains nothing"),
        (["--max-wait", "9999"], "--max-wait: only a job with --spot waits"),
        (["--spot", "--max-wait", "60"], r"--max-wait: at least --max-run \(3600\)"),
        (["--spot", "--max-run", "90", "--max-wait", "60"], r"at least --max-run \(90\)"),
    ],
)
def test_arguments_that_cannot_work(argv, message, capsys):
    with pytest.raises(SystemExit) as caught:
        parse_arguments(argv)
    assert caught.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_ctrl_c_tells_where_the_checkpoints_are(trained, console):
    with pytest.raises(KeyboardInterrupt):
        trained("--spot", ended=KeyboardInterrupt())
    shown = console.file.getvalue()
    assert "Stopping training job job" in shown
    assert re.search(r"add --checkpoints s3://b/checkpoints/e-\d{14}\n", shown)


def test_ctrl_c_on_demand_speaks_of_no_checkpoints(trained, console):
    with pytest.raises(KeyboardInterrupt):
        trained(ended=KeyboardInterrupt())
    assert "checkpoints" not in console.file.getvalue()


def test_on_demand_there_is_no_wait_and_there_are_no_checkpoints(trained):
    asked = trained("--max-run", "60")
    assert (asked["max_run_s"], asked["max_wait_s"], asked["checkpoints"]) == (60, None, "")
    assert asked["wait_s"] == 60


@pytest.mark.parity("training-spot")
def test_spot_waits_twice_as_long_and_keeps_checkpoints_of_its_own(trained):
    asked = trained("--spot", "--max-run", "60")
    assert (asked["max_run_s"], asked["max_wait_s"], asked["wait_s"]) == (60, 120, 120)
    assert re.fullmatch(r"s3://b/checkpoints/e-\d{14}", asked["checkpoints"])
    assert trained("--spot", "--max-run", "60", "--max-wait", "90")["max_wait_s"] == 90


@pytest.mark.parametrize("spot", [(), ("--spot",)])
def test_a_job_goes_on_from_the_checkpoints_that_are_given(trained, spot):
    asked = trained(*spot, "--checkpoints", URI)
    assert asked["checkpoints"] == URI
    assert (asked["max_wait_s"] is not None) is bool(spot)


def test_the_table_says_what_spot_instances_saved():
    figures = {"seconds": 200, "billable_seconds": 60, "spot": True, "interruptions": 1}
    assert training_time(figures) == ("200 s, 60 s billed: spot instances saved 70%, with 1 interruption")
    assert training_time({**figures, "interruptions": 0}).endswith("with 0 interruptions")
    assert training_time({**figures, "spot": False}) == "200 s, 60 s billed"
    none = {"seconds": 0, "billable_seconds": 0, "spot": True, "interruptions": 0}
    assert "saved 0%" in training_time(none)


def test_the_quota_of_spot_instances_and_the_checkpoints_are_checked_first(console, monkeypatch):
    monkeypatch.setattr(create_endpoint, "image_uri", lambda *_: None)
    monkeypatch.setattr(create_endpoint, "check_bucket", lambda *_: None)
    monkeypatch.setattr(create_endpoint, "read_manifest", lambda *_: {"counts": {}})
    session = StubbedSession()
    session.stub("s3").add_response("list_objects_v2", {}, {"Bucket": "b", "Prefix": "checkpoints/none/", "MaxKeys": 1})
    session.stub("s3").add_client_error("get_bucket_encryption", "AccessDenied")
    session.stub("sagemaker").add_client_error("describe_endpoint", "ValidationException", "Could not find it")
    name = "ml.m5.xlarge for spot training job usage"
    session.stub("service-quotas").add_response(
        "list_service_quotas",
        {"Quotas": [{"QuotaName": name, "Value": 0.0, "QuotaCode": "L-1"}]},
    )
    arguments = parse_arguments(["--spot", "--checkpoints", "s3://b/checkpoints/none"])
    with pytest.raises(create_endpoint.PreflightError) as caught:
        create_endpoint.check_before(session, arguments, CALLER, "b", console)
    problems = caught.value.problems
    assert [type(problem) for problem in problems] == [
        CheckpointsUnusableError,
        QuotaExceededError,
    ]
    assert f'Your quota "{name}" is 0, and 1 needed' in str(problems[1])
