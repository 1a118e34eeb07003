"""Serialize Image Data: read a picture from S3 into the workflow's state.

Takes  {"s3_bucket": "...", "s3_key": "inbox/a b+c.png"[, "s3_version_id": "..."], ...}
Adds   {"content_type": "image/png", "image_data": "<base64 text>", "s3_version_id": "..."}

A picture too large for the state's payload travels by reference: its `image_data` is empty, and the next function reads
it from S3. Files that are not pictures, or too large to decode, are rejected by their headers, before they cost a call
of the endpoint.
"""

import base64
import json
import re
import struct
import zlib
from typing import Any, NamedTuple

import boto3
from aws_lambda_powertools.logging import Logger
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

# The maximum body of InvokeEndpoint (botocore's model, BodyBlob max 6291456).
MAX_PICTURE_BYTES = 6 * 1024 * 1024
# A state's payload is at most 262,144 bytes; 16 KiB are for response metadata, endpoint name and class names.
MAX_RESULT_BYTES = 262_144 - 16 * 1024
# The endpoint's limits; training/container/picture_model/network.py has the reasons, and the same numbers.
MAX_PIXELS = 25_000_000
MAX_SCANS = 100
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
# JPEG's markers (ITU-T T.81, table B.1). 0xff00 is a stuffed data byte and 0xffff a fill byte. Markers below SOF0, and
# RST0 to SOI, have no length; all others do.
JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])")
SOF, SOI, EOI, SOS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}, 0xD8, 0xD9, 0xDA
STAND_ALONE = {*range(0x01, 0xC0), *range(0xD0, SOI + 1)}
# No answer or an incomplete one, because of the network.
NO_ANSWER = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError)

logger = Logger(service="serialize_image_data")
# At most 2 attempts of 2 + 5 s and a pause: well within the function's timeout.
s3 = boto3.client(
    "s3",
    config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}),
)


class InvalidInputError(Exception):
    """The execution's input does not name a picture, or is too large for the state's payload."""


class PictureNotFoundError(Exception):
    """The object, or this version of it, does not exist."""


class PictureAccessDeniedError(Exception):
    """The function may not read the object."""


class PictureStoreUnavailableError(Exception):
    """S3 is temporarily unavailable. The state machine retries this error."""


class EmptyPictureError(Exception):
    """The object has no bytes."""


class PictureTooLargeError(Exception):
    """The object has more bytes, pixels or scans than the endpoint accepts."""


class NotAPictureError(Exception):
    """The object is neither a PNG nor a JPEG, or its header cannot be read."""


class AnimatedPictureError(Exception):
    """The object has several frames, any of which may show the vehicle."""


class Header(NamedTuple):
    """The header of a picture: sizes in pixels, frames of an animation, and the scans that decoding takes."""

    media_type: str
    width: int
    height: int
    frames: int = 1
    scans: int = 1


def location(event: dict[str, Any]) -> dict[str, Any]:
    """Return GetObject's parameters for the picture of the event. Raises InvalidInputError."""
    names = {"Bucket": "s3_bucket", "Key": "s3_key", "VersionId": "s3_version_id"}
    found = {parameter: event[name] for parameter, name in names.items() if event.get(name)}
    if not {"Bucket", "Key"} <= set(found) or not all(isinstance(v, str) for v in found.values()):
        raise InvalidInputError(
            'start the workflow with {"s3_bucket": "...", "s3_key": "..."}, both not empty; '
            f"it got the fields {sorted(event)}"
        )
    return found


