"""The real template, deployed by the real `sam` into the laptop's AWS, driven through boto3.

The endpoint serves a model whose answer a test can read off its picture: the brighter, the more a
bicycle. What it runs through is the real thing: upload event, rule, state machine, functions,
endpoint, table, queue and topic.
"""

import base64
import io
import json
import os
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests.integration.conftest import LaptopAws, run_laptop_aws, wait_until
from tests.integration.sagemaker_requests import endpoint_config, settled_endpoint
from training.settings import CONFIDENCE_THRESHOLD, ENDPOINT_NAME, ROOT, STACK_NAME

INFERENCE = """
import io, json
from PIL import Image

class RefusedError(Exception):
    status_code = 400

def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    try:
        return Image.open(io.BytesIO(body)).convert("L")
    except OSError as error:
        raise RefusedError(f"cannot be decoded: {error}") from error

def predict_fn(picture, model):
    bicycle = picture.resize((1, 1)).getpixel((0, 0)) / 255
    return [bicycle, 1 - bicycle]

def output_fn(prediction, accept):
    return json.dumps(ANSWER)
"""
NAMED = '{"labels": ["bicycle", "motorcycle"], "probabilities": prediction}'
BARE = "prediction"  # as SageMaker's built-in algorithm answers
ANSWER_SECONDS = 90


class Stack(NamedTuple):
    """The deployed workflow: where it runs and what `sam deploy` put out."""

    aws: LaptopAws
    outputs: dict[str, str]
    failures: str  # URL of a queue that is subscribed to the failure topic


def picture(brightness: int, size: int = 32) -> bytes:
    """Return a PNG, `size` pixels square, of one grey from 0 to 255."""
    out = io.BytesIO()
    Image.new("RGB", (size, size), (brightness,) * 3).save(out, "PNG")
    return out.getvalue()


WHITE, GREY, BLACK = picture(255), picture(160), picture(0)


def serve(aws: LaptopAws, name: str, answer: str) -> None:
    """Create an endpoint that answers as `answer` says."""
    endpoint_config(aws, name, INFERENCE.replace("ANSWER", answer))
    aws.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert settled_endpoint(aws, name)["EndpointStatus"] == "InService"


