"""Read the version of a picture that a question or a label is about."""

from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from common.s3_picture import S3Picture

MOST_BYTES = 6 * 1024 * 1024  # the workflow's limit: functions/serialize_image_data/app.py
GONE_CODES = {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed"}
TRANSIENT_CODES = {"SlowDown", "Throttling", "RequestTimeout", "TooManyRequests"}


class PictureGoneError(Exception):
    """This version cannot be read any more; the message is a sentence."""


class PictureRefusedError(Exception):
    """S3 refuses this version now, to this person; the message is a sentence."""


def read_version(s3: Any, picture: S3Picture) -> bytes:
    """Return the bytes of this version, or of the newest one if the picture has no version.

    Raises PictureGoneError, PictureRefusedError, and botocore's errors if a retry may help.
    """
    version = {"VersionId": picture.version_id} if picture.version_id else {}
    try:
        answer = s3.get_object(Bucket=picture.bucket, Key=picture.key, **version)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in TRANSIENT_CODES or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise
        if code in GONE_CODES:
            raise PictureGoneError("It is gone: this version was deleted from S3.") from error
        if code == "AccessDenied":
            reason = "You may not read it: ask for s3:GetObjectVersion."
        else:
            reason = f"S3 refuses it ({code}: {error.response['Error'].get('Message', '')})."
        raise PictureRefusedError(reason) from error
    except ParamValidationError as error:
        raise PictureGoneError("Its bucket or key is not valid in S3.") from error
    if answer["ContentLength"] > MOST_BYTES:
        raise PictureGoneError(f"It has {answer['ContentLength']:,} bytes, more than the workflow accepts.")
    content: bytes = answer["Body"].read()
    return content
