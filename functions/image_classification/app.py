"""Image Classification: invoke the SageMaker endpoint with the picture.

Takes  {"endpoint_name": "...", "class_names": [], "content_type": "image/png",
        "image_data": "<base64 text, or empty: read it from S3>", "s3_bucket", "s3_key", ...}
Gives  the same without `image_data`, and
       {"inferences": [0.98, 0.02], "class_names": ["bicycle", "motorcycle"]}
"""

import base64
import json
from typing import Any, cast

import boto3
from aws_lambda_powertools.logging import Logger
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

# The maximum body of InvokeEndpoint, which Serialize Image Data has checked.
MAX_PICTURE_BYTES = 6 * 1024 * 1024
# Probabilities of a float32 network sum to 1 within about 1e-6; the contract is wider.
SUM_TOLERANCE = 1e-3
# No answer or an incomplete one, because of the network.
NO_ANSWER = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError)

logger = Logger(service="image_classification")
# One attempt: the state machine retries, with pauses that would cost money in a function.
runtime = boto3.client(
    "sagemaker-runtime",
    config=Config(connect_timeout=2, read_timeout=25, retries={"total_max_attempts": 1}),
)
s3 = boto3.client(
    "s3",
    config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}),
)


class InvalidInputError(Exception):
    """The input lacks a field, or has an invalid one."""


class PictureNotFoundError(Exception):
    """The picture travelled by reference and has been deleted since."""


class PictureAccessDeniedError(Exception):
    """The picture travelled by reference and the function may not read it."""


class PictureStoreUnavailableError(Exception):
    """S3 is temporarily unavailable. The state machine retries this error."""


class EndpointNotFoundError(Exception):
    """The endpoint does not exist in this account and region."""


class EndpointAccessDeniedError(Exception):
    """The function may not invoke the endpoint."""


class EndpointBusyError(Exception):
    """The endpoint is temporarily unavailable. The state machine retries this error."""


class EndpointRequestError(Exception):
    """SageMaker refused the request before it reached the endpoint."""


class PictureRefusedError(Exception):
    """The endpoint refused the picture, with a 4xx status."""


class InvalidAnswerError(Exception):
    """The endpoint's answer is not a list of probabilities."""


class ClassCountMismatchError(Exception):
    """The numbers of probabilities and class names differ, so a label could be wrong."""


def picture_bytes(event: dict[str, Any]) -> bytes:
    """Return the picture: decoded from the state, or read from S3 if it travelled by reference.

    Raises:
        InvalidInputError: `image_data` is not base64 text, or the fields for S3 are missing or invalid.
        PictureNotFoundError, PictureAccessDeniedError, PictureStoreUnavailableError: by the answer of S3.
    """
    where = f"s3://{event.get('s3_bucket')}/{event.get('s3_key')}"
    try:
        if event["image_data"]:
            return base64.b64decode(event["image_data"], validate=True)
        version = {"VersionId": event["s3_version_id"]} if event.get("s3_version_id") else {}
        answer = s3.get_object(Bucket=event["s3_bucket"], Key=event["s3_key"], **version)
        if answer["ContentLength"] > MAX_PICTURE_BYTES:
            raise InvalidInputError(f"{where} has {answer['ContentLength']:,} bytes: not the picture that was checked")
        return bytes(answer["Body"].read())
    except NO_ANSWER as error:
        raise PictureStoreUnavailableError(f"reading {where}: {error}") from error
    except ClientError as error:
        raise s3_error(error, where) from error
    except (KeyError, TypeError, ValueError, ParamValidationError) as error:
        raise InvalidInputError(
            f"needs `image_data` (base64 text, or empty with `s3_bucket` and `s3_key`): {type(error).__name__}: {error}"
        ) from error


def s3_error(error: ClientError, where: str) -> Exception:
    """Return the named error for an error answer of S3."""
    code, status = code_and_status(error)
    if code in {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed"}:
        return PictureNotFoundError(f"{where} has been deleted since it was checked ({code})")
    if code == "AccessDenied":
        return PictureAccessDeniedError(f"{where} may not be read by this function")
    if code in {"SlowDown", "Throttling", "RequestTimeout"} or status >= 500:
        return PictureStoreUnavailableError(f"reading {where}: {error}")
    return InvalidInputError(f"S3 refused {where}: {error}")


def code_and_status(error: ClientError) -> tuple[str, int]:
    """Return the error code and the HTTP status of an answer."""
    return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]


def execution_name(event: dict[str, Any]) -> str:
    """Return the execution's name as an InferenceId: 1 to 64 ASCII characters; "-" without one."""
    name = str(event.get("execution_arn", "")).rpartition(":")[2]
    return name.encode("ascii", "replace").decode()[:64] or "-"


