"""The endpoint: failures with their reason, and what SageMaker is asked to make."""

import io

import pytest
from rich.console import Console

from common.settings import project
from tests.unit.aws_stubs import ACCOUNT, REGION, Body, Sleeps, client_error, stubbed
from tests.unit.training.sagemaker_answers import arn, config_summary, described_endpoint, model_summary
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
    yield client
    stubber.assert_no_pending_responses()


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


def test_failed_endpoint_error_names_reason_log_and_next_step(sagemaker, quiet):
    add_looks(
        sagemaker,
        endpoint("Creating"),
        endpoint("Failed", FailureReason="The container did not pass the ping health check."),
    )
    with pytest.raises(EndpointFailedError) as caught:
        wait_in_service(sagemaker, NAME, CONFIG, **quiet)
    assert "is Failed: The container did not pass the ping health check." in str(caught.value)
    assert "sam logs --cw-log-group /aws/sagemaker/Endpoints/pictures --start" in str(caught.value)
    assert "it deletes the failed endpoint and makes it anew" in str(caught.value)


@pytest.mark.parity("endpoint-update")
def test_rolled_back_update_raises_an_error(sagemaker, quiet):
    add_looks(
        sagemaker,
        endpoint("Updating", OLD),
        endpoint("RollingBack", OLD),
        endpoint("InService", OLD, FailureReason="no capacity", DataCaptureConfig=CAPTURE),
    )
    with pytest.raises(EndpointRolledBackError, match=rf"still serves .*{OLD}.*no capacity"):
        wait_in_service(sagemaker, NAME, CONFIG, **quiet)


def test_endpoint_deleted_while_waiting_raises_an_error(sagemaker, quiet):
    add_looks(sagemaker, endpoint("Creating"), None)
    with pytest.raises(EndpointFailedError, match="is Deleted"):
        wait_in_service(sagemaker, NAME, CONFIG, **quiet)


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


def test_an_endpoint_in_service_with_this_configuration_is_returned(sagemaker, quiet):
    found = endpoint("InService", DataCaptureConfig=CAPTURE)
    add_looks(sagemaker, endpoint("Creating"), found)
    assert wait_in_service(sagemaker, NAME, CONFIG, **quiet)["EndpointArn"] == found["EndpointArn"]


def add_tags(sagemaker, *tags):
    expected = {"ResourceArn": arn("endpoint", NAME)}
    sagemaker.stubber.add_response("list_tags", {"Tags": list(tags)}, expected)


@pytest.mark.parametrize("status", ["InService", "Updating", "Failed"])
def test_put_endpoint_leaves_an_untagged_endpoint_alone(sagemaker, quiet, status):
    add_looks(sagemaker, endpoint(status, OLD))
    add_tags(sagemaker, {"Key": "Project", "Value": "another"})
    with pytest.raises(EndpointNotOursError, match=r"did not make: give another --endpoint"):
        put_endpoint(sagemaker, NAME, CONFIG, **quiet)


def test_a_new_endpoint_is_created_with_its_tag(sagemaker, quiet):
    add_looks(sagemaker, None)
    sagemaker.stubber.add_response(
        "create_endpoint",
        {"EndpointArn": arn("endpoint", NAME)},
        {"EndpointName": NAME, "EndpointConfigName": CONFIG, "Tags": [project().tag]},
    )
    assert put_endpoint(sagemaker, NAME, CONFIG, **quiet) == ""


def add_update(sagemaker):
    sagemaker.stubber.add_response(
        "update_endpoint",
        {"EndpointArn": arn("endpoint", NAME)},
        {
            "EndpointName": NAME,
            "EndpointConfigName": CONFIG,
            "RetainAllVariantProperties": False,
        },
    )


@pytest.mark.parity("endpoint-update", "endpoint-update-capture")
def test_an_endpoint_in_service_is_updated_in_place(sagemaker, quiet):
    add_looks(sagemaker, endpoint("InService", OLD))
    add_tags(sagemaker, project().tag)
    add_update(sagemaker)
    assert put_endpoint(sagemaker, NAME, CONFIG, **quiet) == OLD


