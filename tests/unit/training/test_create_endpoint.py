"""create_endpoint reports all problems before it trains, and names on Ctrl-C what still runs."""

import io
import re
from dataclasses import asdict
from unittest.mock import Mock

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from rich.console import Console

from common import settings
from common.account import BucketUnreachableError, Caller
from common.settings import project
from common.waiting import WaitTimeoutError
from tests.unit.aws_stubs import ACCOUNT, REGION, Body, StubbedSession, allow_unused_responses, client_error
from tests.unit.training.sagemaker_answers import add_tags, described_config, described_endpoint
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
    training_time,
)
from training.endpoint.deployment import deploy_command
from training.endpoint.endpoint import SmokeTestError
from training.endpoint.preflight import (
    CheckpointsUnusableError,
    InstanceTypeUnknownError,
    QuotaExceededError,
    StagedDataMissingError,
)
from training.endpoint.role import Role, RoleUnusableError
from training.endpoint.training_job import TrainingFailedError, TrainingResult

ROLE = Role("role", changed=False)
CALLER = Caller(ACCOUNT, "aws")
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
    """Replace the SDK, which takes seconds to import: test_training_job.py uses it. Return the calls."""
    calls = []
    monkeypatch.setattr(create_endpoint, "image_uri", lambda *arguments: calls.append(arguments))
    return calls


def add_endpoint(session, *, status="", tags=(TAG,), instance_type="ml.m5.large"):
    """Add an endpoint in this status, none for ""."""
    stub = session.stub("sagemaker")
    if not status:
        stub.add_client_error("describe_endpoint", "ValidationException", "Could not find it")
        return
    stub.add_response("describe_endpoint", described_endpoint("e", status))
    add_tags(stub, "endpoint", "e", tags=tags)
    if status == "InService":
        config = described_config("c", [{"VariantName": "v", "InstanceType": instance_type}])
        stub.add_response("describe_endpoint_config", config, {"EndpointConfigName": "c"})


def add_bucket(session, *, manifest=True, checkpoints=None):
    """Add a bucket with or without manifest, and with this answer about checkpoints."""
    stub = session.stub("s3")
    stub.add_response("head_bucket", {"ResponseMetadata": {}})
    if manifest:
        stub.add_response("get_object", {"Body": Body(MANIFEST)})
    else:
        stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    if checkpoints is not None:
        expected = {"Bucket": "b", "Prefix": "checkpoints/none/", "MaxKeys": 1}
        stub.add_response("list_objects_v2", checkpoints, expected)
    stub.add_client_error("get_bucket_encryption", "AccessDenied")


def add_quotas(session, **values):
    quotas = [{"QuotaName": name, "Value": value, "QuotaCode": "L-1"} for name, value in values.items()]
    session.stub("service-quotas").add_response("list_service_quotas", {"Quotas": quotas})


@pytest.fixture
def check(console):
    """Run check_before on a bucket, an endpoint and quotas; return the session and its result."""

    def run(*argv, bucket=None, endpoint=None, quotas=None):
        session = StubbedSession()
        add_bucket(session, **(bucket or {}))
        add_endpoint(session, **(endpoint or {}))
        add_quotas(session, **(quotas or {}))
        return check_before(session, parse_arguments(list(argv)), CALLER, "b", console)

    return run


