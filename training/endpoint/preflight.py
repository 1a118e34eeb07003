"""Checks that run before anything costs money: each raises a named error whose message says what to do."""

import json
from difflib import get_close_matches
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from common.errors import ExpectedError
from common.s3_address import split_s3_address
from common.settings import STAGED_PREFIX


class StagedDataMissingError(ExpectedError):
    """The bucket holds no usable staged pictures."""


class BucketKeyError(ExpectedError):
    """The training bucket is encrypted with a key that the project's role may not use."""


class InstanceTypeUnknownError(ExpectedError):
    """SageMaker does not train, or does not serve, on instances of this type."""


class ModelDataMissingError(ExpectedError):
    """The archive given with --model-data cannot be used."""


class CheckpointsUnusableError(ExpectedError):
    """The checkpoints given with --checkpoints cannot be used."""


class QuotaExceededError(ExpectedError):
    """The account's quota is below the number of instances needed."""


def check_encryption(s3: Any, bucket: str) -> None:
    """Check that the project's own role may use the bucket's key; raise nothing if the caller may not ask."""
    try:
        answer = s3.get_bucket_encryption(Bucket=bucket)
    except ClientError:
        return
    for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
        key = rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID", "")
        if key and not key.endswith("alias/aws/s3"):  # AWS's own key is open to the account
            raise BucketKeyError(
                f"The bucket {bucket} encrypts with the KMS key {key}, which the role that this"
                " project makes may not use: give a role with kms:Decrypt and kms:GenerateDataKey"
                " on it with --role."
            )


def check_instance_type(sagemaker: Any, instance_type: str, *, trains: bool, option: str) -> None:
    """Check an instance type against those in botocore's model of SageMaker."""
    shape = "TrainingInstanceType" if trains else "ProductionVariantInstanceType"
    known = sagemaker.meta.service_model.shape_for(shape).enum
    if instance_type not in known:
        near = ", ".join(get_close_matches(instance_type, known))
        raise InstanceTypeUnknownError(
            f"{option} {instance_type}: SageMaker does not {'train' if trains else 'serve'} on it."
            f" Choose another{f', such as {near}' if near else ''}."
        )


def read_manifest(s3: Any, bucket: str) -> dict[str, Any]:
    """Return the manifest of the staged pictures; its counts are `{split: {class: number}}`.

    Raises StagedDataMissingError if there is no manifest, or a split is empty.
    """
    key = f"{STAGED_PREFIX}/manifest.json"
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        manifest: dict[str, Any] = json.loads(body)
        counts = {split: sum(classes.values()) for split, classes in manifest["counts"].items()}
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
            raise
        raise StagedDataMissingError(
            f"There are no staged pictures at s3://{bucket}/{STAGED_PREFIX}/: run"
            " `python -m training.stage_data` first."
        ) from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise StagedDataMissingError(
            f"s3://{bucket}/{key} is not a manifest: run `python -m training.stage_data` again."
        ) from error
    for split in ("train", "validation", "test"):
        if not counts.get(split):
            raise StagedDataMissingError(
                f"s3://{bucket}/{key} counts no pictures for {split}: run"
                " `python -m training.stage_data` again with more pictures."
            )
    return manifest


def check_model_data(s3: Any, uri: str, bucket: str, *, own_role: bool) -> None:
    """Check that the model archive exists, and that the role can read it."""
    where, key = split_s3_address(uri)
    if not uri.startswith("s3://") or not key.endswith(".tar.gz"):
        raise ModelDataMissingError(f"--model-data {uri}: give s3://BUCKET/KEY.tar.gz.")
    if own_role and where != bucket:
        raise ModelDataMissingError(f"--model-data {uri}: {_beyond_own_role(bucket)}")
    try:
        s3.head_object(Bucket=where, Key=key)
    except ClientError as error:
        raise ModelDataMissingError(
            f"--model-data {uri} cannot be read ({error.response['Error'].get('Message', error)}):"
            " check the address, or omit --model-data to train a model."
        ) from error


def check_checkpoints(s3: Any, uri: str, bucket: str, *, own_role: bool) -> None:
    """Check that an earlier job left checkpoints, and that the role can read them."""
    where, prefix = split_s3_address(uri)
    prefix = prefix.strip("/")
    if not uri.startswith("s3://") or not where or not prefix:
        raise CheckpointsUnusableError(f"--checkpoints {uri}: give s3://BUCKET/PREFIX.")
    if own_role and where != bucket:
        raise CheckpointsUnusableError(f"--checkpoints {uri}: {_beyond_own_role(bucket)}")
    try:
        found = s3.list_objects_v2(Bucket=where, Prefix=f"{prefix}/", MaxKeys=1)
    except ClientError as error:
        raise CheckpointsUnusableError(
            f"--checkpoints {uri} cannot be read ({error.response['Error'].get('Message', error)})."
        ) from error
    if not found.get("Contents"):
        raise CheckpointsUnusableError(
            f"--checkpoints {uri}: there is nothing. A job that ended before its first checkpoint"
            " leaves none: omit --checkpoints to train from the start."
        )


def _beyond_own_role(bucket: str) -> str:
    return (
        f"the role that this project makes reads only s3://{bucket}/. Copy the files there, or give"
        " a role with access to them with --role."
    )


def read_quotas(service_quotas: Any, names: set[str]) -> dict[str, tuple[float, str]]:
    """Return `{name: (number of instances, quota code)}` of the quotas that Service Quotas lists.

    A quota that the caller may not read is left out: SageMaker itself refuses what exceeds it, only later.
    """
    found: dict[str, tuple[float, str]] = {}
    try:
        for page in service_quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker"):
            for quota in page["Quotas"]:
                if quota["QuotaName"] in names:
                    found[quota["QuotaName"]] = (quota["Value"], quota["QuotaCode"])
            if len(found) == len(names):
                break
    except (ClientError, BotoCoreError):
        return found
    return found


def check_quota(quotas: dict[str, tuple[float, str]], name: str, needed: int, option: str) -> str:
    """Return the quota as text, `unknown` if `quotas` lacks it.

    Raises QuotaExceededError if it is below the number of instances needed.
    """
    if name not in quotas:
        return "unknown"
    value, code = quotas[name]
    if value < needed:
        raise QuotaExceededError(
            f'Your quota "{name}" is {value:.0f}, and {needed} needed. Ask for {needed} in the'
            f" Service Quotas console (Amazon SageMaker, quota {code}), or choose another type with"
            f" {option}."
        )
    return f"{value:.0f}"
