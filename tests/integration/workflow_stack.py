"""The deployed workflow that tests share: the real template, deployed by the real `sam` into the laptop's AWS.

Its endpoint serves a model whose answer follows from the picture: the brighter, the more probably a bicycle.
"""

import io
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from common.predictions import PredictionKey
from common.settings import project
from common.stack import stack_outputs
from tests.integration.commands import run_command
from tests.integration.laptop_aws import LaptopAws, run_laptop_aws
from tests.integration.sagemaker_requests import create_endpoint, endpoint_config

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
BARE = "prediction"  # as SageMaker's built-in algorithm
ANSWER_SECONDS = 90
PICTURE = "StateMachineArn"


class Stack(NamedTuple):
    """The deployed workflow: its laptop's AWS, and the outputs of `sam deploy`."""

    aws: LaptopAws
    outputs: dict[str, str]

    @property
    def failures(self) -> str:
        """The URL of the queue with the notifications of the failure topic."""
        return self.outputs["FailedPicturesQueueUrl"]


def picture(brightness: int, size: int = 32) -> bytes:
    """Return a PNG, `size` pixels square, of one grey from 0 to 255."""
    out = io.BytesIO()
    Image.new("RGB", (size, size), (brightness,) * 3).save(out, "PNG")
    return out.getvalue()


WHITE, GREY, BLACK = picture(255), picture(160), picture(0)


def serve(aws: LaptopAws, name: str, answer: str) -> None:
    """Create an endpoint that answers as `answer` says."""
    endpoint_config(aws, name, INFERENCE.replace("ANSWER", answer))
    assert create_endpoint(aws, name, name)["EndpointStatus"] == "InService"


def sam(aws: LaptopAws, *arguments: str, given: str = "") -> str:
    """Run `sam` as a user does, on the laptop's AWS; return its output."""
    done = run_command(aws, "sam", *arguments, given=given)
    return done.stdout + done.stderr


def fault(stack: Stack, setting: dict[str, Any] | None) -> None:
    """Inject a fault into the endpoint, or remove it."""
    stack.aws.control("PUT" if setting else "DELETE", f"/_local/faults/{project().endpoint_name}", setting)


def start(stack: Stack, event: object, machine: str = PICTURE) -> str:
    """Start the machine that an output of the stack names; return the execution's ARN."""
    return stack.aws.start(stack.outputs[machine], event)


def ended(stack: Stack, arn: str, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
    """Return an execution's description once it has ended."""
    execution: dict[str, Any] = stack.aws.ended(arn, seconds)
    return execution


def execute(stack: Stack, event: object) -> dict[str, Any]:
    """Start the workflow and return the execution's description once it has ended."""
    return ended(stack, start(stack, event))


def put(stack: Stack, body: bytes, key: str | None = None) -> dict[str, str]:
    """Put an object outside the inbox, so that no event starts; return the workflow's input."""
    event = {"s3_bucket": stack.outputs["PicturesBucketName"], "s3_key": key or f"by-hand/{uuid.uuid4()}.png"}
    answer = stack.aws.client("s3").put_object(Bucket=event["s3_bucket"], Key=event["s3_key"], Body=body)
    return event | {"s3_version_id": answer["VersionId"]}


def record(stack: Stack, event: dict[str, Any]) -> dict[str, Any] | None:
    """Return the item that the predictions table holds for a picture."""
    answer = stack.aws.client("dynamodb").get_item(TableName=stack.outputs["PredictionsTableName"], Key=item_key(event))
    item: dict[str, Any] | None = answer.get("Item")
    return item


def item_key(event: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the key of a picture's item in the predictions table."""
    picture = f"s3://{event['s3_bucket']}/{event['s3_key']}"
    return PredictionKey(picture, event["s3_version_id"]).attributes()


@contextmanager
def deployed_stack(state: Path) -> Iterator[Stack]:
    """Deploy the built workflow and create its endpoint, on a separate laptop's AWS."""
    with run_laptop_aws(state) as aws:
        serve(aws, project().endpoint_name, NAMED)
        sam(aws, "deploy", "--config-env", "local")
        yield Stack(aws, stack_outputs(aws.client("cloudformation"), project().stack_name))