def invoke(endpoint: str, picture: bytes, content_type: str, inference_id: str) -> bytes:
    """Return the body of the endpoint's answer; data capture records `inference_id` with it.

    Raises:
        EndpointNotFoundError, EndpointAccessDeniedError, EndpointBusyError, EndpointRequestError,
        PictureRefusedError: by the answer of SageMaker or the container.
        InvalidInputError: the endpoint's name is invalid.
    """
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            Body=picture,
            ContentType=content_type,
            Accept="application/json",
            InferenceId=inference_id,
        )
        return bytes(answer["Body"].read())
    except ParamValidationError as error:
        raise InvalidInputError(f"cannot invoke endpoint {endpoint!r}: {error}") from error
    except NO_ANSWER as error:
        raise EndpointBusyError(f"endpoint {endpoint} did not answer: {error}") from error
    except ClientError as error:
        raise sagemaker_error(error, endpoint) from error


def sagemaker_error(error: ClientError, endpoint: str) -> Exception:
    """Return the named error for an error answer of InvokeEndpoint."""
    code, status = code_and_status(error)
    message = error.response["Error"].get("Message", "")
    if code == "ModelError":  # the container's own error
        container_status = cast(int, error.response.get("OriginalStatusCode", 500))
        original = str(error.response.get("OriginalMessage") or message)
        if 400 <= container_status < 500 and container_status != 429:
            return PictureRefusedError(f"endpoint {endpoint} refused the picture ({container_status}): {original}")
        return EndpointBusyError(f"endpoint {endpoint} failed ({container_status}): {original}")
    if code == "ValidationError" and "not found" in message:
        return EndpointNotFoundError(
            f"endpoint {endpoint} does not exist: create it with "
            "`python -m training.create_endpoint`, or deploy with the name of one that does"
        )
    if code.startswith("Throttling") or status == 429 or status >= 500:
        return EndpointBusyError(f"endpoint {endpoint} is busy ({code}): {message}")
    if status in {401, 403} or code.startswith("AccessDenied"):
        return EndpointAccessDeniedError(f"endpoint {endpoint} may not be invoked: {code} {message}")
    return EndpointRequestError(f"SageMaker refused to invoke {endpoint} ({code}): {message}")


def read_answer(body: bytes, class_names: list[str]) -> tuple[list[str], list[float]]:
    """Return class names and probabilities, in the same order.

    This project's endpoint names its classes, `{"labels": [...], "probabilities": [...]}`; the built-in
    image-classification algorithm answers a bare list of probabilities, of `class_names`.

    Raises:
        InvalidAnswerError: not JSON of either form, or not finite numbers in [0, 1] with sum 1.
        ClassCountMismatchError: different numbers of names and probabilities.
    """
    try:
        answer = json.loads(body)
        if isinstance(answer, dict):
            class_names, answer = answer["labels"], answer["probabilities"]
    except (ValueError, KeyError, RecursionError) as error:
        raise InvalidAnswerError(f"not JSON with labels and probabilities: {body[:200]!r}") from error
    if not is_distribution(answer):
        raise InvalidAnswerError(f"not probabilities that sum to 1: {body[:200]!r}")
    if not isinstance(class_names, list) or not all(isinstance(name, str) and name.strip() for name in class_names):
        raise InvalidAnswerError(f"labels are not a list of names: {body[:200]!r}")
    if not len(class_names) == len(set(class_names)) == len(answer):
        raise ClassCountMismatchError(
            f"{len(answer)} probabilities for the classes {class_names}: for an endpoint that "
            "answers a bare list, deploy with ClassNames in the order it was trained with"
        )
    return class_names, [float(p) for p in answer]


def is_distribution(answer: object) -> bool:
    """Tell whether the answer is a list of numbers in [0, 1] with sum 1."""
    return (
        isinstance(answer, list)
        and all(isinstance(p, int | float) and not isinstance(p, bool) for p in answer)
        and all(0 <= p <= 1 for p in answer)  # false for NaN and infinity
        and abs(sum(answer) - 1) <= SUM_TOLERANCE
    )


def classify(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event without the picture, and with a probability for every class."""
    try:
        endpoint, content_type = event["endpoint_name"], event["content_type"]
    except KeyError as error:
        raise InvalidInputError(f"needs endpoint_name and content_type: {error!r}") from error
    picture = picture_bytes(event)
    body = invoke(endpoint, picture, content_type, execution_name(event))
    class_names, inferences = read_answer(body, event.get("class_names", []))
    logger.info(
        "picture classified",
        s3_bucket=event.get("s3_bucket"),
        s3_key=event.get("s3_key"),
        endpoint_name=endpoint,
        bytes=len(picture),
        inferences=inferences,
    )
    rest = {name: value for name, value in event.items() if name != "image_data"}
    return rest | {"inferences": inferences, "class_names": class_names}


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Classify the picture of the event; log the outcome under the execution's ARN."""
    if not isinstance(event, dict):
        raise InvalidInputError(f"the event must be an object, not {event!r}")
    logger.set_correlation_id(event.get("execution_arn"))
    try:
        return classify(event)
    except Exception:
        logger.exception("picture not classified")
        raise
