"""`sam local invoke` for every event of a function, in Docker, against the laptop's AWS."""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.container.conftest import BUCKET, NetworkedAws, run
from tests.container.local_invoke import IMAGE, LocalInvoke
from tests.integration.laptop_aws import ROOT

EVENTS = sorted(path.stem for path in (ROOT / "events").glob("*.json"))
# Without those of the state machines, which run in Step Functions and not in a container.
FUNCTION_EVENTS = [name for name in EVENTS if not name.startswith("my_")]
# The packages of AWS's runtime: boto3 and its dependencies.
RUNTIME_PACKAGES = {"boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}


class Returns(NamedTuple):
    """The function answers with at least these fields."""

    fields: dict[str, Any]


class Raises(NamedTuple):
    """The function ends with this error and a message with this beginning."""

    error: str
    message: str


class Classifies(NamedTuple):
    """The endpoint answers a probability for each of the two classes, and the result has no picture."""

    key: str


PICTURE = base64.b64encode((ROOT / "events/pictures/bicycle.png").read_bytes()).decode()
INBOX = f"s3://{BUCKET}/inbox"
EXPECTED: dict[str, Returns | Raises | Classifies] = {
    "serialize_image_data": Returns(
        {"s3_key": "inbox/bicycle.png", "content_type": "image/png", "image_data": PICTURE}
    ),
    "serialize_image_data-empty": Raises("EmptyPictureError", f"{INBOX}/empty.png has 0 bytes"),
    "serialize_image_data-no-key": Raises(
        "InvalidInputError", 'start the workflow with {"s3_bucket": "...", "s3_key":'
    ),
    "serialize_image_data-not-a-picture": Raises(
        "NotAPictureError", f"{INBOX}/not-a-picture.png is neither PNG nor JPEG"
    ),
    "serialize_image_data-too-many-pixels": Raises(
        "PictureTooLargeError", f"{INBOX}/too-many-pixels.png has 20,000x20,000 pixels, the endpoint takes"
    ),
    "serialize_image_data-animated": Raises("AnimatedPictureError", f"{INBOX}/animated.png has 2 frames"),
    "serialize_image_data-object-missing": Raises(
        "PictureNotFoundError", f"{INBOX}/no-such-picture.png does not exist (NoSuchKey)"
    ),
    "serialize_image_data-bucket-missing": Raises(
        "PictureNotFoundError", "s3://scones-unlimited-no-such-bucket/inbox/bicycle.png does not exist (NoSuchBucket)"
    ),
    "image_classification": Classifies("inbox/bicycle.png"),
    "image_classification-broken-base64": Raises("InvalidInputError", "needs `image_data`"),
    "image_classification-no-endpoint-name": Raises("InvalidInputError", "needs endpoint_name and content_type"),
    "image_classification-by-reference": Classifies("inbox/motorcycle.png"),
    "image_classification-endpoint-missing": Raises(
        "EndpointNotFoundError", "endpoint no-such-endpoint does not exist"
    ),
    "image_classification-picture-refused": Raises(
        "PictureRefusedError", "endpoint scones-unlimited refused the picture (4"
    ),
    "filter_low_confidence": Returns({"label": "bicycle", "confidence": 0.98, "accepted": True}),
    "filter_low_confidence-below-threshold": Returns({"label": "bicycle", "confidence": 0.7, "accepted": False}),
    "filter_low_confidence-count-mismatch": Raises("InvalidInferencesError", "2 probabilities for ['bicycle']"),
    "filter_low_confidence-invalid-inferences": Raises(
        "InvalidInferencesError", "not a list of probabilities: ['0.98', '0.02']"
    ),
    "filter_low_confidence-invalid-threshold": Raises(
        "InvalidThresholdError", "the threshold must be a number in [0, 1], not 90"
    ),
    "filter_low_confidence-tie": Returns({"label": "bicycle", "confidence": 0.5, "accepted": False}),
}


def function_of(event: str) -> str:
    """Return the logical id of an event's function, from the name of its file."""
    return event.partition("-")[0].title().replace("_", "") + "Function"


def run_in_image(*options: str, script: str, arguments: tuple[str, ...] = ()) -> str:
    """Run a Python script in the Lambda base image and return its output."""
    return run("docker", "run", "--rm", *options, "--entrypoint", "python3", IMAGE, "-c", script, *arguments).strip()


def check(answer: dict[str, Any], expected: Returns | Raises | Classifies) -> None:
    match expected:
        case Returns(fields):
            assert "errorType" not in answer, answer
            assert {name: answer.get(name) for name in fields} == fields
        case Raises(error, message):
            assert answer.get("errorType") == error, answer
            assert answer["errorMessage"].startswith(message)
        case Classifies(key):
            assert "errorType" not in answer, answer
            assert answer["s3_key"] == key
            assert answer["class_names"] == ["bicycle", "motorcycle"]
            assert len(answer["inferences"]) == 2
            assert sum(answer["inferences"]) == pytest.approx(1, abs=1e-3)
            assert "image_data" not in answer


def test_every_event_of_a_function_has_an_expectation() -> None:
    assert set(EXPECTED) == set(FUNCTION_EVENTS)


@pytest.mark.parity(
    *("sam-local-invoke", "lambda-handler", "lambda-error-names", "invoke-request", "s3-get-object", "s3-missing")
)
@pytest.mark.usefixtures("pictures", "endpoint")
@pytest.mark.parametrize("event", FUNCTION_EVENTS)
def test_event_on_the_laptop(event: str, on_laptop: LocalInvoke) -> None:
    answer = on_laptop(f"sam local invoke {function_of(event)} --event events/{event}.json --config-env local")
    check(answer, EXPECTED[event])


@pytest.mark.parity("sam-local-invoke")
def test_event_with_another_bucket(on_laptop: LocalInvoke, laptop_aws: NetworkedAws) -> None:
    s3 = laptop_aws.client("s3")
    s3.create_bucket(Bucket="another-bucket")
    s3.upload_file(str(ROOT / "events/pictures/bicycle.png"), "another-bucket", "inbox/bicycle.png")
    # As docs/sam-local-invoke.md says.
    answer = on_laptop(
        f'sed "s/{BUCKET}/$BUCKET/" events/serialize_image_data.json'
        " | sam local invoke SerializeImageDataFunction --event - --config-env local",
        BUCKET="another-bucket",
    )
    assert answer["s3_bucket"] == "another-bucket"
    assert answer["content_type"] == "image/png"


@pytest.mark.parity("sdk-empty-endpoint-url", "lambda-environment")
@pytest.mark.parametrize(
    ("event", "host", "error"),
    [
        ("serialize_image_data", f"{BUCKET}.s3.amazonaws.com", "PictureStoreUnavailableError"),
        ("image_classification", "runtime.sagemaker.us-east-1.amazonaws.com", "EndpointBusyError"),
    ],
)
def test_empty_variables_select_the_endpoints_of_aws(event: str, host: str, error: str, on_aws: LocalInvoke) -> None:
    """Without --config-env the template's empty variables reach the container, where nothing listens at AWS's host."""
    answer = on_aws(f"sam local invoke {function_of(event)} --event events/{event}.json --add-host {host}:127.0.0.1")
    assert answer.get("errorType") == error, answer
    assert f'Could not connect to the endpoint URL: "https://{host}/' in answer["errorMessage"]


@pytest.mark.parity("lambda-runtime", "sam-build")
@pytest.mark.parametrize("function", sorted({function_of(event) for event in FUNCTION_EVENTS}))
def test_function_imports_with_its_own_packages(function: str, folder: Path) -> None:
    script = (
        "import json, sys; before = set(sys.modules); import app;"
        "print(json.dumps({name: module.__file__ for name, module in sys.modules.items()"
        " if name not in before and name not in sys.stdlib_module_names and '.' not in name"
        " and getattr(module, '__file__', None)}))"
    )
    mount = f"type=bind,source={folder}/.aws-sam/build/{function},target=/var/task,readonly"
    output = run_in_image(
        *("--network", "none", "--mount", mount, "--env", "PYTHONPATH=/var/task:/var/runtime"),
        *("--env", "AWS_DEFAULT_REGION=us-east-1", "--env", "POWERTOOLS_METRICS_NAMESPACE=tests"),
        script=script,
    )
    loaded: dict[str, str] = json.loads(output)
    of_the_image = {name for name, file in loaded.items() if not file.startswith("/var/task/")}
    assert "aws_lambda_powertools" in loaded.keys() - of_the_image
    assert of_the_image <= RUNTIME_PACKAGES


def test_laptops_aws_does_not_listen_on_the_interface_of_the_containers(laptop_aws: NetworkedAws) -> None:
    script = (
        "import socket, sys; s = socket.socket(); s.settimeout(5); print(s.connect_ex((sys.argv[1], int(sys.argv[2]))))"
    )
    template = "{{(index .IPAM.Config 0).Gateway}}"
    gateway = run("docker", "network", "inspect", laptop_aws.network, "--format", template).strip()
    port = laptop_aws.aws.endpoint_url.rpartition(":")[2]
    assert (
        run_in_image("--network", laptop_aws.network, script=script, arguments=(gateway, port)) == "111"
    )  # ECONNREFUSED
