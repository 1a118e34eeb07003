"""The training job: the requests to SageMaker, and the reading of its answers."""

import io
import json
import re
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse, HeadersDict
from rich.console import Console

from common.settings import project
from common.waiting import WaitTimeoutError
from tests.unit.aws_stubs import ACCOUNT, REGION, Sleeps, allow_unused_responses, boto_session, client_error, stubbed
from tests.unit.training.sagemaker_answers import WHEN, arn, described_job
from training.endpoint.images import NoImageError, image_uri
from training.endpoint.training_job import (
    LOG_GROUP,
    MetricLog,
    TrainingFailedError,
    model_data_uri,
    new_checkpoints_uri,
    start_training_job,
    stop_training_job,
    wait_for_training_job,
)

JOB = "scones-unlimited-20260102030405"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Role"
METRICS = "  2/3   4.0 s  train:loss=0.5000 validation:loss=0.4000 validation:accuracy=0.9000"


def description(status, secondary, **more):
    return described_job(JOB, status, secondary, **more)


def add_streams(logs, *names):
    streams = {"logStreams": [{"logStreamName": name} for name in names]}
    logs.add_response("describe_log_streams", streams, {"logGroupName": LOG_GROUP, "logStreamNamePrefix": f"{JOB}/"})


def add_page(logs, stream, token, *messages, **asked):
    """Add a page of the stream with these messages; `token` asks for the next one."""
    logs.add_response(
        "get_log_events",
        {"events": [{"message": text} for text in messages], "nextForwardToken": token},
        {"logGroupName": LOG_GROUP, "logStreamName": stream, "startFromHead": True, **asked},
    )


def wait(answers, messages=((),), max_run_s=60):
    """Run wait_for_training_job on these descriptions and log pages; return result and output."""
    sagemaker, stubber = stubbed("sagemaker")
    for answer in answers:
        stubber.add_response("describe_training_job", answer, {"TrainingJobName": JOB})
    logs, log_stubber = stubbed("logs")
    stream = f"{JOB}/algo-1-1"
    add_streams(log_stubber, stream)
    looks = len(answers) - 1  # the last description is read for the result
    for number in range(looks):
        page = messages[number] if number < len(messages) else ()
        asked = {"nextToken": f"f/{number - 1}"} if number else {}
        add_page(log_stubber, stream, f"f/{number}", *page, **asked)
    output = io.StringIO()
    console = Console(file=output, width=200)
    result = wait_for_training_job(sagemaker, logs, JOB, max_run_s=max_run_s, console=console, sleep=Sleeps())
    return result, output.getvalue()


@pytest.mark.parity("training-failure")
def test_failed_job_names_the_reason_and_the_log():
    failed = description("Failed", "Failed", FailureReason="AlgorithmError: no such folder")
    with pytest.raises(TrainingFailedError) as caught:
        wait([failed, failed])
    assert "ended as Failed: AlgorithmError: no such folder" in str(caught.value)
    assert f"--start-time '1 day ago' --region {REGION} | grep {JOB}/" in str(caught.value)


@pytest.mark.parity("training-failure")
@pytest.mark.parametrize("secondary", ["MaxRuntimeExceeded", "MaxWaitTimeExceeded"])
def test_stopped_job_names_the_cause_and_the_checkpoints(secondary):
    uri = f"s3://b/checkpoints/{JOB}"
    stopped = description("Stopped", secondary, CheckpointConfig={"S3Uri": uri})
    with pytest.raises(TrainingFailedError) as caught:
        wait([stopped, stopped])
    assert f"ended as Stopped: {secondary}" in str(caught.value)
    assert str(caught.value).endswith(f"add --checkpoints {uri}")


def test_job_that_does_not_end_times_out(monkeypatch):
    clock = iter(range(0, 100_000, 4000))
    monkeypatch.setattr("common.waiting.time.monotonic", lambda: next(clock))
    running = description("InProgress", "Pending")
    with pytest.raises(WaitTimeoutError, match=r"still InProgress \(Pending\) after .*cleanup"):
        wait([running] * 3, max_run_s=60)
    allow_unused_responses()  # the answers after the timeout


@pytest.mark.parity("training-metrics", "training-log", "logs-read")
def test_wait_prints_each_status_and_metric_once_and_returns_the_result():
    done = description(
        "Completed",
        "Completed",
        TrainingTimeInSeconds=61,
        BillableTimeInSeconds=50,
        FinalMetricDataList=[{"MetricName": "validation:accuracy", "Value": 0.9}],
    )
    training = description("InProgress", "Training")
    downloading = description("InProgress", "Downloading")
    result, shown = wait(
        [downloading, training, training, done, done],
        [(), ("+ python train.py --epochs 3", METRICS), (), ()],
    )
    assert (result.job, result.seconds, result.billable_seconds) == (JOB, 61, 50)
    assert result.validation_accuracy == pytest.approx(0.9)
    assert result.model_data == f"s3://b/jobs/{JOB}/output/model.tar.gz" == model_data_uri("b", JOB)
    assert shown.count("InProgress (Training)") == 1
    assert shown.count(METRICS.strip()) == 1
    assert "+ python" not in shown


