"""The command: what is wrong is said at once, and Ctrl-C leaves nothing running unsaid."""

import io
import json
from dataclasses import asdict

import pytest
from botocore.exceptions import EndpointConnectionError
from rich.console import Console

from common import settings
from common.account import BucketUnreachableError, Caller
from common.reports import write_json
from common.settings import project
from common.waiting import WaitTimeoutError
from tests.unit.aws_stubs import ACCOUNT, REGION, Body, StubbedSession, client_error
from training import create_endpoint
from training.container.picture_model.calibration import recommend_threshold
from training.create_endpoint import (
    CheckRefusedError,
    ModelNotServedError,
    PreflightError,
    TrainingUnwatchedError,
    check_before,
    cost_reminder,
    main,
    parse_arguments,
    serve,
    train,
)
from training.endpoint.deployment import deploy_command
from training.endpoint.endpoint import SmokeTestError
from training.endpoint.preflight import InstanceTypeUnknownError, QuotaExceededError, StagedDataMissingError
from training.endpoint.role import Role, RoleUnusableError
from training.endpoint.training_job import TrainingFailedError, TrainingResult

ROLE = Role("role", changed=False)
CALLER = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/me", "aws")
MANIFEST = {
    "counts": {split: {"bicycle": 1} for split in ("train", "validation", "test")},
    "files": {"test/bicycle/b.png": {}, "test/bicycle/a.png": {}, "train/bicycle/0.png": {}},
}

TAG = project().tag


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(autouse=True)
def images(monkeypatch):
    """The SDK takes seconds to import; tests/unit/training/endpoint/test_training_job.py asks it."""
    asked = []
    monkeypatch.setattr(create_endpoint, "image_uri", lambda *arguments: asked.append(arguments))
    return asked


def add_endpoint(session, *, status="", tags=(TAG,), instance_type="ml.m5.large"):
    """Let there be an endpoint in this status, none where it is ""."""
    stub = session.stub("sagemaker")
    if not status:
        stub.add_client_error("describe_endpoint", "ValidationException", "Could not find it")
        return
    when = "2026-01-01T00:00:00Z"
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/e"
    found = {
        "EndpointName": "e",
        "EndpointArn": arn,
        "EndpointConfigName": "c",
        "EndpointStatus": status,
        "CreationTime": when,
        "LastModifiedTime": when,
    }
    stub.add_response("describe_endpoint", found)
    stub.add_response("list_tags", {"Tags": list(tags)}, {"ResourceArn": arn})
    if status == "InService":
        config = {
            "EndpointConfigName": "c",
            "EndpointConfigArn": arn,
            "ProductionVariants": [{"VariantName": "v", "InstanceType": instance_type}],
            "CreationTime": when,
        }
        stub.add_response("describe_endpoint_config", config, {"EndpointConfigName": "c"})


def add_bucket(session):
    stub = session.stub("s3")
    stub.add_response("head_bucket", {"ResponseMetadata": {}})
    stub.add_response("get_object", {"Body": Body(MANIFEST)})
    stub.add_client_error("get_bucket_encryption", "AccessDenied")


def add_quotas(session, **values):
    quotas = [
        {"QuotaName": name.replace("_", " "), "Value": value, "QuotaCode": "L-1"} for name, value in values.items()
    ]
    session.stub("service-quotas").add_response("list_service_quotas", {"Quotas": quotas})


def check(session, console, *argv):
    return check_before(session, parse_arguments(list(argv)), CALLER, "b", console)


def test_everything_that_is_wrong_is_said_at_once(console):
    session = StubbedSession()
    session.stub("s3").add_client_error("head_bucket", "404", http_status_code=404)
    session.stub("iam").add_client_error("get_role", "NoSuchEntity", http_status_code=404)
    add_endpoint(session)
    add_quotas(
        session,
        **{"ml.m5.large for endpoint usage": 0.0, "ml.m5.xlarge for training job usage": 0.0},
    )
    with pytest.raises(PreflightError) as caught:
        check(session, console, "--role", "Nobody")
    assert [type(problem) for problem in caught.value.problems] == [
        BucketUnreachableError,
        RoleUnusableError,
        QuotaExceededError,
        QuotaExceededError,
    ]
    assert len(str(caught.value).splitlines()) == 4
    session.assert_no_pending_responses()


def test_preflight_refused_calls_do_not_hide_the_other_problems(console):
    session = StubbedSession()
    session.stub("s3").add_client_error("head_bucket", "404", http_status_code=404)
    session.stub("sagemaker").add_client_error("describe_endpoint", "AccessDeniedException")
    add_quotas(session, **{"ml.m5.large for endpoint usage": 0.0, "ml.m5.xlarge for training job usage": 0.0})
    with pytest.raises(PreflightError) as caught:
        check(session, console)
    assert [type(problem) for problem in caught.value.problems] == [
        BucketUnreachableError,
        CheckRefusedError,
        QuotaExceededError,
        QuotaExceededError,
    ]
    assert "AccessDeniedException" in str(caught.value)


