"""Addresses in S3, s3://bucket/key."""


def split_s3_address(address: str) -> tuple[str, str]:
    """Return the bucket and the key or prefix of s3://bucket/key, "" for a missing part."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key