@pytest.mark.parity("training-spot")
def test_spot_job_result_counts_the_interruptions():
    interrupted = ["Starting", "Downloading", "Training", "Interrupted"]
    statuses = [*interrupted, *interrupted, "Starting", "Downloading", "Training", "Uploading"]
    done = description(
        "Completed",
        "Completed",
        EnableManagedSpotTraining=True,
        TrainingTimeInSeconds=100,
        BillableTimeInSeconds=30,
        SecondaryStatusTransitions=[{"Status": status, "StartTime": WHEN} for status in statuses],
    )
    result, _ = wait([done, done])
    assert (result.spot, result.interruptions) == (True, 2)
    assert (result.seconds, result.billable_seconds) == (100, 30)
    assert result.validation_accuracy is None


def test_metric_log_of_an_interrupted_job_continues_in_its_next_stream():
    logs, stubber = stubbed("logs")
    log = MetricLog(logs, JOB)
    add_streams(stubber, "job/algo-1-1")
    add_page(stubber, "job/algo-1-1", "f/1", METRICS)
    assert log.new_lines() == [METRICS.strip()]
    # WHEN the job is interrupted, THEN the old stream is read until there is a new one
    add_streams(stubber, "job/algo-1-1")
    add_page(stubber, "job/algo-1-1", "f/2", nextToken="f/1")
    assert log.new_lines(restarts=1) == []
    add_streams(stubber, "job/algo-1-1", "job/algo-1-2")
    add_page(stubber, "job/algo-1-2", "g/1", METRICS)
    assert log.new_lines(restarts=1) == [METRICS.strip()]
    add_page(stubber, "job/algo-1-2", "g/2", nextToken="g/1")
    assert log.new_lines(restarts=1) == []


@pytest.mark.parity("logs-read")
def test_metric_log_without_stream_or_permission_is_read_again():
    logs, stubber = stubbed("logs")
    log = MetricLog(logs, JOB)
    stubber.add_client_error("describe_log_streams", "ResourceNotFoundException")
    assert log.new_lines() == []
    add_streams(stubber)
    assert log.new_lines() == []
    add_streams(stubber, "s")
    stubber.add_client_error("get_log_events", "AccessDeniedException", "not you")
    assert log.new_lines() == []
    add_page(stubber, "s", "f/1", METRICS)
    assert log.new_lines() == [METRICS.strip()]


@pytest.mark.parity("training-stop")
def test_stop_training_job_after_its_end_raises_nothing():
    sagemaker, stubber = stubbed("sagemaker")
    expected = {"TrainingJobName": JOB}
    stubber.add_client_error("stop_training_job", "ValidationException", expected_params=expected)
    stop_training_job(sagemaker, JOB)
    stubber.add_client_error("stop_training_job", "AccessDeniedException")
    with pytest.raises(type(client_error("", "")), match="AccessDenied"):
        stop_training_job(sagemaker, JOB)


def test_image_uri_of_unknown_region_or_type_fails():
    with pytest.raises(NoImageError, match="choose another instance type or region"):
        image_uri("mars-north-1", "ml.m5.large", "inference")
    with pytest.raises(NoImageError, match=r"No PyTorch image for training on ml\.m6g\.large"):
        image_uri(REGION, "ml.m6g.large", "training")


@pytest.mark.parity("training-images")
def test_image_uri_has_one_pytorch_version_and_cuda_for_a_gpu():
    training = image_uri(REGION, "ml.m5.xlarge", "training")
    assert training.endswith("/pytorch-training:2.6.0-cpu-py312")
    assert image_uri(REGION, "ml.g4dn.xlarge", "training").endswith(":2.6.0-gpu-py312")
    inference = image_uri(REGION, "ml.m5.large", "inference")
    assert inference.endswith("/pytorch-inference:2.6.0-cpu-py312")


