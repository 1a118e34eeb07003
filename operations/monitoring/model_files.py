"""Files of a model, wherever it lies: in a folder, in a model.tar.gz on disk, or in one in S3."""

import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import ExpectedError
from common.s3_address import split_s3_address
from training.endpoint.model_artifact import MOST_BYTES, unpack


class MissingModelError(ExpectedError):
    """There is nothing at the place that was named."""


class DamagedModelError(ExpectedError):
    """The model's archive cannot be read, or is far larger than one of this project's."""


def read_members(place: str | Path, names: Sequence[str], s3: Any = None) -> dict[str, bytes]:
    """Return those of the named files that a model has.

    `place` is a folder, a model.tar.gz, or s3://bucket/key of one, which needs an S3 client.

    Raises MissingModelError, DamagedModelError, and botocore's ClientError where S3 refuses it.
    """
    if str(place).startswith("s3://"):
        archive = _download(str(place), s3)
    elif Path(place).is_dir():
        files = {name: Path(place, name) for name in names}
        return {name: read_file(file) for name, file in files.items() if file.is_file()}
    else:
        archive = read_file(Path(place))
    try:
        return unpack(archive, names)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DamagedModelError(f"{place} cannot be read as a model.tar.gz: {error}") from error


def read_file(path: Path) -> bytes:
    """Return a file's content. Raises MissingModelError and DamagedModelError."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingModelError(
            f"{path} does not exist: name a model.tar.gz, a model folder, or a monitor.json."
        ) from error
    except OSError as error:
        raise DamagedModelError(f"{path} cannot be read: {error.strerror}") from error


def _download(uri: str, s3: Any) -> bytes:
    bucket, key = split_s3_address(uri)
    answer = s3.get_object(Bucket=bucket, Key=key)
    if answer["ContentLength"] > MOST_BYTES:
        raise DamagedModelError(
            f"{uri} has {answer['ContentLength'] / 1024**2:.0f} MiB, far more than a model of this project's."
        )
    content: bytes = answer["Body"].read()
    return content