def problems(caught):
    return [type(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "error",
    [client_error("AccessDeniedException", "not you"), ReadTimeoutError(endpoint_url="https://sagemaker")],
)
def test_preflight_reports_all_problems_at_once(console, monkeypatch, error):
    session = StubbedSession()
    session.stub("s3").add_client_error("head_bucket", "404", http_status_code=404)
    session.stub("iam").add_client_error("get_role", "NoSuchEntity", http_status_code=404)
    monkeypatch.setattr(create_endpoint, "find_endpoint", Mock(side_effect=error))
    add_quotas(session, **{"ml.m5.large for endpoint usage": 0.0, "ml.m5.xlarge for training job usage": 0.0})
    with pytest.raises(PreflightError) as caught:
        check_before(session, parse_arguments(["--role", "Nobody"]), CALLER, "b", console)
    assert problems(caught) == [
        BucketUnreachableError,
        RoleUnusableError,
        CheckRefusedError,
        QuotaExceededError,
        QuotaExceededError,
    ]
    assert str(error) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 5


ONE_INSTANCE = {"ml.m5.large for endpoint usage": 1.0}


@pytest.mark.parity("endpoint-update", "service-quotas")
def test_preflight_of_an_update_needs_two_instances(check):
    with pytest.raises(
        PreflightError,
        match=r'"ml.m5.large for endpoint usage" is 1, and 2 needed.*console '
        r"\(Amazon SageMaker, quota L-1\), or choose another type with --endpoint-instance",
    ):
        check(endpoint={"status": "InService"}, quotas=ONE_INSTANCE)


@pytest.mark.parametrize(
    "endpoint",
    [{"status": "InService", "instance_type": "ml.t2.medium"}, {"status": "Failed"}],
    ids=["on another type", "failed"],
)
def test_preflight_needs_one_instance_where_none_of_its_type_serves(check, endpoint):
    assert check(endpoint=endpoint, quotas=ONE_INSTANCE) == (MANIFEST, "")


def test_preflight_with_untagged_endpoint_fails(check):
    with pytest.raises(PreflightError, match=r"did not make it: give another --endpoint\.$"):
        check(endpoint={"status": "InService", "tags": ()})


def test_preflight_checks_instance_types_and_images(check, images):
    with pytest.raises(PreflightError) as caught:
        check("--training-instance", "ml.t2.medium", "--endpoint-instance", "ml.p9.large")
    assert problems(caught) == [InstanceTypeUnknownError] * 2
    check()
    assert images == [(REGION, "ml.m5.large", "inference"), (REGION, "ml.m5.xlarge", "training")]


def test_preflight_without_staged_data_fails(check):
    with pytest.raises(PreflightError) as caught:
        check(bucket={"manifest": False})
    assert problems(caught) == [StagedDataMissingError]
    assert "no staged pictures at s3://b/staged/: run" in str(caught.value)


def test_preflight_prints_counts_and_quotas(check, console):
    check(quotas=ONE_INSTANCE)
    shown = console.file.getvalue()
    assert "1 training, 1 validation and 1 test pictures" in shown
    assert "ml.m5.large for endpoint usage: 1; ml.m5.xlarge for training job usage: unknown" in shown


@pytest.mark.parity("service-quotas")
def test_preflight_checks_spot_quota_and_checkpoints(check):
    name = "ml.m5.xlarge for spot training job usage"
    with pytest.raises(PreflightError) as caught:
        check("--spot", "--checkpoints", "s3://b/checkpoints/none", bucket={"checkpoints": {}}, quotas={name: 0.0})
    assert problems(caught) == [CheckpointsUnusableError, QuotaExceededError]
    assert f'Your quota "{name}" is 0, and 1 needed' in str(caught.value)


def test_create_endpoint_without_region_returns_1(monkeypatch, capsys):
    monkeypatch.setattr("boto3.Session", lambda: StubbedSession(region=None))
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("create_endpoint: No AWS region is set: export AWS_DEFAULT_REGION")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--training-instance", "m5.large"], "is not an instance type such as ml.m5.large"),
        (["--hyperparameters", "epochs"], "--hyperparameters epochs: write NAME=VALUE"),
        (["--hyperparameters", "=3"], "write NAME=VALUE"),
        (["--max-error", "0"], "'0' is not a number between 0 and 1"),
        (["--max-error", "0.02", "--hyperparameters", "max-error=0.01"], "--max-error: give it once"),
        (["--max-run", "0"], "'0' is not a whole number above 0"),
        (["--spot", "--max-wait", "1.5"], "'1.5' is not a whole number above 0"),
        (["--spot", "--model-data", "s3://b/m.tar.gz"], "--model-data: it skips the training"),
        (["--max-wait", "9999"], "--max-wait: it needs --spot"),
        (["--spot", "--max-wait", "60"], "--max-wait: at least --max-run (3600)"),
        (["--spot", "--max-run", "90", "--max-wait", "60"], "at least --max-run (90)"),
    ],
)
def test_invalid_arguments_are_refused(argv, message, usage_error):
    assert message in usage_error(parse_arguments, argv)


def test_invalid_endpoint_name_is_refused():
    with pytest.raises(settings.SettingsError, match="--endpoint: 'a_b' cannot be the name"):
        parse_arguments(["--endpoint", "a_b"])
    with pytest.raises(settings.SettingsError, match="Use 1 to 48 lower-case"):
        parse_arguments(["--endpoint", "a" * 49])  # too long for a job's name


@pytest.fixture
def start_training(monkeypatch, console):
    """Run train with these results of SageMaker, raised if exceptions.

    Return the arguments that start the job, and the seconds that train waits for it.
    """

    def run(*argv, start="job", wait=None):
        start_job, wait_for_job = Mock(side_effect=[start]), Mock(side_effect=[wait])
        monkeypatch.setattr(create_endpoint, "start_training_job", start_job)
        monkeypatch.setattr(create_endpoint, "wait_for_training_job", wait_for_job)
        session = StubbedSession()
        if isinstance(wait, KeyboardInterrupt):
            session.stub("sagemaker").add_response("stop_training_job", {}, {"TrainingJobName": "job"})
        train(session, parse_arguments(["--endpoint", "e", *argv]), "b", ROLE, console)
        return start_job.call_args.kwargs, wait_for_job.call_args.kwargs["max_run_s"]

    return run