class Answers:
    """Answers each request after botocore's signing, and keeps what the SDK sends."""

    def __init__(self):
        self.asked = []

    def __call__(self, request, **_):
        host, body = request.url.split("/")[2], request.body
        target = request.headers.get("X-Amz-Target", b"")
        name = target.decode() if isinstance(target, bytes) else target
        self.asked.append((request.method, request.url, name, body, dict(request.headers)))
        content = b"{}"
        if host.startswith("iam"):
            content = b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
            return self.answer(request, 403, content)
        if not name:  # S3
            listing = b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"
            content = listing if request.method == "GET" else b""
        if name == "SageMaker.CreateTrainingJob":
            content = json.dumps({"TrainingJobArn": arn("training-job", JOB)}).encode()
        if name == "SageMaker.DescribeTrainingJob":
            content = json.dumps({**json.loads(body), "TrainingJobStatus": "InProgress"}).encode()
        return self.answer(request, 200, content)

    @staticmethod
    def answer(request, status, content):
        headers: Any = HeadersDict()
        answer: Any = AWSResponse(request.url, status, headers, None)
        answer._content = content
        return answer


def start_with_sdk(**spot):
    """Start a job with the real SDK; return its name, CreateTrainingJob and all requests."""
    answers = Answers()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        patch.setenv("SAGEMAKER_VALIDATE_ROLE", "restored at the end")
        session = boto_session()
        session.events.register("before-send", answers)
        job = start_training_job(
            session,
            base_name="scones-unlimited",
            bucket="pictures",
            role_arn=ROLE,
            instance_type="ml.m5.xlarge",
            hyperparameters={"epochs": "3"},
            max_run_s=1800,
            **spot,
        )
    (body,) = [json.loads(ask[3]) for ask in answers.asked if ask[2].endswith("CreateTrainingJob")]
    return job, body, answers.asked


@pytest.fixture(scope="module")
def sent():
    return start_with_sdk()


@pytest.mark.parity("training-spot", "training-checkpoints")
@pytest.mark.parametrize("spot", [True, False])
def test_sdk_sends_spot_options_and_checkpoints_where_given(sent, spot):
    assert not sent[1].get("EnableManagedSpotTraining")
    assert "CheckpointConfig" not in sent[1]
    uri = new_checkpoints_uri("pictures", "scones-unlimited")
    assert re.fullmatch(r"s3://pictures/checkpoints/scones-unlimited-\d{14}", uri)
    _, body, _ = start_with_sdk(checkpoints=uri, **({"max_wait_s": 3600} if spot else {}))
    assert body.get("EnableManagedSpotTraining", False) is spot
    wait_time = {"MaxWaitTimeInSeconds": 3600} if spot else {}
    assert body["StoppingCondition"] == {"MaxRuntimeInSeconds": 1800, **wait_time}
    assert body["CheckpointConfig"] == {"S3Uri": f"{uri}/", "LocalPath": "/opt/ml/checkpoints"}


@pytest.mark.parity("training-request")
def test_sdk_sends_the_training_job_request(sent):
    job, body, asked = sent
    assert body["TrainingJobName"] == job
    assert job.startswith("scones-unlimited-")
    assert body["RoleArn"] == ROLE
    assert body["Tags"] == [project().tag]
    assert body["HyperParameters"]["epochs"] == "3"
    assert body["OutputDataConfig"]["S3OutputPath"] == "s3://pictures/jobs"
    assert body["StoppingCondition"] == {"MaxRuntimeInSeconds": 1800}
    assert body["ResourceConfig"]["InstanceType"] == "ml.m5.xlarge"
    assert body["ResourceConfig"]["InstanceCount"] == 1
    channels = {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"] for channel in body["InputDataConfig"]
    }
    assert channels["train"] == "s3://pictures/staged/train/"
    assert channels["validation"] == "s3://pictures/staged/validation/"
    assert channels["code"] == f"s3://pictures/jobs/{job}/input/code"
    uploaded = [url for method, url, *_ in asked if method == "PUT"]
    assert any(url.endswith(f"/jobs/{job}/input/code/train.py") for url in uploaded)
    assert not any("__pycache__" in url for url in uploaded)


@pytest.mark.parity("training-metrics")
def test_metric_definitions_match_the_output_of_train(sent):
    from training.container.picture_model import train

    _, body, _ = sent
    line = train.metrics_line(train.Epoch(1, 0.5, 0.25, 0.875, 1.0))
    found = {
        metric["Name"]: float(re.findall(metric["Regex"], line)[0])
        for metric in body["AlgorithmSpecification"]["MetricDefinitions"]
    }
    assert found == {"train:loss": 0.5, "validation:loss": 0.25, "validation:accuracy": 0.875}


@pytest.mark.parity("sdk-telemetry")
def test_sdk_sends_no_telemetry_and_no_sts_call(sent):
    hosts = {url.split("/")[2] for _, url, *_ in sent[2]}
    assert not any("sts" in host or "telemetry" in host for host in hosts)