@pytest.mark.parametrize("option", ["--max-run", "--max-wait"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5"])
def test_seconds_that_are_no_positive_integer_are_refused(option, value, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--spot", option, value])
    assert f"{value!r} is not a whole number above 0" in capsys.readouterr().err


@pytest.mark.parity("endpoint-update", "service-quotas")
def test_an_update_needs_two_instances_for_a_moment(console):
    session = StubbedSession()
    add_bucket(session)
    add_endpoint(session, status="InService")
    add_quotas(session, **{"ml.m5.large for endpoint usage": 1.0})
    with pytest.raises(PreflightError, match=r'"ml.m5.large for endpoint usage" is 1, and 2 needed'):
        check(session, console)


@pytest.mark.parametrize(
    "endpoint",
    [{"status": "InService", "instance_type": "ml.t2.medium"}, {"status": "Failed"}],
    ids=["on another type", "is made anew"],
)
def test_one_instance_suffices_where_none_of_its_type_serves(console, endpoint):
    session = StubbedSession()
    add_bucket(session)
    add_endpoint(session, **endpoint)
    add_quotas(session, **{"ml.m5.large for endpoint usage": 1.0})
    check(session, console)
    session.assert_no_pending_responses()


def test_an_endpoint_of_somebody_else_ends_it_before_anything_is_trained(console):
    session = StubbedSession()
    add_bucket(session)
    add_endpoint(session, status="InService", tags=())
    add_quotas(session)
    with pytest.raises(PreflightError, match=r"did not make: give another --endpoint\.$"):
        check(session, console)


def test_instance_types_and_images_are_asked_for_before_anything_is_trained(console, images):
    session = StubbedSession()
    add_bucket(session)
    add_endpoint(session)
    add_quotas(session)
    types = ["--training-instance", "ml.t2.medium", "--endpoint-instance", "ml.p9.large"]
    with pytest.raises(PreflightError) as caught:
        check(session, console, *types)
    assert [type(problem) for problem in caught.value.problems] == [InstanceTypeUnknownError] * 2

    add_bucket(session)
    add_endpoint(session)
    add_quotas(session)
    check(session, console)
    assert images == [
        (REGION, "ml.m5.large", "inference"),
        (REGION, "ml.m5.xlarge", "training"),
    ]


def test_without_staged_data_nothing_starts(console):
    session = StubbedSession()
    session.stub("s3").add_response("head_bucket", {"ResponseMetadata": {}})
    session.stub("s3").add_client_error("get_object", "NoSuchKey", http_status_code=404)
    session.stub("s3").add_client_error("get_bucket_encryption", "AccessDenied")
    add_endpoint(session)
    add_quotas(session)
    with pytest.raises(PreflightError) as caught:
        check(session, console)
    assert isinstance(caught.value.problems[0], StagedDataMissingError)


def test_what_was_found_is_said_and_unknown_quotas_are_called_so(console):
    session = StubbedSession()
    add_bucket(session)
    add_endpoint(session)
    session.stub("service-quotas").add_client_error("list_service_quotas", "AccessDenied")
    assert check(session, console) == (MANIFEST, "")
    shown = console.file.getvalue()
    assert "1 training, 1 validation and 1 test pictures" in shown
    assert "ml.m5.xlarge for training job usage: unknown" in shown


def test_an_expected_error_is_a_sentence_and_status_1(monkeypatch, capsys):
    monkeypatch.setattr("boto3.Session", lambda: StubbedSession(region=None))
    assert main([]) == 1
    error = capsys.readouterr().err
    assert error.startswith("create_endpoint: No AWS region is set: export AWS_DEFAULT_REGION")
    assert "Traceback" not in error


def test_an_error_of_aws_is_a_sentence_and_status_1(monkeypatch, capsys):
    session = StubbedSession()
    session.stub("sts").add_response("get_caller_identity", {"Account": ACCOUNT, "Arn": CALLER.arn})
    session.stub("s3").add_client_error("head_bucket", "503", "Slow down", http_status_code=503)
    add_endpoint(session)
    add_quotas(session)
    monkeypatch.setattr("boto3.Session", lambda: session)
    assert main([]) == 1
    assert "create_endpoint: A check could not be made. An error occurred (503)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--training-instance", "m5.large"], "is not an instance type such as ml.m5.large"),
        (["--hyperparameters", "epochs"], "--hyperparameters epochs: write NAME=VALUE"),
        (["--hyperparameters", "=3"], "write NAME=VALUE"),
        (["--max-error", "0"], "'0' is not a number between 0 and 1"),
        (
            ["--max-error", "0.02", "--hyperparameters", "max-error=0.01"],
            "--max-error: give it once",
        ),
    ],
)
def test_arguments_that_cannot_work(argv, message, capsys):
    with pytest.raises(SystemExit) as caught:
        parse_arguments(argv)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_an_endpoints_name_that_cannot_work():
    with pytest.raises(settings.SettingsError, match="--endpoint: 'a_b' cannot be the name"):
        parse_arguments(["--endpoint", "a_b"])
    with pytest.raises(settings.SettingsError, match="Use 1 to 48 lower-case"):
        parse_arguments(["--endpoint", "a" * 49])  # a job's name would be too long