@pytest.mark.parametrize("options", [(), ("--spot",)])
def test_ctrl_c_stops_the_training_job_and_names_its_checkpoints(start_training, console, options):
    with pytest.raises(KeyboardInterrupt):
        start_training(*options, wait=KeyboardInterrupt())
    shown = console.file.getvalue()
    assert "Stopping training job job" in shown
    assert bool(re.search(r"add --checkpoints s3://b/checkpoints/e-\d{14}\n", shown)) is bool(options)
    assert ("checkpoints" in shown) is bool(options)


def test_ctrl_c_while_a_job_starts_names_the_command_that_stops_it(start_training, console):
    with pytest.raises(KeyboardInterrupt):
        start_training(start=KeyboardInterrupt())
    assert "python -m training.cleanup stops it" in console.file.getvalue()


GIVEN_CHECKPOINTS = "s3://b/checkpoints/e-20260102030405"


@pytest.mark.parity("training-spot")
@pytest.mark.parametrize(
    ("argv", "max_wait_s", "checkpoints"),
    [
        ([], None, ""),
        (["--spot"], 120, r"s3://b/checkpoints/e-\d{14}"),
        (["--spot", "--max-wait", "90"], 90, r"s3://b/checkpoints/e-\d{14}"),
        (["--checkpoints", GIVEN_CHECKPOINTS], None, GIVEN_CHECKPOINTS),
        (["--spot", "--checkpoints", GIVEN_CHECKPOINTS], 120, GIVEN_CHECKPOINTS),
    ],
)
def test_train_passes_limits_and_checkpoints(start_training, argv, max_wait_s, checkpoints):
    calls, wait_s = start_training("--max-run", "60", *argv)
    assert (calls["max_run_s"], calls["max_wait_s"], wait_s) == (60, max_wait_s, max_wait_s or 60)
    assert re.fullmatch(checkpoints, calls["checkpoints"])


def test_training_time_states_what_spot_instances_saved():
    figures = {"seconds": 200, "billable_seconds": 60, "spot": True, "interruptions": 1}
    assert training_time(figures) == "200 s, 60 s billed: spot instances saved 70%, with 1 interruption"
    assert training_time({**figures, "interruptions": 0}).endswith("with 0 interruptions")
    assert training_time({**figures, "spot": False}) == "200 s, 60 s billed"
    assert "saved 0%" in training_time({"seconds": 0, "billable_seconds": 0, "spot": True, "interruptions": 0})


@pytest.mark.parametrize(
    "error",
    [
        client_error("ExpiredTokenException", "The token is expired"),
        EndpointConnectionError(endpoint_url="https://sagemaker"),
        WaitTimeoutError("Training job job was still InProgress"),
    ],
)
def test_error_while_waiting_names_the_job_and_its_model_data(start_training, error):
    with pytest.raises(TrainingUnwatchedError) as caught:
        start_training(wait=error)
    message = str(caught.value)
    assert message.startswith(str(error))
    assert "Training job job was started" in message
    assert "--model-data s3://b/jobs/job/output/model.tar.gz" in message


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("wait", TrainingFailedError("Training job job ended as Failed")),
        ("start", client_error("ResourceLimitExceeded", "no")),
    ],
)
def test_error_of_a_job_that_ended_or_never_started_is_not_wrapped(start_training, step, error):
    with pytest.raises(type(error)) as caught:
        start_training(**{step: error})
    assert caught.value is error


@pytest.fixture
def create(monkeypatch, console):
    """Run create with a completed training; `steps` replace functions of the module."""

    def run(*argv, **steps):
        session = StubbedSession()
        session.add_identity()
        monkeypatch.setattr("boto3.Session", lambda: session)
        result = TrainingResult("job", "s3://b/jobs/job/output/model.tar.gz", 1, 1, None)
        in_service = ({"EndpointArn": "arn"}, 1.0, "e-old")
        steps = {
            "check_before": lambda *_: (MANIFEST, "role"),
            "train": lambda *_: result,
            "recommend": lambda *_: (None, None, "It has no held_out.json."),
            "serve": lambda *_, **__: in_service,
            **steps,
        }
        for name, step in steps.items():
            monkeypatch.setattr(create_endpoint, name, step)
        picture = {"Bucket": settings.default_bucket(ACCOUNT, REGION), "Key": "staged/test/bicycle/a.png"}
        session.stub("s3").add_response("get_object", {"Body": Body(b"PNG")}, picture)
        create_endpoint.create(parse_arguments(["--endpoint", "e", *argv]), console)

    return run


refuse = Mock(side_effect=SmokeTestError("Endpoint e is in service but answered nonsense"))


