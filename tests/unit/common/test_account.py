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


class SilentSts:
    """Raises what botocore raises before or instead of an answer."""

    def __init__(self, error):
        self.error = error

    def get_caller_identity(self):
        raise self.error


def test_no_region():
    with pytest.raises(RegionMissingError, match="export AWS_DEFAULT_REGION"):
        check_region(StubbedSession(region=None))


def test_no_credentials():
    with pytest.raises(CredentialsError, match="export AWS_ACCESS_KEY_ID"):
        check_credentials(SilentSts(NoCredentialsError()))


@pytest.mark.parity("sts-identity")
def test_credentials_that_aws_refuses():
    sts, stubber = stubbed("sts")
    stubber.add_client_error("get_caller_identity", "ExpiredToken", "The token is expired")
    with pytest.raises(CredentialsError, match=r"does not accept .*The token is expired.*log in"):
        check_credentials(sts)


def test_aws_out_of_reach():
    error = EndpointConnectionError(endpoint_url="http://127.0.0.1:4566/")
    with pytest.raises(CredentialsError, match=r"127\.0\.0\.1:4566.*python -m local status"):
        check_credentials(SilentSts(error))


@pytest.mark.parity("sts-identity")
def test_the_caller_is_read_with_its_partition():
    sts, stubber = stubbed("sts")
    arn = f"arn:aws-cn:iam::{ACCOUNT}:user/me"
    stubber.add_response("get_caller_identity", {"Account": ACCOUNT, "Arn": arn, "UserId": "U"})
    assert check_credentials(sts) == Caller(ACCOUNT, arn, "aws-cn")


@pytest.mark.parity("s3-bucket-name", "s3-wrong-region")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("404", "does not exist: run `python -m training.stage_data` first"),
        ("403", "You may not open the bucket b: ask for s3:ListBucket"),
        ("301", f"is in another region, and a SageMaker job of {REGION} cannot read it"),
    ],
)
def test_a_bucket_that_cannot_be_used(code, message):
    s3, stubber = stubbed("s3")
    stubber.add_client_error("head_bucket", code, http_status_code=int(code))
    with pytest.raises(BucketUnreachableError, match=message):
        check_bucket(s3, "b", REGION)


@pytest.mark.parity("s3-wrong-region")
def test_a_bucket_of_another_region_is_named_with_its_region():
    s3, stubber = stubbed("s3")
    headers = {"HTTPHeaders": {"x-amz-bucket-region": "us-east-2"}}
    stubber.add_response("head_bucket", {"ResponseMetadata": headers}, {"Bucket": "b"})
    with pytest.raises(BucketUnreachableError, match="b is in us-east-2"):
        check_bucket(s3, "b", REGION)


def encryption(**default):
    rule = {"ApplyServerSideEncryptionByDefault": default}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