def test_hyperparameters_are_taken_with_or_without_hyphens():
    arguments = parse_arguments(["--hyperparameters", "epochs=3", "--model-data", "s3://b/m.tar.gz"])
    assert arguments.hyperparameters == {"epochs": "3"}


def train_with(monkeypatch, session, console, *, start=None, wait=None):
    """Run train with these in place of SageMaker's answers: what they are, or are raised."""

    def answer(what):
        def call(*_, **__):
            if isinstance(what, BaseException):
                raise what
            return what

        return call

    monkeypatch.setattr(create_endpoint, "start_training_job", answer(start or "job"))
    monkeypatch.setattr(create_endpoint, "wait_for_training_job", answer(wait))
    return train(session, parse_arguments([]), "b", ROLE, console)


def test_ctrl_c_stops_the_training_job_that_was_started(monkeypatch, console):
    session = StubbedSession()
    stub = session.stub("sagemaker")
    stub.add_response("stop_training_job", {}, {"TrainingJobName": "job"})
    with pytest.raises(KeyboardInterrupt):
        train_with(monkeypatch, session, console, wait=KeyboardInterrupt())
    assert "Stopping training job job" in console.file.getvalue()
    session.assert_no_pending_responses()


def test_ctrl_c_while_a_job_is_being_started_says_how_to_stop_it(monkeypatch, console):
    with pytest.raises(KeyboardInterrupt):
        train_with(monkeypatch, StubbedSession(), console, start=KeyboardInterrupt())
    assert "python -m training.cleanup stops it" in console.file.getvalue()


@pytest.mark.parametrize(
    "error",
    [
        client_error("ExpiredTokenException", "The token is expired"),
        EndpointConnectionError(endpoint_url="https://sagemaker"),
        WaitTimeoutError("Training job job", "InProgress", 1),
    ],
)
def test_a_job_that_cannot_be_watched_any_longer_is_not_lost(monkeypatch, console, error):
    with pytest.raises(TrainingUnwatchedError) as caught:
        train_with(monkeypatch, StubbedSession(), console, wait=error)
    message = str(caught.value)
    assert message.startswith(str(error))
    assert "Training job job was started" in message
    assert "--model-data s3://b/jobs/job/output/model.tar.gz" in message


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("wait", TrainingFailedError("job", "Failed", "no", REGION)),
        ("start", client_error("ResourceLimitExceeded", "no")),
    ],
)
def test_a_job_that_ended_or_never_began_is_reported_as_it_is(monkeypatch, console, place, error):
    with pytest.raises(type(error)) as caught:
        train_with(monkeypatch, StubbedSession(), console, **{place: error})
    assert caught.value is error


@pytest.fixture
def create(monkeypatch, console):
    """Run create with a training that completed, and these in place of what follows."""

    def run(*argv, **steps):
        session = StubbedSession()
        answer = {"Account": ACCOUNT, "Arn": CALLER.arn}
        session.stub("sts").add_response("get_caller_identity", answer)
        monkeypatch.setattr("boto3.Session", lambda: session)
        result = TrainingResult("job", "s3://b/jobs/job/output/model.tar.gz", 1, 1, None)
        in_service = ({"EndpointArn": "arn"}, 1.0, "e-old")
        steps = {
            "check_before": lambda *_: (MANIFEST, "role"),
            "train": lambda *_: result,
            "recommend": lambda *_: (None, "It has no held_out.json."),
            "serve": lambda *_, **__: in_service,
            **steps,
        }
        for name, step in steps.items():
            monkeypatch.setattr(create_endpoint, name, step)
        add_picture(session)
        create_endpoint.create(parse_arguments(["--endpoint", "e", *argv]), console)

    return run


def add_picture(session):
    expected = {
        "Bucket": settings.default_bucket(ACCOUNT, REGION),
        "Key": "staged/test/bicycle/a.png",
    }
    session.stub("s3").add_response("get_object", {"Body": Body(b"PNG")}, expected)


def refuse(*_, **__):
    raise SmokeTestError("Endpoint e is in service but answered nonsense")


