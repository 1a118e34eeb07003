"""One picture's way through the deployed workflow, and every way in which it ends."""

import base64
import io
import json
import uuid
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.settings import ROOT, project
from tests.integration.laptop_aws import run_laptop_aws, wait_until
from tests.integration.workflow_stack import (
    ANSWER_SECONDS,
    BARE,
    BLACK,
    GREY,
    WHITE,
    execute,
    failed_with,
    fault,
    messages,
    put,
    record,
    sam,
    serve,
)


@pytest.mark.parity(
    "lambda-error-names",
    "states-catch",
    "s3-missing",
    "states-sns",
    "sns-raw-delivery",
)
def test_missing_object_fails_with_its_name_and_a_notification(stack):
    bucket = stack.outputs["PicturesBucketName"]
    cause = failed_with(stack, {"s3_bucket": bucket, "s3_key": "inbox/none.png"}, "PictureNotFoundError")
    assert "inbox/none.png does not exist" in cause


def test_the_event_for_a_missing_object_names_one(stack):
    event = json.loads((ROOT / "events/my_state_machine-object-missing.json").read_text())
    failed_with(stack, event, "PictureNotFoundError")


@pytest.mark.parity("s3-missing")
def test_a_missing_bucket_fails_with_its_name(stack):
    event = {"s3_bucket": "no-such-bucket", "s3_key": "a.png"}
    failed_with(stack, event, "PictureNotFoundError")


@pytest.mark.parity("lambda-error-names")
def test_an_input_without_a_picture_fails_with_its_name(stack):
    cause = failed_with(stack, {"image_data": ""}, "InvalidInputError")
    assert "s3_key" in cause


@pytest.mark.parity("lambda-error-names", "invoke-model-error")
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "EmptyPictureError"),
        (b"<html>", "NotAPictureError"),
        (WHITE[: len(WHITE) // 2], "PictureRefusedError"),
        (WHITE.ljust(6 * 1024 * 1024 + 1, b"\0"), "PictureTooLargeError"),
    ],
    ids=["empty", "html", "truncated", "too large"],
)
def test_a_broken_picture_fails_with_the_name_of_what_is_wrong(stack, body, error):
    event = put(stack, body)
    failed_with(stack, event, error)
    assert record(stack, event) is None


@pytest.mark.parity("invoke-not-found")
def test_an_endpoint_that_is_gone_fails_with_its_name(healthy):
    fault(healthy, {"kind": "gone"})
    cause = failed_with(healthy, put(healthy, WHITE), "EndpointNotFoundError")
    assert "python -m training.create_endpoint" in cause


def test_an_endpoint_that_answers_nonsense_fails_with_its_name(healthy):
    fault(healthy, {"kind": "nonsense"})
    failed_with(healthy, put(healthy, WHITE), "InvalidAnswerError")


@pytest.mark.parity("states-assign", "states-retry", "invoke-busy")
def test_an_endpoint_that_is_busy_twice_and_then_well_gives_an_answer(healthy):
    fault(healthy, {"kind": "throttled", "calls": 2})
    execution = execute(healthy, put(healthy, WHITE))
    assert execution["status"] == "SUCCEEDED"
    history = healthy.aws.client("stepfunctions").get_execution_history(
        executionArn=execution["executionArn"], maxResults=1000
    )["events"]
    busy = [e["taskFailedEventDetails"]["error"] for e in history if e["type"] == "TaskFailed"]
    assert busy == ["EndpointBusyError", "EndpointBusyError"]


@pytest.mark.parity(
    "states-lambda-invoke",
    "states-dynamodb",
    "states-jsonata",
    "states-context",
    "lambda-handler",
)
@pytest.mark.parametrize(("body", "label"), [(WHITE, "bicycle"), (BLACK, "motorcycle")])
def test_a_certain_answer_is_accepted_and_recorded(stack, body, label):
    event: dict[str, Any] = put(stack, body) | {"image_data": "", "order": {"id": 7}}
    execution = execute(stack, event)
    assert execution["status"] == "SUCCEEDED"
    output = json.loads(execution["output"])
    rest = {name: value for name, value in event.items() if name != "image_data"}
    assert output == rest | {
        "execution_arn": execution["executionArn"],
        "content_type": "image/png",
        "endpoint_name": project().endpoint_name,
        "class_names": ["bicycle", "motorcycle"],
        "inferences": [1.0, 0.0] if label == "bicycle" else [0.0, 1.0],
        "threshold": project().confidence_threshold,
        "label": label,
        "confidence": 1.0,
        "accepted": True,
    }
    item = record(stack, event)
    assert item
    assert item["label"] == {"S": label}
    assert float(item["confidence"]["N"]) == 1.0
    assert (item["outcome"], "queued" in item) == ({"S": "accepted"}, False)
    assert item["execution_arn"] == {"S": execution["executionArn"]}
    assert item["endpoint_name"] == {"S": project().endpoint_name}