def test_an_endpoint_that_is_being_changed_is_waited_for(sagemaker, quiet):
    moving = endpoint("Updating", OLD)
    add_looks(sagemaker, moving)
    add_tags(sagemaker, project().tag)
    add_looks(sagemaker, moving, endpoint("InService", OLD))
    add_update(sagemaker)
    put_endpoint(sagemaker, NAME, CONFIG, **quiet)


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "UpdateRollbackFailed"])
def test_an_endpoint_beyond_repair_is_deleted_and_made_anew(sagemaker, quiet, status):
    broken = endpoint(status, OLD)
    add_looks(sagemaker, broken)
    add_tags(sagemaker, project().tag)
    add_looks(sagemaker, broken)
    sagemaker.stubber.add_response("delete_endpoint", {}, {"EndpointName": NAME})
    add_looks(sagemaker, endpoint("Deleting", OLD), None)
    sagemaker.stubber.add_response("create_endpoint", {"EndpointArn": arn("endpoint", NAME)})
    put_endpoint(sagemaker, NAME, CONFIG, **quiet)
    assert f"is {status}: deleting it first" in quiet["console"].file.getvalue()


def test_an_endpoint_in_creation_is_waited_for_before_it_is_deleted(sagemaker, quiet):
    add_looks(sagemaker, endpoint("Creating"), endpoint("InService"))
    sagemaker.stubber.add_response("delete_endpoint", {}, {"EndpointName": NAME})
    add_looks(sagemaker, endpoint("Deleting"), None)
    delete_endpoint(sagemaker, NAME, **quiet)


@pytest.mark.parity("endpoint-model")
def test_the_model_runs_the_projects_inference_script(sagemaker):
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
def test_the_configuration_captures_every_question_and_answer(sagemaker):
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

    def add_tags(kind, *names):
        for name in names:
            tags = [] if name == untagged else [project().tag]
            add("list_tags", {"Tags": tags}, {"ResourceArn": arn(kind, name)})

    configs = [config_summary(name) for name in (CONFIG, OLD, untagged, other)]
    add("list_endpoint_configs", {"EndpointConfigs": configs}, {"NameContains": NAME})
    add_tags("endpoint-config", CONFIG, OLD, untagged)
    models = [model_summary(name) for name in (CONFIG, OLD, other)]
    add("list_models", {"Models": models}, {"NameContains": NAME})
    add_tags("model", CONFIG, OLD)
    add("delete_endpoint_config", {}, {"EndpointConfigName": OLD})
    add("delete_model", {}, {"ModelName": OLD})
    assert delete_superseded(sagemaker, NAME, keep=CONFIG) == 2


def ask(answer):
    runtime, stubber = stubbed("sagemaker-runtime")
    stubber.add_response("invoke_endpoint", {"Body": Body(answer)})
    return smoke_test(runtime, NAME, b"PNG")


@pytest.mark.parametrize("answer", [b"<html>", b"[0.9, 0.1]", {"labels": ["a", "b"], "probabilities": [0.9, 0.9]}])
def test_smoke_test_with_unreadable_answer_fails(answer):
    with pytest.raises(SmokeTestError, match=r"was agreed: look at inference\.py"):
        ask(answer)


def test_a_picture_that_the_endpoint_refuses():
    runtime, stubber = stubbed("sagemaker-runtime")
    stubber.add_client_error("invoke_endpoint", "ModelError", "Received server error (500)")
    with pytest.raises(SmokeTestError, match=r"refused a picture: .*server error \(500\)"):
        smoke_test(runtime, NAME, b"PNG")


def test_the_most_probable_label_is_returned():
    assert ask({"labels": ["a", "b"], "probabilities": [0.25, 0.75]}) == ("b", 0.75)
