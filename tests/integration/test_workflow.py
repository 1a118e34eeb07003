"""One picture in the deployed workflow, with each outcome and error."""

import base64
import io
import json
import uuid
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.settings import ROOT, project
from tests.integration.deployed_machines import history
from tests.integration.laptop_aws import wait_until
from tests.integration.mailbox import assert_failed
from tests.integration.workflow_stack import (
    ANSWER_SECONDS,
    BARE,
    BLACK,
    GREY,
    WHITE,
    execute,
    put,
    record,
    sam,
    serve,
)

SHIPPED_EVENT = json.loads((ROOT / "events/my_state_machine-object-missing.json").read_text())


@pytest.mark.parity("lambda-error-names", "states-catch", "s3-missing", "states-sns", "sns-raw-delivery")
@pytest.mark.parametrize(
    ("event", "error", "text"),
    [
        ({"s3_key": "inbox/none.png"}, "PictureNotFoundError", "inbox/none.png does not exist"),
        (SHIPPED_EVENT, "PictureNotFoundError", ""),
        ({"s3_bucket": "no-such-bucket", "s3_key": "a.png"}, "PictureNotFoundError", ""),
        ({"image_data": ""}, "InvalidInputError", "s3_key"),
    ],
    ids=["missing object", "shipped event", "missing bucket", "no picture"],
)
def test_input_without_an_object_fails_with_its_name_and_a_notification(stack, notifications, event, error, text):
    if event.keys() == {"s3_key"}:
        event = event | {"s3_bucket": stack.outputs["PicturesBucketName"]}
    assert text in assert_failed(execute(stack, event), error, notifications, {"s3_key": event.get("s3_key")})


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
def test_invalid_picture_fails_with_a_named_error(stack, notifications, body, error):
    event = put(stack, body)
    assert_failed(execute(stack, event), error, notifications, event)
    assert record(stack, event) is None


@pytest.mark.parity("states-lambda-invoke", "states-dynamodb", "states-jsonata", "states-context", "lambda-handler")
@pytest.mark.parametrize(("body", "label"), [(WHITE, "bicycle"), (BLACK, "motorcycle")])
def test_answer_above_the_threshold_is_accepted_and_recorded(stack, body, label):
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
def test_answer_below_the_threshold_fails_and_its_item_has_no_label(stack, review):
    event = put(stack, GREY)
    execution = execute(stack, event)
    assert (execution["status"], execution["error"]) == ("FAILED", "THRESHOLD_CONFIDENCE_NOT_MET")
    assert "0.627" in execution["cause"]
    [message] = review.of(execution["executionArn"])
    assert message["s3_key"] == event["s3_key"]
    assert (message["label"], message["accepted"]) == ("bicycle", False)
    assert "image_data" not in message
    item = record(stack, event)
    assert item
    assert (item["outcome"], item["queued"]) == ({"S": "review"}, {"BOOL": True})
    assert (item["guess"], item.get("label")) == ({"S": "bicycle"}, None)


