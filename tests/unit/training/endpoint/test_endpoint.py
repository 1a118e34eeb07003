"""Model, configuration and endpoint: the requests to SageMaker, and each failure with its reason."""

import io

import pytest
from rich.console import Console

from common.settings import project
from tests.unit.aws_stubs import ACCOUNT, REGION, Body, Sleeps, client_error, stubbed
from tests.unit.training.sagemaker_answers import add_tags, arn, config_summary, described_endpoint, model_summary
from training.endpoint.endpoint import (
    DataCaptureOffError,
    EndpointFailedError,
    EndpointNotOursError,
    EndpointRolledBackError,
    SmokeTestError,
    create_endpoint_config,
    create_model,
    delete_endpoint,
    delete_superseded,
    find_endpoint,
    is_missing,
    put_endpoint,
    smoke_test,
    wait_in_service,
)

NAME = "pictures"
CONFIG = "pictures-20260102030405"
OLD = "pictures-20250102030405"
CAPTURE = {
    "EnableCapture": True,
    "CaptureStatus": "Started",
    "CurrentSamplingPercentage": 100,
    "DestinationS3Uri": "s3://b/captures",
    "KmsKeyId": "",
}


def endpoint(status, config=CONFIG, **more):
    return described_endpoint(NAME, status, config, **more)


@pytest.fixture
def sagemaker():
    client, stubber = stubbed("sagemaker")
    client.stubber = stubber
    return client


@pytest.fixture
def quiet():
    return {"console": Console(file=io.StringIO(), width=200), "sleep": Sleeps()}


def add_looks(sagemaker, *answers):
    for answer in answers:
        if answer is None:
            sagemaker.stubber.add_client_error(
                "describe_endpoint", "ValidationException", f'Could not find endpoint "{NAME}".'
            )
        else:
            sagemaker.stubber.add_response("describe_endpoint", answer, {"EndpointName": NAME})


@pytest.mark.parity("endpoint-lifecycle")
def test_find_endpoint_raises_other_errors_than_missing(sagemaker):
    sagemaker.stubber.add_client_error("describe_endpoint", "AccessDeniedException", "not found")
    with pytest.raises(type(client_error("", "")), match="AccessDenied"):
        find_endpoint(sagemaker, NAME)
    assert not is_missing(client_error("ValidationException", "1 validation error detected"))
    assert is_missing(client_error("ResourceNotFound", "anything"))


@pytest.mark.parity("endpoint-update")
@pytest.mark.parametrize(
    ("looks", "error", "messages"),
    [
        (
            [
                endpoint("Creating"),
                endpoint("Failed", FailureReason="The container did not pass the ping health check."),
            ],
            EndpointFailedError,
            [
                "is Failed: The container did not pass the ping health check.",
                "sam logs --cw-log-group /aws/sagemaker/Endpoints/pictures --start",
                "it replaces the failed endpoint",
            ],
        ),
        (
            [
                endpoint("Updating", OLD),
                endpoint("RollingBack", OLD),
                endpoint("InService", OLD, FailureReason="no capacity", DataCaptureConfig=CAPTURE),
            ],
            EndpointRolledBackError,
            [f"still serves its previous configuration {OLD}", "no capacity"],
        ),
        ([endpoint("Creating"), None], EndpointFailedError, ["is Deleted"]),
    ],
    ids=["failed", "rolled back", "deleted"],
)
def test_endpoint_that_does_not_reach_service_names_the_reason(sagemaker, quiet, looks, error, messages):
    add_looks(sagemaker, *looks)
    with pytest.raises(error) as caught:
        wait_in_service(sagemaker, NAME, CONFIG, **quiet)
    assert all(message in str(caught.value) for message in messages)


@pytest.mark.parity("endpoint-update-capture")
@pytest.mark.parametrize(
    "capture",
    [
        {},
        {**CAPTURE, "EnableCapture": False},
        {**CAPTURE, "CurrentSamplingPercentage": 20},
        {**CAPTURE, "CaptureStatus": "Stopped"},
    ],
)
def test_endpoint_without_full_data_capture_raises_an_error(sagemaker, quiet, capture):
    more = {"DataCaptureConfig": capture} if capture else {}
    add_looks(sagemaker, endpoint("InService", **more))
    with pytest.raises(DataCaptureOffError, match=r"is (absent|Started|Stopped), at (0|100|20) %"):
        wait_in_service(sagemaker, NAME, CONFIG, **quiet)


def test_wait_in_service_returns_the_endpoint_with_this_configuration(sagemaker, quiet):
    found = endpoint("InService", DataCaptureConfig=CAPTURE)
    add_looks(sagemaker, endpoint("Creating"), found)
    assert wait_in_service(sagemaker, NAME, CONFIG, **quiet)["EndpointArn"] == found["EndpointArn"]


@pytest.mark.parametrize("status", ["InService", "Updating", "Failed"])
def test_put_endpoint_leaves_an_untagged_endpoint_alone(sagemaker, quiet, status):
    add_looks(sagemaker, endpoint(status, OLD))
    add_tags(sagemaker.stubber, "endpoint", NAME, tags=[{"Key": "Project", "Value": "another"}])
    with pytest.raises(EndpointNotOursError, match=r"did not make it: give another --endpoint"):
        put_endpoint(sagemaker, NAME, CONFIG, **quiet)


def test_put_endpoint_creates_a_new_endpoint_with_its_tag(sagemaker, quiet):
    add_looks(sagemaker, None)
    sagemaker.stubber.add_response(
        "create_endpoint",
        {"EndpointArn": arn("endpoint", NAME)},
        {"EndpointName": NAME, "EndpointConfigName": CONFIG, "Tags": [project().tag]},
    )
    assert put_endpoint(sagemaker, NAME, CONFIG, **quiet) == ""


