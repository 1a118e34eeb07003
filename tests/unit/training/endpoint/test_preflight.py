"""Each check raises a named error whose message says what to do."""

import json

import pytest

from tests.unit.aws_stubs import ACCOUNT, REGION, Body, stubbed
from training.endpoint.preflight import (
    BucketKeyError,
    CheckpointsUnusableError,
    InstanceTypeUnknownError,
    ModelDataMissingError,
    StagedDataMissingError,
    check_checkpoints,
    check_encryption,
    check_instance_type,
    check_model_data,
    read_manifest,
    read_quotas,
)

QUOTA = "ml.m5.large for endpoint usage"
COUNTS = {split: {"bicycle": 8, "motorcycle": 8} for split in ("train", "validation", "test")}


def encryption(**default):
    rule = {"ApplyServerSideEncryptionByDefault": default}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


@pytest.mark.parity("s3-encryption")
def test_check_encryption_with_a_key_of_the_account_fails():
    s3, stubber = stubbed("s3")
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k"
    answer = encryption(SSEAlgorithm="aws:kms", KMSMasterKeyID=key)
    stubber.add_response("get_bucket_encryption", answer, {"Bucket": "b"})
    with pytest.raises(BucketKeyError, match=rf"key {key}, .*kms:GenerateDataKey on it with --role"):
        check_encryption(s3, "b")


def test_default_and_unknown_encryption_pass():
    s3, stubber = stubbed("s3")
    stubber.add_response("get_bucket_encryption", encryption(SSEAlgorithm="AES256"))
    stubber.add_response("get_bucket_encryption", encryption(SSEAlgorithm="aws:kms"))
    stubber.add_client_error("get_bucket_encryption", "AccessDenied")
    for _ in range(3):
        check_encryption(s3, "b")


@pytest.mark.parametrize(
    ("name", "trains", "message"),
    [
        ("ml.t2.medium", True, r"--x ml\.t2\.medium: SageMaker does not train on it\. .*as ml\."),
        ("ml.m5.larg", False, r"--x ml\.m5\.larg: SageMaker does not serve on it\. .*m5\.large"),
        ("ml.none.at-all", False, r"Choose another\.$"),
    ],
)
def test_check_instance_type_with_unknown_type_fails(name, trains, message):
    sagemaker, _ = stubbed("sagemaker")
    with pytest.raises(InstanceTypeUnknownError, match=message):
        check_instance_type(sagemaker, name, trains=trains, option="--x")
    check_instance_type(sagemaker, "ml.m5.large", trains=trains, option="--x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((content, "is not a manifest: run") for content in (b"not JSON", b"[]", b'{"counts": 3}', b"{}")),
        *(
            (json.dumps({"counts": COUNTS | {split: {"bicycle": 0}}}).encode(), f"counts no pictures for {split}")
            for split in COUNTS
        ),
    ],
)
def test_read_manifest_with_invalid_content_fails(content, message):
    s3, stubber = stubbed("s3")
    stubber.add_response("get_object", {"Body": Body(content)}, {"Bucket": "b", "Key": "staged/manifest.json"})
    with pytest.raises(StagedDataMissingError, match=message):
        read_manifest(s3, "b")


MODEL, CHECKPOINTS = (check_model_data, ModelDataMissingError), (check_checkpoints, CheckpointsUnusableError)


@pytest.mark.parametrize(
    ("check", "uri", "message"),
    [
        *((MODEL, uri, r"give s3://BUCKET/KEY\.tar\.gz") for uri in ("m.tar.gz", "https://b/m.tar.gz", "s3://b/model")),
        *(
            (CHECKPOINTS, uri, r"give s3://BUCKET/PREFIX")
            for uri in ("checkpoints/job", "https://b/checkpoints", "s3://b", "s3://b/")
        ),
        (MODEL, "s3://elsewhere/model.tar.gz", r"reads only s3://b/.*--role"),
        (CHECKPOINTS, "s3://elsewhere/checkpoints/job", r"reads only s3://b/.*--role"),
    ],
)
def test_unusable_address_of_model_data_or_checkpoints_is_refused(check, uri, message):
    function, error = check
    with pytest.raises(error, match=message):
        function(None, uri, "b", own_role=True)


def test_check_model_data_without_object_fails():
    s3, stubber = stubbed("s3")
    expected = {"Bucket": "elsewhere", "Key": "a/model.tar.gz"}
    stubber.add_client_error("head_object", "404", "Not Found", expected_params=expected)
    with pytest.raises(ModelDataMissingError, match=r"cannot be read \(Not Found\)"):
        check_model_data(s3, "s3://elsewhere/a/model.tar.gz", "b", own_role=False)


def test_check_checkpoints_without_objects_or_permission_fails():
    s3, stubber = stubbed("s3")
    expected = {"Bucket": "elsewhere", "Prefix": "checkpoints/job/", "MaxKeys": 1}
    uri = "s3://elsewhere/checkpoints/job/"
    stubber.add_response("list_objects_v2", {}, expected)
    with pytest.raises(CheckpointsUnusableError, match=r"there is nothing.*to train from the start"):
        check_checkpoints(s3, uri, "b", own_role=False)
    stubber.add_client_error("list_objects_v2", "AccessDenied", "Access Denied")
    with pytest.raises(CheckpointsUnusableError, match=r"cannot be read \(Access Denied\)"):
        check_checkpoints(s3, uri, "b", own_role=False)
    stubber.add_response("list_objects_v2", {"Contents": [{"Key": "k"}]}, expected)
    check_checkpoints(s3, uri, "b", own_role=False)


@pytest.mark.parity("service-quotas")
def test_read_quotas_stops_at_the_page_with_the_last_quota():
    client, stubber = stubbed("service-quotas")
    other = {"QuotaName": "something else", "Value": 1.0, "QuotaCode": "L-0"}
    found = {"QuotaName": QUOTA, "Value": 2.0, "QuotaCode": "L-2"}
    asked = {"ServiceCode": "sagemaker"}
    stubber.add_response("list_service_quotas", {"Quotas": [other], "NextToken": "2"}, asked)
    stubber.add_response("list_service_quotas", {"Quotas": [found], "NextToken": "3"}, {**asked, "NextToken": "2"})
    assert read_quotas(client, {QUOTA}) == {QUOTA: (2.0, "L-2")}


def test_read_quotas_without_permission_returns_nothing():
    client, stubber = stubbed("service-quotas")
    stubber.add_client_error("list_service_quotas", "AccessDeniedException", "no")
    assert read_quotas(client, {"q"}) == {}
