"""Read the very version of a picture that a question or a label is about."""

from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from common.s3_picture import Picture

MOST_BYTES = 6 * 1024 * 1024  # what the workflow takes: functions/serialize_image_data/app.py
GONE_CODES = {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed"}
LATER_CODES = {"SlowDown", "Throttling", "RequestTimeout", "TooManyRequests"}


class PictureGoneError(Exception):
    """Nobody will ever get this version. Says why in a sentence."""


class PictureRefusedError(Exception):
    """S3 does not give this version now, to this person. Says why in a sentence."""


def read_version(s3: Any, picture: Picture) -> bytes:
    """Return the bytes of that version, of the newest one where none is named.

    Raises PictureGoneError, PictureRefusedError, and botocore's errors where asking again may help.
    """
    version = {"VersionId": picture.version_id} if picture.version_id else {}
    try:
        answer = s3.get_object(Bucket=picture.bucket, Key=picture.key, **version)
        size = answer["ContentLength"]
        if size > MOST_BYTES:
            raise PictureGoneError(f"It has {size:,} bytes, too many to be one of ours.")
        content: bytes = answer["Body"].read()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in LATER_CODES or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise
        if code in GONE_CODES:
            raise PictureGoneError("It is gone: this version was deleted from S3.") from error
        if code == "AccessDenied":
            reason = "You may not read it: ask for s3:GetObjectVersion."
        else:
            reason = f"S3 refuses it ({code}: {error.response['Error'].get('Message', '')})."
        raise PictureRefusedError(reason) from error
    except ParamValidationError as error:
        raise PictureGoneError("Its place is no possible one in S3.") from error
    return content