@pytest.mark.parity("endpoint-update", "endpoint-update-capture")
@pytest.mark.parametrize("changing", [False, True])
def test_put_endpoint_updates_in_place_once_no_change_is_in_progress(sagemaker, quiet, changing):
    looks = [endpoint("Updating", OLD)] * 2 if changing else []
    first, *later = [*looks, endpoint("InService", OLD)]
    add_looks(sagemaker, first)
    add_tags(sagemaker.stubber, "endpoint", NAME)
    add_looks(sagemaker, *later)
    sagemaker.stubber.add_response(
        "update_endpoint",
        {"EndpointArn": arn("endpoint", NAME)},
        {"EndpointName": NAME, "EndpointConfigName": CONFIG, "RetainAllVariantProperties": False},
    )
    assert put_endpoint(sagemaker, NAME, CONFIG, **quiet) == OLD


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "UpdateRollbackFailed"])
def test_put_endpoint_replaces_a_failed_endpoint(sagemaker, quiet, status):
    broken = endpoint(status, OLD)
    add_looks(sagemaker, broken)
    add_tags(sagemaker.stubber, "endpoint", NAME)
    add_looks(sagemaker, broken)
    sagemaker.stubber.add_response("delete_endpoint", {}, {"EndpointName": NAME})
    add_looks(sagemaker, endpoint("Deleting", OLD), None)
    sagemaker.stubber.add_response("create_endpoint", {"EndpointArn": arn("endpoint", NAME)})
    put_endpoint(sagemaker, NAME, CONFIG, **quiet)
    assert f"is {status}: deleting it first" in quiet["console"].file.getvalue()


def test_delete_endpoint_waits_for_the_creation_first(sagemaker, quiet):
    add_looks(sagemaker, endpoint("Creating"), endpoint("InService"))
    sagemaker.stubber.add_response("delete_endpoint", {}, {"EndpointName": NAME})
    add_looks(sagemaker, endpoint("Deleting"), None)
    delete_endpoint(sagemaker, NAME, **quiet)


@pytest.mark.parity("endpoint-model")
def test_create_model_runs_the_projects_inference_script(sagemaker):
    role = f"arn:aws:iam::{ACCOUNT}:role/Role"
    sagemaker.stubber.add_response(
        "create_model",
        {"ModelArn": arn("model", CONFIG)},
        {
            "ModelName": CONFIG,
            "PrimaryContainer": {
                "Image": "image",
                "ModelDataUrl": "s3://b/model.tar.gz",
                "Environment": {
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                    "SAGEMAKER_REGION": REGION,
                },
            },
            "ExecutionRoleArn": role,
            "Tags": [project().tag],
        },
    )
    create_model(sagemaker, CONFIG, image="image", model_data="s3://b/model.tar.gz", role_arn=role)


@pytest.mark.parity("endpoint-capture", "endpoint-update-capture")
def test_create_endpoint_config_captures_every_request_and_answer(sagemaker):
    sagemaker.stubber.add_response(
        "create_endpoint_config",
        {"EndpointConfigArn": arn("endpoint-config", CONFIG)},
        {
            "EndpointConfigName": CONFIG,
            "ProductionVariants": [
                {
                    "VariantName": "AllTraffic",
                    "ModelName": "model",
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": 1,
                    "InitialVariantWeight": 1.0,
                }
            ],
            "DataCaptureConfig": {
                "EnableCapture": True,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": "s3://b/captures",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
            },
            "Tags": [project().tag],
        },
    )
    create_endpoint_config(sagemaker, CONFIG, model="model", instance_type="ml.m5.large", bucket="b")


@pytest.mark.parity("sagemaker-lists")
def test_delete_superseded_spares_the_new_the_untagged_and_other_endpoints(sagemaker):
    untagged, other = "pictures-20240102030405", "pictures-2-20250102030405"
    add = sagemaker.stubber.add_response

    configs = [config_summary(name) for name in (CONFIG, OLD, untagged, other)]
    add("list_endpoint_configs", {"EndpointConfigs": configs}, {"NameContains": NAME})
    add_tags(sagemaker.stubber, "endpoint-config", CONFIG, OLD)
    add_tags(sagemaker.stubber, "endpoint-config", untagged, tags=())
    models = [model_summary(name) for name in (CONFIG, OLD, other)]
    add("list_models", {"Models": models}, {"NameContains": NAME})
    add_tags(sagemaker.stubber, "model", CONFIG, OLD)
    add("delete_endpoint_config", {}, {"EndpointConfigName": OLD})
    add("delete_model", {}, {"ModelName": OLD})
    assert delete_superseded(sagemaker, NAME, keep=CONFIG) == 2


def ask(answer):
    runtime, stubber = stubbed("sagemaker-runtime")
    stubber.add_response("invoke_endpoint", {"Body": Body(answer)})
    return smoke_test(runtime, NAME, b"PNG")


@pytest.mark.parametrize("answer", [b"<html>", b"[0.9, 0.1]", {"labels": ["a", "b"], "probabilities": [0.9, 0.9]}])
def test_smoke_test_with_unreadable_answer_fails(answer):
    with pytest.raises(SmokeTestError, match=r"instead of .*probabilities.*: check inference\.py"):
        ask(answer)


def test_smoke_test_with_refused_picture_fails():
    runtime, stubber = stubbed("sagemaker-runtime")
    stubber.add_client_error("invoke_endpoint", "ModelError", "Received server error (500)")
    with pytest.raises(SmokeTestError, match=r"refused a picture: .*server error \(500\)"):
        smoke_test(runtime, NAME, b"PNG")


def test_smoke_test_returns_the_most_probable_label():
    assert ask({"labels": ["a", "b"], "probabilities": [0.25, 0.75]}) == ("b", 0.75)