@pytest.mark.parity("invoke-request", "states-payload-256-kib")
def test_large_picture_is_passed_by_reference(stack):
    noise = np.random.default_rng(0).integers(200, 256, (1380, 1380, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=1)
    assert 4_000_000 < len(out.getvalue()) <= 6 * 1024 * 1024
    execution = execute(stack, put(stack, out.getvalue()) | {"s3_version_id": ""})
    assert execution["error"] == "THRESHOLD_CONFIDENCE_NOT_MET"  # the endpoint answered: 228 of 255
    left = [e.get("stateExitedEventDetails", {}) for e in history(stack, execution["executionArn"])]
    [output] = [details["output"] for details in left if details.get("name") == "Serialize Image Data"]
    assert json.loads(output)["image_data"] == ""


@pytest.mark.parity("s3-events", "s3-keys", "events-input-path", "events-start-workflow")
@pytest.mark.parametrize("name", ["plain.png", "a b+c.png", "100%25 Fahrräder/车 é.png", "quote'd \"\\ & <tag>.png"])
def test_upload_to_the_inbox_starts_the_workflow_with_any_key(stack, name):
    event = put(stack, BLACK, f"inbox/{uuid.uuid4()}/{name}")
    item = wait_until(lambda: record(stack, event), ANSWER_SECONDS)
    assert item["label"] == {"S": "motorcycle"}


@pytest.mark.parity("events-pattern")
def test_upload_outside_the_inbox_starts_nothing(stack):
    def executions() -> int:
        paginator = stack.aws.client("stepfunctions").get_paginator("list_executions")
        pages = paginator.paginate(stateMachineArn=stack.outputs["StateMachineArn"])
        return sum(len(page["executions"]) for page in pages)

    before = executions()
    put(stack, WHITE, "outbox/a.png")
    put(stack, WHITE, "not-inbox/a.png")
    event = put(stack, WHITE, f"inbox/{uuid.uuid4()}.png")
    wait_until(lambda: record(stack, event), ANSWER_SECONDS)
    assert executions() == before + 1


@pytest.mark.parity("states-substitutions", "invoke-bare-list")
def test_bare_list_gets_the_class_names_of_the_deployment(stack):
    serve(stack.aws, "built-in", BARE)
    stepfunctions = stack.aws.client("stepfunctions")
    deployed = stepfunctions.describe_state_machine(stateMachineArn=stack.outputs["StateMachineArn"])

    def classify(class_names: str) -> dict[str, Any]:
        """Run a copy of the deployed machine, as a deployment with these ClassNames creates it."""
        definition = deployed["definition"]
        for old, new in [
            ("$split('', ',')", f"$split('{class_names}', ',')"),
            (f"'endpoint_name': '{project().endpoint_name}'", "'endpoint_name': 'built-in'"),
        ]:
            assert old in definition
            definition = definition.replace(old, new)
        arn = stack.aws.create_machine(json.loads(definition))
        return execute(stack._replace(outputs=stack.outputs | {"StateMachineArn": arn}), put(stack, BLACK))

    output = json.loads(classify("bicycle, motorcycle")["output"])
    assert (output["label"], output["class_names"]) == ("motorcycle", ["bicycle", "motorcycle"])
    assert output["inferences"] == [0.0, 1.0]
    assert classify("")["error"] == "ClassCountMismatchError"


@pytest.mark.parity("lambda-log-group", "lambda-json-logs", "states-context")
def test_functions_log_json_without_the_picture(stack):
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
    item = record(stack, event)
    assert item
    assert item["execution_arn"]["S"] == execution
    printed = sam(stack.aws, "logs", "--config-env", "local", "--filter", f'"{execution}"')
    for message in ("picture read", "picture classified", "picture decided"):
        assert printed.count(f'"{message}"') == 1


@pytest.mark.parity("sam-build")
def test_built_functions_are_smaller_than_5_mb(built):
    for function in ("SerializeImageData", "ImageClassification", "FilterLowConfidence"):
        folder = ROOT / ".aws-sam/build" / f"{function}Function"
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        assert 0 < size < 5_000_000


@pytest.mark.parity("sam-remote-invoke")
def test_sam_commands_of_the_readme_work(stack):
    aws, local = stack.aws, ("--config-env", "local")
    aws.client("s3").put_object(Bucket=stack.outputs["PicturesBucketName"], Key="inbox/bicycle.png", Body=WHITE)
    for resource, event, expected in [
        ("SerializeImageDataFunction", "serialize_image_data", '"content_type": "image/png"'),
        ("ImageClassificationFunction", "image_classification", '"inferences"'),
        ("FilterLowConfidenceFunction", "filter_low_confidence", '"accepted": true'),
        ("MyStateMachine", "my_state_machine", '"accepted"'),
    ]:
        assert expected in sam(aws, "remote", "invoke", resource, "--event-file", f"events/{event}.json", *local)
    given = (ROOT / "events/my_state_machine.json").read_text()
    assert '"accepted"' in sam(aws, "remote", "invoke", "MyStateMachine", "--event-file", "-", *local, given=given)
    assert "picture decided" in sam(aws, "logs", *local)
    assert stack.outputs["ReviewQueueUrl"] in sam(aws, "list", "stack-outputs", "--output", "json", *local)
