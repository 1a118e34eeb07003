"""Serialize Image Data: read one picture from S3 and put it into the workflow's state.

Takes  {"s3_bucket": "...", "s3_key": "inbox/a b+c.png"[, "s3_version_id": "..."], ...}
Adds   {"content_type": "image/png", "image_data": "<base64 text>", "s3_version_id": "..."}

A picture too large for the state's payload travels by reference: its `image_data` is empty, and the
classification function reads it again.

Files that are not pictures, and pictures too large to decode, are refused by their headers: no pixel is
decoded, and none of them costs a call of the endpoint.
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

# The body of InvokeEndpoint is at most 6 MiB (its botocore model, BodyBlob max 6291456).
MAX_PICTURE_BYTES = 6 * 1024 * 1024
# A state's payload is at most 262,144 bytes. 16 KiB of it stay free for what Step Functions and the
# next state put around ours: response metadata, endpoint name, class names.
MAX_RESULT_BYTES = 262_144 - 16 * 1024
# What the endpoint decodes; training/container/picture_model/network.py has the reasons, and the same numbers.
MAX_PIXELS = 25_000_000
MAX_SCANS = 100
# What the endpoint takes, by the bytes that such a file starts with (a file's name proves nothing).
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
# JPEG's markers (ITU-T T.81, table B.1). 0xff00 is a stuffed data byte and 0xffff a fill byte; all
# below SOF0, and RST0 to SOI, stand alone, every other one has a length behind it.
JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])")
SOF, SOI, EOI, SOS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}, 0xD8, 0xD9, 0xDA
STAND_ALONE = {*range(0x01, 0xC0), *range(0xD0, SOI + 1)}
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
    config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}),
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
    """The object has more bytes, pixels or scans than the endpoint takes."""


class NotAPictureError(Exception):
    """The object is neither a PNG nor a JPEG, or its header cannot be read."""


class AnimatedPictureError(Exception):
    """The object has several frames, and nothing says which of them shows the vehicle."""


class Header(NamedTuple):
    """What a picture's file says of it before the first pixel.

    Attributes:
        media_type: "image/png" or "image/jpeg".
        width: in pixels, at least 1.
        height: in pixels, at least 1.
        frames: pictures that are shown one after the other; 1 where nothing moves.
        scans: passes over all pixels that it takes to decode the file.
    """

    media_type: str
    width: int
    height: int
    frames: int = 1
    scans: int = 1


def location(event: dict[str, Any]) -> dict[str, Any]:
    """Return S3's own parameters for the picture that the event names.

    Raises:
        InvalidInputError: `s3_bucket` or `s3_key` is missing, or one of the three is not text.
    """
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
                f"{where} has {size:,} bytes, the endpoint takes {MAX_PICTURE_BYTES:,}: upload a smaller picture"
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
    # MethodNotAllowed: the version that was asked for is the mark of a deletion
    if code in {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed"}:
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


def png_header(picture: bytes) -> Header:
    """Read the chunks in front of the pixels (ISO/IEC 15948, and APNG's acTL and fcTL).

    Raises:
        ValueError, struct.error: they are cut off, or are not those of a PNG.
    """
    length, kind, width, height = struct.unpack_from(">I4sII", picture, 8)
    (checksum,) = struct.unpack_from(">I", picture, 29)
    if (length, kind) != (13, b"IHDR") or zlib.crc32(picture[12:29]) != checksum:
        raise ValueError("it does not begin with a sound IHDR chunk")
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
        frames += 1  # the first picture is then not one of those that move
    return Header("image/png", width, height, frames=max(frames, 1))


def jpeg_header(picture: bytes) -> Header:
    """Read the markers (ITU-T T.81, annex B); the scans are stepped over, not decoded.

    Raises:
        ValueError: it is cut off before its first scan, or has no size, or has two.
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
    """Return what the picture's header says.

    Raises:
        NotAPictureError: it is neither a PNG nor a JPEG, or there is no making sense of its header.
    """
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
    """Refuse what the endpoint would refuse, before anybody decodes it.

    Raises:
        AnimatedPictureError: it has several frames.
        PictureTooLargeError: it has too many pixels, or scans.
    """
    if header.frames > 1:
        raise AnimatedPictureError(f"{where} has {header.frames:,} frames: upload the one that shows the vehicle")
    if header.width * header.height > MAX_PIXELS:
        raise PictureTooLargeError(
            f"{where} has {header.width:,}x{header.height:,} pixels, the endpoint takes "
            f"{MAX_PIXELS:,} of them: scale the picture down"
        )
    if header.scans > MAX_SCANS:
        raise PictureTooLargeError(
            f"{where} goes over its pixels in {header.scans:,} scans, the endpoint takes "
            f"{MAX_SCANS}: save the picture as an ordinary JPEG"
        )


def fits(result: dict[str, Any]) -> bool:
    """Tell whether Step Functions can carry the result from state to state."""
    text = json.dumps(result, ensure_ascii=False)
    return len(text.encode("utf-8", "surrogatepass")) <= MAX_RESULT_BYTES


def serialize(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event with the picture's type and, if they fit, its bytes as base64 text."""
    picture = location(event)
    body, version = read_picture(picture)
    where = f"s3://{picture['Bucket']}/{picture['Key']}"
    header = read_header(body, where)
    check_header(header, where)
    result = event | version
    result |= {
        "content_type": header.media_type,
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


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return what `serialize` makes of the event; log its failure under the execution's id too."""
    if not isinstance(event, dict):
        raise InvalidInputError(f"the input must be a JSON object, not {type(event).__name__}")
    logger.set_correlation_id(event.get("execution_arn"))
    try:
        return serialize(event)
    except Exception:
        logger.exception("picture not read")
        raise