def test_a_model_that_fails_its_test_does_not_cost_the_former_one(create, console):
    # delete_superseded is not replaced: what it would ask SageMaker is refused by the stub.
    with pytest.raises(ModelNotServedError) as caught:
        create(smoke_test=refuse)
    message = str(caught.value)
    assert "answered nonsense" in message
    assert "The configuration that it served before, e-old, is still there" in message
    assert message.endswith("add --model-data s3://b/jobs/job/output/model.tar.gz")
    assert "Trained model: s3://b/jobs/job/output/model.tar.gz" in console.file.getvalue()


def test_a_failed_first_test_names_no_former_configuration(create):
    first = ({"EndpointArn": "arn"}, 1.0, "")
    with pytest.raises(SmokeTestError) as caught:
        create("--model-data", "s3://b/m.tar.gz", serve=lambda *_, **__: first, smoke_test=refuse)
    assert str(caught.value) == "Endpoint e is in service but answered nonsense"


def test_an_endpoint_that_fails_after_a_training_tells_where_the_model_is(create):
    def fail(*_, **__):
        raise client_error("ResourceLimitExceeded", "no instances")

    with pytest.raises(ModelNotServedError, match=r"no instances[^$]*--model-data s3://b/jobs/job/"):
        create(serve=fail)


@pytest.fixture
def created(create, console, monkeypatch):
    """Run create to its end with this recommendation; return the report and what is shown."""

    def run(found, missing, *argv):
        reports = []
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        monkeypatch.setattr(create_endpoint, "write_json", lambda _, report: reports.append(report))
        asked: list = []

        def recommend(_, *of):
            asked.append(of)
            return found, missing

        create(
            *argv,
            smoke_test=lambda *_: ("bicycle", 0.9),
            delete_superseded=lambda *_, **__: 0,
            recommend=recommend,
        )
        return reports[0], console.file.getvalue(), asked[0]

    return run


def test_the_recommended_threshold_is_reported_and_deployed_with(created):
    found = recommend_threshold([0.8 + n / 10_000 for n in range(400)], [True] * 400)
    report, shown, asked = created(found, "", "--max-error", "0.02")

    assert report["recommendation"] == asdict(found)
    parameters = settings.project().parameters | {"EndpointName": "e", "ConfidenceThreshold": "0.8"}
    assert report["deploy_parameters"] == parameters
    assert f"Threshold: {found}" in shown
    assert f"    {deploy_command(parameters)}\n" in shown
    assert asked == ("s3://b/jobs/job/output/model.tar.gz", 0.02)


def test_a_model_without_a_recommendation_keeps_the_stacks_threshold(created):
    report, shown, asked = created(None, "It has no held_out.json.", "--model-data", "s3://b/m")

    threshold = settings.project().parameters["ConfidenceThreshold"]
    assert (report["recommendation"], asked) == (None, ("s3://b/m", None))
    assert report["deploy_parameters"]["ConfidenceThreshold"] == threshold
    assert f"Threshold: It has no held_out.json. So {threshold} stays, as in samconfig" in shown


def test_the_wanted_rate_goes_to_the_training_too():
    arguments = parse_arguments(["--max-error", "0.02", "--hyperparameters", "epochs=3"])
    assert arguments.hyperparameters == {"epochs": "3", "max-error": "0.02"}
    assert parse_arguments([]).hyperparameters == {}


def test_ctrl_c_while_the_endpoint_comes_up_says_that_it_costs(monkeypatch, console):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    for name in ("create_model", "create_endpoint_config", "put_endpoint"):
        monkeypatch.setattr(create_endpoint, name, lambda *_, **__: None)
    monkeypatch.setattr(create_endpoint, "wait_in_service", interrupted)
    with pytest.raises(KeyboardInterrupt):
        serve(
            StubbedSession(),
            "e-1",
            endpoint="e",
            instance_type="ml.m5.large",
            model_data="s3://b/m.tar.gz",
            bucket="b",
            role=ROLE,
            console=console,
        )
    shown = console.file.getvalue()
    assert "Endpoint e is still being made. The endpoint costs about 0.115 USD an hour" in shown
    assert "--model-data s3://b/m.tar.gz" in shown


def test_a_price_that_is_not_known_is_not_made_up():
    assert "costs about 0.115 USD an hour, 84 a month (us-east-1" in cost_reminder("ml.m5.large")
    assert "costs money (" in cost_reminder("ml.g5.xlarge")


def test_a_report_is_written_whole(tmp_path):
    path = tmp_path / "new" / "endpoint.json"
    write_json(path, {"endpoint": "e"})
    assert json.loads(path.read_text()) == {"endpoint": "e"}
    assert [file.name for file in path.parent.iterdir()] == ["endpoint.json"]


def test_help_says_what_an_endpoint_costs(capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    assert "0.115 USD an hour" in " ".join(capsys.readouterr().out.split())