def test_failed_smoke_test_keeps_and_names_the_previous_configuration(create, console):
    # delete_superseded is not replaced: the stub refuses its calls.
    with pytest.raises(ModelNotServedError) as caught:
        create(smoke_test=refuse)
    message = str(caught.value)
    assert "answered nonsense" in message
    assert "The previous configuration e-old and its model still exist" in message
    assert message.endswith("add --model-data s3://b/jobs/job/output/model.tar.gz")
    assert "Trained model: s3://b/jobs/job/output/model.tar.gz" in console.file.getvalue()


def test_failed_smoke_test_of_a_new_endpoint_names_no_configuration(create):
    first = ({"EndpointArn": "arn"}, 1.0, "")
    with pytest.raises(SmokeTestError) as caught:
        create("--model-data", "s3://b/m.tar.gz", serve=lambda *_, **__: first, smoke_test=refuse)
    assert str(caught.value) == "Endpoint e is in service but answered nonsense"


def test_failed_endpoint_after_training_names_the_model_data(create):
    fail = Mock(side_effect=client_error("ResourceLimitExceeded", "no instances"))
    with pytest.raises(ModelNotServedError, match=r"no instances[^$]*--model-data s3://b/jobs/job/"):
        create(serve=fail)
    allow_unused_responses()  # of the picture for the smoke test


@pytest.fixture
def created(create, console, monkeypatch):
    """Run create with this recommendation; return the report, the output and the arguments of recommend."""

    def run(found, missing, *argv):
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        write_json, recommend = Mock(), Mock(return_value=(found, None, missing))
        monkeypatch.setattr(create_endpoint, "write_json", write_json)
        create(
            *argv,
            smoke_test=lambda *_: ("bicycle", 0.9),
            delete_superseded=lambda *_, **__: 0,
            recommend=recommend,
        )
        _, report = write_json.call_args.args
        _, *asked = recommend.call_args.args
        return report, console.file.getvalue(), asked

    return run


def test_recommended_threshold_is_reported_and_deployed(created):
    found = recommend_threshold([0.8 + n / 10_000 for n in range(400)], [True] * 400)
    report, shown, asked = created(found, "", "--max-error", "0.02")

    assert report["recommendation"] == asdict(found)
    parameters = settings.project().parameters | {"EndpointName": "e", "ConfidenceThreshold": "0.8"}
    assert report["deploy_parameters"] == parameters
    assert f"Threshold: {found}" in shown
    assert f"    {deploy_command(parameters)}\n" in shown
    assert asked == [0.02, "s3://b/jobs/job/output/model.tar.gz"]


def test_model_without_recommendation_keeps_the_threshold_of_samconfig(created):
    report, shown, asked = created(None, "It has no held_out.json.", "--model-data", "s3://b/m")

    threshold = settings.project().parameters["ConfidenceThreshold"]
    assert (report["recommendation"], asked) == (None, [None, "s3://b/m"])
    assert report["deploy_parameters"]["ConfidenceThreshold"] == threshold
    assert f"Threshold: It has no held_out.json. So {threshold} stays, as in samconfig" in shown


@pytest.mark.parametrize(
    ("argv", "hyperparameters"),
    [
        ([], {}),
        (["--hyperparameters=--epochs=3"], {"epochs": "3"}),
        (["--max-error", "0.02", "--hyperparameters", "epochs=3"], {"epochs": "3", "max-error": "0.02"}),
    ],
)
def test_arguments_become_hyperparameters(argv, hyperparameters):
    assert parse_arguments(argv).hyperparameters == hyperparameters


def test_ctrl_c_while_the_endpoint_is_created_states_the_cost(monkeypatch, console):
    for name in ("create_model", "create_endpoint_config", "put_endpoint"):
        monkeypatch.setattr(create_endpoint, name, lambda *_, **__: None)
    monkeypatch.setattr(create_endpoint, "wait_in_service", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        serve(
            StubbedSession(),
            "e-1",
            parse_arguments(["--endpoint", "e"]),
            model_data="s3://b/m.tar.gz",
            bucket="b",
            role=ROLE,
            console=console,
        )
    shown = console.file.getvalue()
    assert "Endpoint e is still being created. The endpoint costs about 0.115 USD an hour" in shown
    assert "--model-data s3://b/m.tar.gz" in shown


def test_cost_reminder_without_known_price_gives_no_figure():
    assert "costs about 0.115 USD an hour, 84 a month (us-east-1" in cost_reminder("ml.m5.large")
    assert "costs money (" in cost_reminder("ml.g5.xlarge")


def test_help_states_the_cost_of_an_endpoint(capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    assert "0.115 USD an hour" in " ".join(capsys.readouterr().out.split())