def read_picture(picture: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return the object's bytes and the field with its version, which a bucket without versioning lacks.

    Raises:
        InvalidInputError: the bucket name or key is invalid.
        PictureNotFoundError, PictureAccessDeniedError, PictureStoreUnavailableError: by the answer of S3.
        EmptyPictureError, PictureTooLargeError: by the size, before the bytes are read.
    """
    where = f"s3://{picture['Bucket']}/{picture['Key']}"
    try:
        answer = s3.get_object(**picture)
        size = answer["ContentLength"]
        if size == 0:
            raise EmptyPictureError(f"{where} has 0 bytes: upload the picture again")
        if size > MAX_PICTURE_BYTES:
            raise PictureTooLargeError(
                f"{where} has {size:,} bytes, the endpoint takes {MAX_PICTURE_BYTES:,}: upload a smaller picture"
            )
        version = {"s3_version_id": answer["VersionId"]} if answer.get("VersionId") else {}
        return answer["Body"].read(), version
    except ParamValidationError as error:
        raise InvalidInputError(f"{where} is not a valid S3 location: {error}") from error
    except NO_ANSWER as error:
        raise PictureStoreUnavailableError(f"reading {where}: {error}") from error
    except ClientError as error:
        raise s3_error(error, where) from error


def s3_error(error: ClientError, where: str) -> Exception:
    """Return the named error for an error answer of S3."""
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    # MethodNotAllowed: the requested version is a delete marker
    if code in {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed"}:
        return PictureNotFoundError(f"{where} does not exist ({code}): was it deleted or misspelt?")
    if code == "AccessDenied":
        return PictureAccessDeniedError(
            f"{where} may not be read ({code}): the function's role reads the stack's bucket only"
        )
    if code in {"SlowDown", "Throttling", "RequestTimeout"} or status >= 500:
        return PictureStoreUnavailableError(f"reading {where}: {error}")
    return InvalidInputError(f"S3 refused {where}: {error}")


def png_header(picture: bytes) -> Header:
    """Read the chunks before the pixels (ISO/IEC 15948, and APNG's acTL and fcTL).

    Raises ValueError or struct.error if they are cut off or invalid.
    """
    length, kind, width, height = struct.unpack_from(">I4sII", picture, 8)
    (checksum,) = struct.unpack_from(">I", picture, 29)
    if (length, kind) != (13, b"IHDR") or zlib.crc32(picture[12:29]) != checksum:
        raise ValueError("it does not begin with a valid IHDR chunk")
    if not 0 < width < 2**31 or not 0 < height < 2**31:
        raise ValueError(f"its size is {width}x{height} pixels")
    frames, frame_controls, position = 0, 0, 33
    while kind != b"IDAT":
        length, kind = struct.unpack_from(">I4s", picture, position)
        if kind in {b"IHDR", b"IEND"}:
            raise ValueError(f"there is an {kind.decode()} chunk where its pixels should begin")
        if kind == b"acTL":
            frames = int.from_bytes(picture[position + 8 : position + 8 + min(length, 4)])
        frame_controls += kind == b"fcTL"
        position += 12 + length
    if frames and not frame_controls:
        frames += 1  # the first picture is then not part of the animation
    return Header("image/png", width, height, frames=max(frames, 1))


def jpeg_header(picture: bytes) -> Header:
    """Read the markers (ITU-T T.81, annex B) without decoding the scans.

    Raises ValueError if it is cut off before its first scan, has no size, or has two.
    """
    width = height = scans = 0
    position = 2
    while (found := JPEG_MARKER.search(picture, position)) and (marker := found[1][0]) != EOI:
        position = found.end()
        if marker in STAND_ALONE:
            continue
        segment = picture[position : position + 2]
        position += int.from_bytes(segment)
        if len(segment) < 2 or position > len(picture):
            break
        if marker in SOF and width:
            raise ValueError("it gives its size twice")
        if marker in SOF:
            height, width = struct.unpack_from(">HH", picture, found.end() + 3)
        scans += marker == SOS
    if not scans or not width or not height:
        raise ValueError(f"it ends after {scans} scans of {width}x{height} pixels")
    return Header("image/jpeg", width, height, scans=scans)


def read_header(picture: bytes, where: str) -> Header:
    """Read the picture's header. Raises NotAPictureError if it is invalid, or neither PNG nor JPEG."""
    readers = {PNG_SIGNATURE: png_header, JPEG_SIGNATURE: jpeg_header}
    for signature, reader in readers.items():
        if picture.startswith(signature):
            try:
                return reader(picture)
            except struct.error as error:
                raise NotAPictureError(
                    f"{where} is cut off after {len(picture):,} bytes, in its header: upload the picture again"
                ) from error
            except ValueError as error:
                raise NotAPictureError(
                    f"{where} has an unreadable header ({error}): upload the picture again"
                ) from error
    raise NotAPictureError(
        f"{where} is neither PNG nor JPEG (it starts with {picture[:8]!r}): convert it and upload it again"
    )


def check_header(header: Header, where: str) -> None:
    """Raise AnimatedPictureError or PictureTooLargeError for a picture that the endpoint would refuse."""
    if header.frames > 1:
        raise AnimatedPictureError(f"{where} has {header.frames:,} frames: upload the one that shows the vehicle")
    if header.width * header.height > MAX_PIXELS:
        raise PictureTooLargeError(
            f"{where} has {header.width:,}x{header.height:,} pixels, the endpoint takes "
            f"{MAX_PIXELS:,}: scale the picture down"
        )
    if header.scans > MAX_SCANS:
        raise PictureTooLargeError(
            f"{where} has {header.scans:,} scans, the endpoint takes {MAX_SCANS}: save the picture as an ordinary JPEG"
        )


def fits(result: dict[str, Any]) -> bool:
    """Tell whether the result fits into the state's payload."""
    text = json.dumps(result, ensure_ascii=False)
    return len(text.encode("utf-8", "surrogatepass")) <= MAX_RESULT_BYTES


def serialize(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event with the picture's type and, if they fit, its bytes as base64 text."""
    picture = location(event)
    body, version = read_picture(picture)
    where = f"s3://{picture['Bucket']}/{picture['Key']}"
    header = read_header(body, where)
    check_header(header, where)
    image_data = base64.b64encode(body).decode("ascii")
    result = event | version | {"content_type": header.media_type, "image_data": image_data}
    by_reference = not fits(result)
    if by_reference:
        result["image_data"] = ""
        if not fits(result):
            raise InvalidInputError(
                f"the input's own fields have more than {MAX_RESULT_BYTES:,} bytes, too many for the state's "
                "payload: leave out what is not needed"
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


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Serialize the picture of the event; log the outcome under the execution's ARN."""
    if not isinstance(event, dict):
        raise InvalidInputError(f"the input must be a JSON object, not {type(event).__name__}")
    logger.set_correlation_id(event.get("execution_arn"))
    try:
        return serialize(event)
    except Exception:
        logger.exception("picture not read")
        raise
