"""Serialize Image Data: read one picture from S3 and put it into the workflow's state.

Takes  {"s3_bucket": "...", "s3_key": "inbox/a b+c.png"[, "s3_version_id": "..."], ...}
Adds   {"content_type": "image/png", "image_data": "<base64 text>", "s3_version_id": "..."}

A picture too big for the state's payload goes on by reference: its `image_data` is empty, and the
classification function reads it again.
"""

import base64
import json
from typing import Any

import boto3
from aws_lambda_powertools.logging import Logger
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

# The body of InvokeEndpoint is at most 6 MiB (its botocore model, BodyBlob max 6291456).
MAX_PICTURE_BYTES = 6 * 1024 * 1024
# A state's payload is at most 262,144 bytes. 16 KiB of it stay free for what Step Functions and the
# next state put around ours: response metadata, endpoint name, class names.
MAX_RESULT_BYTES = 262_144 - 16 * 1024
# What the endpoint takes, by the bytes that such a file starts with (a file's name proves nothing).
SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
# No answer, or half of one: the network's doing, not the service's.
NO_ANSWER = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
)

logger = Logger(service="serialize_image_data")
# At worst 2 attempts of 2 + 5 s and a pause: well inside the function's timeout.
s3 = boto3.client(
    "s3",
    config=Config(
        connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
    ),
)


class InvalidInputError(Exception):
    """The execution's input does not name a picture, or is too big to travel."""


class PictureNotFoundError(Exception):
    """There is no such object, or no such version of it."""


class PictureAccessDeniedError(Exception):
    """The function may not read the object."""


class PictureStoreUnavailableError(Exception):
    """S3 did not answer now; asking again may help. The state machine retries this name."""


class EmptyPictureError(Exception):
    """The object has no bytes."""


class PictureTooLargeError(Exception):
    """The object has more bytes than the endpoint takes."""


class NotAPictureError(Exception):
    """The object's first bytes are those of neither a PNG nor a JPEG."""


def location(event: dict[str, Any]) -> dict[str, Any]:
    """Return S3's own parameters for the picture that the event names.

    Raises:
        InvalidInputError: `s3_bucket` or `s3_key` is missing, or one of the three is not text.
    """
    if not isinstance(event, dict):
        raise InvalidInputError(f"the input must be a JSON object, not {type(event).__name__}")
    names = {"Bucket": "s3_bucket", "Key": "s3_key", "VersionId": "s3_version_id"}
    found = {parameter: event[name] for parameter, name in names.items() if event.get(name)}
    if not {"Bucket", "Key"} <= set(found) or not all(isinstance(v, str) for v in found.values()):
        raise InvalidInputError(
            'start the workflow with {"s3_bucket": "...", "s3_key": "..."}, both not empty; '
            f"it got the fields {sorted(event)}"
        )
    return found


def read_picture(picture: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return the object's bytes, at most `MAX_PICTURE_BYTES`, and the field with its version.

    A bucket without versioning gives no version, and no field.

    Raises:
        InvalidInputError: S3 would not take such a bucket name or key.
        PictureNotFoundError, PictureAccessDeniedError, PictureStoreUnavailableError: S3 said so.
        EmptyPictureError, PictureTooLargeError: found out before the bytes are fetched.
    """
    where = f"s3://{picture['Bucket']}/{picture['Key']}"
    try:
        answer = s3.get_object(**picture)
        size = answer["ContentLength"]
        if size == 0:
            raise EmptyPictureError(f"{where} has 0 bytes: upload the picture again")
        if size > MAX_PICTURE_BYTES:
            raise PictureTooLargeError(
                f"{where} has {size:,} bytes, the endpoint takes {MAX_PICTURE_BYTES:,}: "
                "upload a smaller picture"
            )
        version = {"s3_version_id": answer["VersionId"]} if answer.get("VersionId") else {}
        return answer["Body"].read(), version
    except ParamValidationError as error:
        raise InvalidInputError(f"{where} is no possible S3 location: {error}") from error
    except NO_ANSWER as error:
        raise PictureStoreUnavailableError(f"reading {where}: {error}") from error
    except ClientError as error:
        raise named(error, where) from error


def named(error: ClientError, where: str) -> Exception:
    """Return the error that the state machine knows for what S3 answered."""
    code = error.response["Error"]["Code"]
    if code in {"NoSuchKey", "NoSuchVersion", "NoSuchBucket"}:
        return PictureNotFoundError(f"{where} does not exist ({code}): was it deleted or misspelt?")
    if code == "AccessDenied":
        return PictureAccessDeniedError(
            f"{where} may not be read ({code}): the function's role reads the stack's bucket only"
        )
    if code in {"SlowDown", "Throttling", "RequestTimeout"} or status(error) >= 500:
        return PictureStoreUnavailableError(f"reading {where}: {error}")
    return InvalidInputError(f"S3 refused {where}: {error}")


def status(error: ClientError) -> int:
    """Return the HTTP status of the answer."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def content_type(picture: bytes, where: str) -> str:
    """Return the picture's media type, told from its first bytes.

    Raises:
        NotAPictureError: it is neither a PNG nor a JPEG.
    """
    for signature, media_type in SIGNATURES.items():
        if picture.startswith(signature):
            return media_type
    raise NotAPictureError(
        f"{where} is neither PNG nor JPEG (it starts with {picture[:8]!r}): "
        "convert it and upload it again"
    )


def fits(result: dict[str, Any]) -> bool:
    """Tell whether Step Functions can carry the result from state to state."""
    text = json.dumps(result, ensure_ascii=False)
    return len(text.encode("utf-8", "surrogatepass")) <= MAX_RESULT_BYTES


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return the event with the picture's type and, if they fit, its bytes as base64 text."""
    picture = location(event)
    body, version = read_picture(picture)
    result = event | version
    result |= {
        "content_type": content_type(body, f"s3://{picture['Bucket']}/{picture['Key']}"),
        "image_data": base64.b64encode(body).decode("ascii"),
    }
    by_reference = not fits(result)
    if by_reference:
        result["image_data"] = ""
        if not fits(result):
            raise InvalidInputError(
                f"the input's own fields fill more than {MAX_RESULT_BYTES:,} bytes, which Step "
                "Functions cannot carry from state to state: leave out what is not needed"
            )
    logger.info(
        "picture read",
        s3_bucket=picture["Bucket"],
        s3_key=picture["Key"],
        bytes=len(body),
        content_type=result["content_type"],
        by_reference=by_reference,
    )
    return result
