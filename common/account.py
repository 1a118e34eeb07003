"""Checks of region, credentials and training bucket, before anything costs money."""

from dataclasses import dataclass
from typing import Any

from botocore import exceptions

from common.errors import ExpectedError, none_if_missing


class RegionMissingError(ExpectedError):
    """No region is set."""


class CredentialsError(ExpectedError):
    """AWS credentials are missing, or AWS does not accept them."""


class BucketUnreachableError(ExpectedError):
    """The training bucket does not exist, is closed to the caller, or is in another region."""


@dataclass(frozen=True)
class Caller:
    """The caller's account (12 digits) and partition (aws, aws-cn, ...)."""

    account: str
    partition: str


def check_region(session: Any) -> str:
    """Return the session's region. Raises RegionMissingError."""
    if not session.region_name:
        raise RegionMissingError("No AWS region is set: export AWS_DEFAULT_REGION (for example us-east-1).")
    return str(session.region_name)


def check_credentials(sts: Any) -> Caller:
    """Return the caller's identity. Raises CredentialsError."""
    try:
        identity = sts.get_caller_identity()
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound) as error:
        raise CredentialsError(
            "No AWS credentials were found: export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
            " AWS_PROFILE with the name of a profile in ~/.aws."
        ) from error
    except (exceptions.CredentialRetrievalError, exceptions.ClientError) as error:
        raise CredentialsError(f"AWS does not accept the credentials ({error}): log in again.") from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        raise CredentialsError(
            f"AWS cannot be reached ({error}): check the network, the region's name and, on the"
            " laptop's AWS, that `python -m local status` says it is running."
        ) from error
    return Caller(account=str(identity["Account"]), partition=str(identity["Arn"]).split(":")[1])


def check_bucket(s3: Any, bucket: str, region: str) -> None:
    """Check that the bucket exists, that the caller may open it, and that it is in `region`.

    Raises BucketUnreachableError.
    """
    found = region
    try:
        headers = s3.head_bucket(Bucket=bucket)["ResponseMetadata"].get("HTTPHeaders", {})
        found = headers.get("x-amz-bucket-region", region)
    except exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            raise BucketUnreachableError(
                f"The bucket {bucket} does not exist: run `python -m training.stage_data` first,"
                " which makes it, or name yours with --bucket."
            ) from error
        if code in ("403", "AccessDenied"):
            raise BucketUnreachableError(
                f"You may not open the bucket {bucket}: ask for s3:ListBucket and s3:GetObject on"
                " it, or name another with --bucket."
            ) from error
        if code not in ("301", "PermanentRedirect"):
            raise
        found = "another region"
    if found != region:
        raise BucketUnreachableError(
            f"The bucket {bucket} is in {found}, and a SageMaker job of {region} cannot read it: set"
            " AWS_DEFAULT_REGION to the bucket's region, or name another with --bucket."
        )


def bucket_tags(s3: Any, bucket: str) -> list[dict[str, str]]:
    """Return the tags of a bucket, none if it has no tag set."""
    answer = none_if_missing(s3.get_bucket_tagging, "NoSuchTagSet", Bucket=bucket)
    return answer["TagSet"] if answer else []