@pytest.mark.parity("states-sqs", "states-dynamodb")
def test_answer_below_the_threshold_fails_and_its_item_has_no_label(stack):
    event = put(stack, GREY)
    execution = execute(stack, event)
    assert (execution["status"], execution["error"]) == ("FAILED", "THRESHOLD_CONFIDENCE_NOT_MET")
    assert "0.627" in execution["cause"]
    [message] = messages(stack, stack.outputs["ReviewQueueUrl"], "execution_arn", execution["executionArn"])
    assert message["s3_key"] == event["s3_key"]
    assert (message["label"], message["accepted"]) == ("bicycle", False)
    assert "image_data" not in message
    item = record(stack, event)
    assert item
    assert (item["outcome"], item["queued"]) == ({"S": "review"}, {"BOOL": True})
    assert (item["guess"], item.get("label")) == ({"S": "bicycle"}, None)


@pytest.mark.parity("invoke-request", "states-payload-256-kib")
def test_a_big_picture_goes_through_by_reference(stack):
    noise = np.random.default_rng(0).integers(200, 256, (1380, 1380, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=1)
    assert 4_000_000 < len(out.getvalue()) <= 6 * 1024 * 1024
    execution = execute(stack, put(stack, out.getvalue()) | {"s3_version_id": ""})
    assert execution["error"] == "THRESHOLD_CONFIDENCE_NOT_MET"  # it got an answer: 228 of 255
    history = stack.aws.client("stepfunctions").get_execution_history(
        executionArn=execution["executionArn"], maxResults=1000
    )["events"]
    left = {
        e["stateExitedEventDetails"]["name"]: json.loads(e["stateExitedEventDetails"]["output"])
        for e in history
        if "stateExitedEventDetails" in e
    }
    assert left["Serialize Image Data"]["image_data"] == ""


@pytest.mark.parity("s3-events", "s3-keys", "events-input-path", "events-start-workflow")
@pytest.mark.parametrize("name", ["plain.png", "a b+c.png", "100%25 Fahrräder/车 é.png", "quote'd \"\\ & <tag>.png"])
def test_an_upload_to_the_inbox_starts_the_workflow_whatever_the_key(stack, name):
    event = put(stack, BLACK, f"inbox/{uuid.uuid4()}/{name}")
    item = wait_until(lambda: record(stack, event), ANSWER_SECONDS)
    assert item["label"] == {"S": "motorcycle"}


@pytest.mark.parity("events-pattern")
def test_an_upload_elsewhere_starts_nothing(stack):
    def executions() -> int:
        pages = (
            stack.aws.client("stepfunctions")
            .get_paginator("list_executions")
            .paginate(stateMachineArn=stack.outputs["StateMachineArn"])
        )
        return sum(len(page["executions"]) for page in pages)

    before = executions()
    put(stack, WHITE, "outbox/a.png")
    put(stack, WHITE, "not-inbox/a.png")
    event = put(stack, WHITE, f"inbox/{uuid.uuid4()}.png")
    wait_until(lambda: record(stack, event), ANSWER_SECONDS)
    assert executions() == before + 1


@pytest.mark.parity("invoke-bare-list")
def test_a_bare_list_is_named_by_the_class_names_of_the_deployment(stack):
    serve(stack.aws, "built-in", BARE)
    [function] = [
        r["PhysicalResourceId"]
        for r in stack.aws.client("cloudformation").describe_stack_resources(StackName=project().stack_name)[
            "StackResources"
        ]
        if r["LogicalResourceId"] == "ImageClassificationFunction"
    ]
    event = put(stack, WHITE) | {
        "endpoint_name": "built-in",
        "content_type": "image/png",
        "image_data": "",
    }

    def ask(class_names: list[str]) -> dict[str, Any]:
        answer = stack.aws.client("lambda").invoke(
            FunctionName=function, Payload=json.dumps(event | {"class_names": class_names})
        )
        payload: dict[str, Any] = json.loads(answer["Payload"].read())
        return payload

    named = ask(["bicycle", "motorcycle"])
    assert (named["class_names"], named["inferences"]) == (["bicycle", "motorcycle"], [1.0, 0.0])
    assert ask([])["errorType"] == "ClassCountMismatchError"


@pytest.mark.parity("states-substitutions", "invoke-bare-list")
def test_the_deployed_definition_hands_the_class_names_on(stack):
    """A copy of the deployed machine, as a deployment with ClassNames makes it."""
    serve(stack.aws, "built-in-too", BARE)
    stepfunctions = stack.aws.client("stepfunctions")
    deployed = stepfunctions.describe_state_machine(stateMachineArn=stack.outputs["StateMachineArn"])
    given = {"$split('', ',')": "$split('bicycle, motorcycle', ',')"}
    given[f"'endpoint_name': '{project().endpoint_name}'"] = "'endpoint_name': 'built-in-too'"
    definition = deployed["definition"]
    for old, new in given.items():
        assert old in definition
        definition = definition.replace(old, new)
    copy = stepfunctions.create_state_machine(name="bare-list", definition=definition, roleArn=deployed["roleArn"])[
        "stateMachineArn"
    ]
    execution = execute(stack._replace(outputs=stack.outputs | {"StateMachineArn": copy}), put(stack, BLACK))
    output = json.loads(execution["output"])
    assert (output["label"], output["class_names"]) == ("motorcycle", ["bicycle", "motorcycle"])


@pytest.mark.parity("lambda-log-group", "lambda-json-logs", "states-context")
def test_the_functions_log_json_and_never_the_picture(stack):
    event = put(stack, WHITE)
    execution = execute(stack, event)["executionArn"]
    logs = stack.aws.client("logs")
    lines = [
        json.loads(line["message"])
        for name in ("serialize-image-data", "image-classification", "filter-low-confidence")
        for line in logs.filter_log_events(logGroupName=f"/aws/lambda/{project().stack_name}-{name}")["events"]
        if line["message"].startswith("{")
    ]
    ours = [line for line in lines if line.get("s3_key") == event["s3_key"]]
    assert [line["message"] for line in ours] == ["picture read", "picture classified", "picture decided"]
    assert {line["correlation_id"] for line in ours} == {execution}
    picture = base64.b64encode(WHITE).decode()
    assert picture not in json.dumps(lines)


@pytest.mark.parity("sam-build")
def test_every_function_is_under_5_mb(built):
    for function in ("SerializeImageData", "ImageClassification", "FilterLowConfidence"):
        folder = ROOT / ".aws-sam/build" / f"{function}Function"
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        assert 0 < size < 5_000_000


@pytest.mark.parity("sam-remote-invoke")
def test_sam_remote_invoke_and_logs_work_as_the_readme_says(stack):
    aws = stack.aws
    aws.client("s3").put_object(Bucket=stack.outputs["PicturesBucketName"], Key="inbox/bicycle.png", Body=WHITE)
    for resource, event, expected in [
        ("SerializeImageDataFunction", "serialize_image_data", '"content_type": "image/png"'),
        ("ImageClassificationFunction", "image_classification", '"inferences"'),
        ("FilterLowConfidenceFunction", "filter_low_confidence", '"accepted": true'),
        ("MyStateMachine", "my_state_machine", '"accepted"'),
    ]:
        printed = sam(
            aws,
            "remote",
            "invoke",
            resource,
            "--event-file",
            f"events/{event}.json",
            "--config-env",
            "local",
        )
        assert expected in printed
    event = (ROOT / "events/my_state_machine.json").read_text()
    printed = sam(
        aws,
        "remote",
        "invoke",
        "MyStateMachine",
        "--event-file",
        "-",
        "--config-env",
        "local",
        given=event,
    )
    assert '"accepted"' in printed
    assert "picture decided" in sam(aws, "logs", "--config-env", "local")
    assert stack.outputs["ReviewQueueUrl"] in sam(
        aws, "list", "stack-outputs", "--output", "json", "--config-env", "local"
    )


@pytest.mark.parity("sam-delete", "sam-deploy", "cloudformation-resources")
def test_sam_delete_removes_the_stack(built, tmp_path):
    with run_laptop_aws(tmp_path) as aws:
        sam(aws, "deploy", "--config-env", "local")
        sam(aws, "delete", "--config-env", "local", "--no-prompts")
        stacks = aws.client("cloudformation").list_stacks()["StackSummaries"]
        alive = [s["StackName"] for s in stacks if s["StackStatus"] != "DELETE_COMPLETE"]
        assert project().stack_name not in alive
