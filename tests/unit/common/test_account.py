"""Region, credentials and bucket: each check raises one named error that says what to do."""

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from common.account import (
    BucketUnreachableError,
    Caller,
    CredentialsError,
    RegionMissingError,
    check_bucket,
    check_credentials,
    check_region,
)
from tests.unit.aws_stubs import ACCOUNT, REGION, StubbedSession, stubbed


def test_check_region_without_region_fails():
    with pytest.raises(RegionMissingError, match="export AWS_DEFAULT_REGION"):
        check_region(StubbedSession(region=None))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (NoCredentialsError(), "export AWS_ACCESS_KEY_ID"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:4566/"), r"127\.0\.0\.1:4566.*python -m local status"),
    ],
)
def test_check_credentials_without_credentials_or_connection_fails(error, message):
    class Sts:
        def get_caller_identity(self):
            raise error

    with pytest.raises(CredentialsError, match=message):
        check_credentials(Sts())


@pytest.mark.parity("sts-identity")
def test_check_credentials_that_aws_refuses_fails():
    sts, stubber = stubbed("sts")
    stubber.add_client_error("get_caller_identity", "ExpiredToken", "The token is expired")
    with pytest.raises(CredentialsError, match=r"does not accept .*The token is expired.*log in"):
        check_credentials(sts)


@pytest.mark.parity("sts-identity")
def test_check_credentials_returns_the_caller_with_its_partition():
    sts, stubber = stubbed("sts")
    arn = f"arn:aws-cn:iam::{ACCOUNT}:user/me"
    stubber.add_response("get_caller_identity", {"Account": ACCOUNT, "Arn": arn, "UserId": "U"})
    assert check_credentials(sts) == Caller(ACCOUNT, "aws-cn")


@pytest.mark.parity("s3-bucket-name", "s3-wrong-region")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("404", "does not exist: run `python -m training.stage_data` first"),
        ("403", "You may not open the bucket b: ask for s3:ListBucket"),
        ("301", f"is in another region, and a SageMaker job of {REGION} cannot read it"),
    ],
)
def test_check_bucket_that_cannot_be_used_fails(code, message):
    s3, stubber = stubbed("s3")
    stubber.add_client_error("head_bucket", code, http_status_code=int(code))
    with pytest.raises(BucketUnreachableError, match=message):
        check_bucket(s3, "b", REGION)


@pytest.mark.parity("s3-wrong-region")
def test_check_bucket_in_another_region_names_the_region():
    s3, stubber = stubbed("s3")
    headers = {"HTTPHeaders": {"x-amz-bucket-region": "us-east-2"}}
    stubber.add_response("head_bucket", {"ResponseMetadata": headers}, {"Bucket": "b"})
    with pytest.raises(BucketUnreachableError, match="b is in us-east-2"):
        check_bucket(s3, "b", REGION)
