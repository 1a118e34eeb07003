"""Addresses in S3, as people and SageMaker write them: s3://bucket/key."""


def split_s3_address(address: str) -> tuple[str, str]:
    """Return the bucket of s3://bucket/key and the key or prefix, "" for what is not there."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key
