"""What would fail late is said first."""

import json

import pytest

from tests.unit.aws_stubs import ACCOUNT, REGION, Body, stubbed
from training.endpoint.preflight import (
    BucketKeyError,
    CheckpointsUnusableError,
    InstanceTypeUnknownError,
    ModelDataMissingError,
    QuotaExceededError,
    StagedDataMissingError,
    check_checkpoints,
    check_encryption,
    check_instance_type,
    check_model_data,
    check_quota,
    endpoint_quota,
    read_manifest,
    read_quotas,
    training_quota,
)

MANIFEST = {
    "counts": {
        "train": {"bicycle": 8, "motorcycle": 8},
        "validation": {"bicycle": 2, "motorcycle": 2},
        "test": {"bicycle": 2, "motorcycle": 2},
    },
    "files": {},
}


def encryption(**default):
    rule = {"ApplyServerSideEncryptionByDefault": default}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


@pytest.mark.parity("s3-encryption")
def test_a_bucket_under_a_key_that_the_projects_role_may_not_use():
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
    stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("name", "trains", "message"),
    [
        ("ml.t2.medium", True, r"--x ml\.t2\.medium: SageMaker does not train on it\. .*as ml\."),
        ("ml.m5.larg", False, r"--x ml\.m5\.larg: SageMaker does not serve on it\. .*m5\.large"),
        ("ml.none.at-all", False, r"Choose another\.$"),
    ],
)
def test_an_instance_type_that_sagemaker_does_not_have(name, trains, message):
    sagemaker, _ = stubbed("sagemaker")
    with pytest.raises(InstanceTypeUnknownError, match=message):
        check_instance_type(sagemaker, name, trains=trains, option="--x")
    check_instance_type(sagemaker, "ml.m5.large", trains=trains, option="--x")


def test_no_staged_data():
    s3, stubber = stubbed("s3")
    stubber.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    with pytest.raises(StagedDataMissingError, match=r"no staged pictures at s3://b/staged/: run"):
        read_manifest(s3, "b")


@pytest.mark.parametrize("content", [b"not JSON", b"[]", b'{"counts": 3}', b"{}"])
def test_a_manifest_that_is_none(content):
    s3, stubber = stubbed("s3")
    stubber.add_response("get_object", {"Body": Body(content)})
    with pytest.raises(StagedDataMissingError, match="is not a manifest: run"):
        read_manifest(s3, "b")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_without_pictures(split):
    s3, stubber = stubbed("s3")
    counts = {**MANIFEST["counts"], split: {"bicycle": 0}}
    stubber.add_response("get_object", {"Body": Body(json.dumps({"counts": counts}).encode())})
    with pytest.raises(StagedDataMissingError, match=f"counts no pictures for {split}"):
        read_manifest(s3, "b")


def test_the_manifest_is_read_from_the_agreed_key():
    s3, stubber = stubbed("s3")
    expected = {"Bucket": "b", "Key": "staged/manifest.json"}
    stubber.add_response("get_object", {"Body": Body(MANIFEST)}, expected)
    assert read_manifest(s3, "b") == MANIFEST


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("model.tar.gz", r"give s3://BUCKET/KEY\.tar\.gz"),
        ("https://b/model.tar.gz", r"give s3://BUCKET/KEY\.tar\.gz"),
        ("s3://b/model", r"give s3://BUCKET/KEY\.tar\.gz"),
        ("s3://elsewhere/model.tar.gz", r"reads only s3://b/.*--role"),
    ],
)
def test_check_model_data_with_unusable_uri_fails(uri, message):
    with pytest.raises(ModelDataMissingError, match=message):
        check_model_data(None, uri, "b", own_role=True)


def test_model_data_that_is_not_there():
    s3, stubber = stubbed("s3")
    expected = {"Bucket": "elsewhere", "Key": "a/model.tar.gz"}
    stubber.add_client_error("head_object", "404", "Not Found", expected_params=expected)
    with pytest.raises(ModelDataMissingError, match=r"cannot be read \(Not Found\)"):
        check_model_data(s3, "s3://elsewhere/a/model.tar.gz", "b", own_role=False)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        *(
            (uri, r"give s3://BUCKET/PREFIX")
            for uri in ("checkpoints/job", "https://b/checkpoints", "s3://b", "s3://b/")
        ),
        ("s3://elsewhere/checkpoints/job", r"reads only s3://b/.*--role"),
    ],
)
def test_check_checkpoints_with_unusable_uri_fails(uri, message):
    with pytest.raises(CheckpointsUnusableError, match=message):
        check_checkpoints(None, uri, "b", own_role=True)


def test_checkpoints_that_are_not_there_or_closed():
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
    stubber.assert_no_pending_responses()


@pytest.mark.parity("service-quotas")
def test_spot_instances_have_a_quota_of_their_own():
    assert training_quota("ml.m5.xlarge") == "ml.m5.xlarge for training job usage"
    assert training_quota("ml.m5.xlarge", spot=True) == "ml.m5.xlarge for spot training job usage"


@pytest.mark.parity("service-quotas")
def test_check_quota_below_need_names_the_console():
    name = endpoint_quota("ml.m5.large")
    with pytest.raises(
        QuotaExceededError,
        match=r'"ml.m5.large for endpoint usage" is 1, and 2 needed.*console '
        r"\(Amazon SageMaker, quota L-1\), or choose another type with --endpoint-instance",
    ):
        check_quota({name: (1.0, "L-1")}, name, 2, "--endpoint-instance")


def test_check_quota_returns_value_or_unknown():
    name = training_quota("ml.m5.xlarge")
    assert check_quota({name: (4.0, "L-1")}, name, 1, "--training-instance") == "4"
    assert check_quota({}, name, 1, "--training-instance") == "unknown"


@pytest.mark.parity("service-quotas")
def test_quotas_are_found_on_a_later_page_and_nothing_more_is_asked():
    client, stubber = stubbed("service-quotas")
    wanted = endpoint_quota("ml.m5.large")
    other = {"QuotaName": "something else", "Value": 1.0, "QuotaCode": "L-0"}
    found = {"QuotaName": wanted, "Value": 2.0, "QuotaCode": "L-2"}
    asked = {"ServiceCode": "sagemaker"}
    stubber.add_response("list_service_quotas", {"Quotas": [other], "NextToken": "2"}, asked)
    stubber.add_response("list_service_quotas", {"Quotas": [found], "NextToken": "3"}, {**asked, "NextToken": "2"})
    assert read_quotas(client, {wanted}) == {wanted: (2.0, "L-2")}
    stubber.assert_no_pending_responses()


def test_a_closed_quota_service_leaves_them_unknown():
    client, stubber = stubbed("service-quotas")
    stubber.add_client_error("list_service_quotas", "AccessDeniedException", "no")
    assert read_quotas(client, {"q"}) == {}