def sam(aws: LaptopAws, *arguments: str, given: str = "") -> str:
    """Run `sam` as a user does, on the laptop's AWS; return what it printed."""
    done = subprocess.run(
        ["sam", *arguments],
        cwd=ROOT,
        env=os.environ | aws.env,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        input=given,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built() -> None:
    """Build the functions once."""
    subprocess.run(["sam", "build"], cwd=ROOT, check=True, timeout=300)


@pytest.fixture(scope="module")
def stack(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Deploy the template once, beside an endpoint."""
    with run_laptop_aws(tmp_path_factory.mktemp("aws")) as aws:
        serve(aws, ENDPOINT_NAME, NAMED)
        sam(aws, "deploy", "--config-env", "local")
        [found] = aws.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"]
        outputs = {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]}
        queue = aws.client("sqs").create_queue(QueueName="failures")["QueueUrl"]
        aws.client("sns").subscribe(
            TopicArn=outputs["FailureTopicArn"],
            Protocol="sqs",
            Endpoint="arn:aws:sqs:us-east-1:000000000000:failures",
            Attributes={"RawMessageDelivery": "true"},
        )
        yield Stack(aws, outputs, queue)


@pytest.fixture
def well(stack: Stack) -> Iterator[Stack]:
    """The stack; a fault that a test gives the endpoint ends with the test."""
    yield stack
    fault(stack, None)


def fault(stack: Stack, setting: dict[str, Any] | None) -> None:
    """Give the endpoint a fault, or take it away."""
    request = urllib.request.Request(  # noqa: S310  loopback
        f"{stack.aws.endpoint_url}/_local/faults/{ENDPOINT_NAME}",
        data=json.dumps(setting).encode() if setting else None,
        method="PUT" if setting else "DELETE",
    )
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310  loopback


def execute(stack: Stack, event: object) -> dict[str, Any]:
    """Start the workflow and return its description once it has ended."""
    stepfunctions = stack.aws.client("stepfunctions")
    arn = stepfunctions.start_execution(
        stateMachineArn=stack.outputs["StateMachineArn"], input=json.dumps(event)
    )["executionArn"]

    def ended() -> dict[str, Any] | None:
        told: dict[str, Any] = stepfunctions.describe_execution(executionArn=arn)
        return told if told["status"] != "RUNNING" else None

    return wait_until(ended, ANSWER_SECONDS)


def put(stack: Stack, body: bytes, key: str | None = None) -> dict[str, str]:
    """Put an object outside the inbox, so that no event starts; return the workflow's input."""
    event = {
        "s3_bucket": stack.outputs["PicturesBucketName"],
        "s3_key": key or f"by-hand/{uuid.uuid4()}.png",
    }
    answer = stack.aws.client("s3").put_object(
        Bucket=event["s3_bucket"], Key=event["s3_key"], Body=body
    )
    return event | {"s3_version_id": answer["VersionId"]}


def messages(stack: Stack, queue_url: str, name: str, value: str) -> list[dict[str, Any]]:
    """Wait for the messages of one execution or picture; delete and return them."""
    sqs = stack.aws.client("sqs")

    def look() -> list[dict[str, Any]] | None:
        found = []
        for message in sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, VisibilityTimeout=1
        ).get("Messages", []):
            body = json.loads(message["Body"])
            if body.get(name) == value:
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                found.append(body)
        return found or None

    return wait_until(look, ANSWER_SECONDS)


def record(stack: Stack, event: dict[str, Any]) -> dict[str, Any] | None:
    """Return the item that the predictions table holds for a picture."""
    key = {
        "picture": {"S": f"s3://{event['s3_bucket']}/{event['s3_key']}"},
        "version_id": {"S": event["s3_version_id"]},
    }
    answer = stack.aws.client("dynamodb").get_item(
        TableName=stack.outputs["PredictionsTableName"], Key=key
    )
    item: dict[str, Any] | None = answer.get("Item")
    return item


def failed_with(stack: Stack, event: dict[str, Any], error: str) -> str:
    """Run the workflow, assert that it failed and told somebody; return the cause."""
    told = execute(stack, event)
    assert (told["status"], told["error"]) == ("FAILED", error)
    [message] = messages(stack, stack.failures, "execution_arn", told["executionArn"])
    assert message["error"] == {"Error": error, "Cause": told["cause"]}
    assert message.get("s3_key") == event.get("s3_key")
    return str(told["cause"])


def test_a_missing_object_fails_with_its_name_and_is_told(stack):
    bucket = stack.outputs["PicturesBucketName"]
    cause = failed_with(
        stack, {"s3_bucket": bucket, "s3_key": "inbox/none.png"}, "PictureNotFoundError"
    )
    assert "inbox/none.png does not exist" in cause


def test_the_event_for_a_missing_object_names_one(stack):
    event = json.loads((ROOT / "events/my_state_machine-object-missing.json").read_text())
    failed_with(stack, event, "PictureNotFoundError")


def test_a_missing_bucket_fails_with_its_name(stack):
    event = {"s3_bucket": "no-such-bucket", "s3_key": "a.png"}
    failed_with(stack, event, "PictureNotFoundError")


def test_an_input_without_a_picture_fails_with_its_name(stack):
    cause = failed_with(stack, {"image_data": ""}, "InvalidInputError")
    assert "s3_key" in cause


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


def test_an_endpoint_that_is_gone_fails_with_its_name(well):
    fault(well, {"kind": "gone"})
    cause = failed_with(well, put(well, WHITE), "EndpointNotFoundError")
    assert "python -m training.create_endpoint" in cause


def test_an_endpoint_that_answers_nonsense_fails_with_its_name(well):
    fault(well, {"kind": "nonsense"})
    failed_with(well, put(well, WHITE), "InvalidAnswerError")


def test_an_endpoint_that_is_busy_twice_and_then_well_gives_an_answer(well):
    fault(well, {"kind": "throttled", "calls": 2})
    told = execute(well, put(well, WHITE))
    assert told["status"] == "SUCCEEDED"
    history = well.aws.client("stepfunctions").get_execution_history(
        executionArn=told["executionArn"], maxResults=1000
    )["events"]
    busy = [e["taskFailedEventDetails"]["error"] for e in history if e["type"] == "TaskFailed"]
    assert busy == ["EndpointBusyError", "EndpointBusyError"]


@pytest.mark.parametrize(("body", "label"), [(WHITE, "bicycle"), (BLACK, "motorcycle")])
def test_a_certain_answer_is_accepted_and_recorded(stack, body, label):
    event: dict[str, Any] = put(stack, body) | {"image_data": "", "order": {"id": 7}}
    told = execute(stack, event)
    assert told["status"] == "SUCCEEDED"
    output = json.loads(told["output"])
    rest = {name: value for name, value in event.items() if name != "image_data"}
    assert output == rest | {
        "content_type": "image/png",
        "endpoint_name": ENDPOINT_NAME,
        "class_names": ["bicycle", "motorcycle"],
        "inferences": [1.0, 0.0] if label == "bicycle" else [0.0, 1.0],
        "threshold": CONFIDENCE_THRESHOLD,
        "label": label,
        "confidence": 1.0,
        "accepted": True,
    }
    item = record(stack, event)
    assert item
    assert item["label"] == {"S": label}
    assert float(item["confidence"]["N"]) == 1.0
    assert item["execution_arn"] == {"S": told["executionArn"]}
    assert item["endpoint_name"] == {"S": ENDPOINT_NAME}


def test_a_doubtful_answer_fails_waits_for_review_and_is_not_recorded(stack):
    event = put(stack, GREY)
    told = execute(stack, event)
    assert (told["status"], told["error"]) == ("FAILED", "THRESHOLD_CONFIDENCE_NOT_MET")
    assert "0.627" in told["cause"]
    [message] = messages(
        stack, stack.outputs["ReviewQueueUrl"], "execution_arn", told["executionArn"]
    )
    assert message["s3_key"] == event["s3_key"]
    assert (message["label"], message["accepted"]) == ("bicycle", False)
    assert "image_data" not in message
    assert record(stack, event) is None


def test_a_big_picture_goes_through_by_reference(stack):
    noise = np.random.default_rng(0).integers(200, 256, (1380, 1380, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=1)
    assert 4_000_000 < len(out.getvalue()) <= 6 * 1024 * 1024
    told = execute(stack, put(stack, out.getvalue()) | {"s3_version_id": ""})
    assert told["error"] == "THRESHOLD_CONFIDENCE_NOT_MET"  # it got an answer: 228 of 255
    history = stack.aws.client("stepfunctions").get_execution_history(
        executionArn=told["executionArn"], maxResults=1000
    )["events"]
    left = {
        e["stateExitedEventDetails"]["name"]: json.loads(e["stateExitedEventDetails"]["output"])
        for e in history
        if "stateExitedEventDetails" in e
    }
    assert left["Serialize Image Data"]["image_data"] == ""


@pytest.mark.parametrize(
    "name", ["plain.png", "a b+c.png", "100%25 Fahrräder/车 é.png", "quote'd & <tag>.png"]
)
def test_an_upload_to_the_inbox_starts_the_workflow_whatever_the_key(stack, name):
    event = put(stack, BLACK, f"inbox/{uuid.uuid4()}/{name}")
    item = wait_until(lambda: record(stack, event), ANSWER_SECONDS)
    assert item["label"] == {"S": "motorcycle"}


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


def test_a_bare_list_is_named_by_the_class_names_of_the_deployment(stack):
    serve(stack.aws, "built-in", BARE)
    [function] = [
        r["PhysicalResourceId"]
        for r in stack.aws.client("cloudformation").describe_stack_resources(StackName=STACK_NAME)[
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


def test_the_deployed_definition_hands_the_class_names_on(stack):
    """A copy of the deployed machine, as a deployment with ClassNames makes it."""
    serve(stack.aws, "built-in-too", BARE)
    stepfunctions = stack.aws.client("stepfunctions")
    deployed = stepfunctions.describe_state_machine(
        stateMachineArn=stack.outputs["StateMachineArn"]
    )
    given = {"$split('', ',')": "$split('bicycle, motorcycle', ',')"}
    given[f"'endpoint_name': '{ENDPOINT_NAME}'"] = "'endpoint_name': 'built-in-too'"
    definition = deployed["definition"]
    for old, new in given.items():
        assert old in definition
        definition = definition.replace(old, new)
    copy = stepfunctions.create_state_machine(
        name="bare-list", definition=definition, roleArn=deployed["roleArn"]
    )["stateMachineArn"]
    told = execute(
        stack._replace(outputs=stack.outputs | {"StateMachineArn": copy}), put(stack, BLACK)
    )
    output = json.loads(told["output"])
    assert (output["label"], output["class_names"]) == ("motorcycle", ["bicycle", "motorcycle"])


def test_the_functions_log_json_and_never_the_picture(stack):
    event = put(stack, WHITE)
    execute(stack, event)
    logs = stack.aws.client("logs")
    lines = [
        json.loads(line["message"])
        for name in ("serialize-image-data", "image-classification", "filter-low-confidence")
        for line in logs.filter_log_events(logGroupName=f"/aws/lambda/{STACK_NAME}-{name}")[
            "events"
        ]
        if line["message"].startswith("{")
    ]
    told = [line["message"] for line in lines if line.get("s3_key") == event["s3_key"]]
    assert told == ["picture read", "picture classified", "picture decided"]
    picture = base64.b64encode(WHITE).decode()
    assert picture not in json.dumps(lines)


def test_every_function_is_under_5_mb(built):
    for function in ("SerializeImageData", "ImageClassification", "FilterLowConfidence"):
        folder = ROOT / ".aws-sam/build" / f"{function}Function"
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        assert 0 < size < 5_000_000


def test_sam_remote_invoke_and_logs_work_as_the_readme_says(stack):
    aws = stack.aws
    aws.client("s3").put_object(
        Bucket=stack.outputs["PicturesBucketName"], Key="inbox/bicycle.png", Body=WHITE
    )
    for resource, event, expected in [
        ("SerializeImageDataFunction", "serialize_image_data", '"content_type": "image/png"'),
        ("ImageClassificationFunction", "image_classification", '"inferences"'),
        ("FilterLowConfidenceFunction", "filter_low_confidence", '"accepted": true'),
        ("MyStateMachine", "my_state_machine", '"accepted"'),
    ]:
        printed = sam(
            aws, "remote", "invoke", resource, "--event-file", f"events/{event}.json",
            "--config-env", "local",
        )  # fmt: skip
        assert expected in printed
    event = (ROOT / "events/my_state_machine.json").read_text()
    printed = sam(
        aws, "remote", "invoke", "MyStateMachine", "--event-file", "-", "--config-env", "local",
        given=event,
    )  # fmt: skip
    assert '"accepted"' in printed
    assert "picture decided" in sam(aws, "logs", "--config-env", "local")


def test_sam_delete_removes_the_stack(built, tmp_path):
    with run_laptop_aws(tmp_path) as aws:
        sam(aws, "deploy", "--config-env", "local")
        sam(aws, "delete", "--config-env", "local", "--no-prompts")
        stacks = aws.client("cloudformation").list_stacks()["StackSummaries"]
        alive = [s["StackName"] for s in stacks if s["StackStatus"] != "DELETE_COMPLETE"]
        assert STACK_NAME not in alive
