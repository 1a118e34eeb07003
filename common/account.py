"""The account, its region and its training bucket: checks before anything costs money."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as AwsConnectionError,
)

from common.errors import ExpectedError


class RegionMissingError(ExpectedError):
    """No region is set."""


class CredentialsError(ExpectedError):
    """There are no AWS credentials, or AWS does not accept them."""


class BucketUnreachableError(ExpectedError):
    """The training bucket is missing, closed to the caller, or in another region."""


@dataclass(frozen=True)
class Caller:
    """Who AWS says is asking: account (12 digits), ARN, and partition (aws, aws-cn, ...)."""

    account: str
    arn: str
    partition: str


def check_region(session: Any) -> str:
    """Return the session's region."""
    if not session.region_name:
        raise RegionMissingError("No AWS region is set: export AWS_DEFAULT_REGION (for example us-east-1).")
    return str(session.region_name)


def check_credentials(sts: Any) -> Caller:
    """Ask STS who is calling."""
    try:
        identity = sts.get_caller_identity()
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise CredentialsError(
            "No AWS credentials were found: export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
            " AWS_PROFILE with the name of a profile in ~/.aws."
        ) from error
    except (CredentialRetrievalError, ClientError) as error:
        raise CredentialsError(f"AWS does not accept the credentials ({error}): log in again.") from error
    except (AwsConnectionError, HTTPClientError) as error:
        raise CredentialsError(
            f"AWS cannot be reached ({error}): check the network, the region's name and, on the"
            " laptop's AWS, that `python -m local status` says it is running."
        ) from error
    arn = str(identity["Arn"])
    return Caller(account=str(identity["Account"]), arn=arn, partition=arn.split(":")[1])


def check_bucket(s3: Any, bucket: str, region: str) -> None:
    """Check that the bucket is there, open to the caller, and in the region of the job."""
    try:
        headers = s3.head_bucket(Bucket=bucket)["ResponseMetadata"].get("HTTPHeaders", {})
    except ClientError as error:
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
        if code in ("301", "PermanentRedirect"):
            raise BucketUnreachableError(_wrong_region(bucket, "another region", region)) from error
        raise
    where = headers.get("x-amz-bucket-region", region)
    if where != region:
        raise BucketUnreachableError(_wrong_region(bucket, where, region))


def _wrong_region(bucket: str, where: str, region: str) -> str:
    return (
        f"The bucket {bucket} is in {where}, and a SageMaker job of {region} cannot read it: set"
        " AWS_DEFAULT_REGION to the bucket's region, or name another with --bucket."
    )
