"""Read the files of a trained model, and its metadata and held-out answers.

An archive is read in memory, never extracted, and up to a maximum size: the address may be that of any file.
"""

import gzip
import io
import json
import posixpath
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from common.errors import ExpectedError
from common.s3_address import split_s3_address
from training.container.picture_model.calibration import (
    CONFIDENCE_LEVEL,
    MAX_ERROR,
    HeldOutError,
    Recommendation,
    held_out_answers,
    recommend_threshold,
)

METADATA = "metadata.json"
HELD_OUT = "held_out.json"

# A model of train.py has 1 to 4 MB, its held-out answers about 50 bytes per picture and class.
MOST_BYTES = 64 * 1024**2
MOST_UNPACKED_BYTES = 256 * 1024**2


class ModelArtifactError(ExpectedError):
    """The model's archive is damaged or far larger than one of this project's, or its content is invalid."""


class MissingModelError(ExpectedError):
    """There is nothing at the path of a model."""


class NoHeldOutAnswersError(ExpectedError):
    """The model has no held-out answers, so there is no recommendation."""


@dataclass(frozen=True)
class HeldOut:
    """Answers about the held-out set.

    `truth` has positions in `classes`, `probabilities` a row per picture with a value in [0, 1] per class.
    `source` names the pictures, such as "cross-validation".
    """

    source: str
    classes: list[str]
    truth: list[int]
    probabilities: list[list[float]]

    def answers(self) -> tuple[list[float], list[bool]]:
        """Return the confidences, 0 for a tie, and whether each answer is right."""
        return held_out_answers(self.truth, self.probabilities)


@dataclass(frozen=True)
class ModelArtifact:
    """Metadata and held-out answers of a model.tar.gz of train.py."""

    metadata: dict[str, Any]
    held_out: HeldOut

    def recommendation(self, max_error: float | None = None) -> Recommendation:
        """Recommend a threshold from the held-out answers, with the function that train.py uses.

        `max_error` is a share in (0, 1), None for the one of the training. Raises ModelArtifactError.
        """
        try:
            return recommend_threshold(
                *self.held_out.answers(),
                max_error or self._trained_with("max_error", MAX_ERROR),
                self._trained_with("confidence_level", CONFIDENCE_LEVEL),
            )
        except HeldOutError as error:
            raise ModelArtifactError(f"Nothing can be recommended: {error}.") from error

    def _trained_with(self, name: str, default: float) -> float:
        calibration = self.metadata.get("calibration")
        value = calibration.get(name, default) if isinstance(calibration, dict) else default
        if not isinstance(value, int | float) or not 0 < value < 1:
            raise ModelArtifactError(f"The model's {METADATA} gives {name} as {value!r}: train the model again.")
        return float(value)


def endpoint_model_data(sagemaker: Any, endpoint: str) -> str:
    """Return the S3 address of the archive that an endpoint serves. Raises NoHeldOutAnswersError or ClientError."""
    config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    models = {variant.get("ModelName", "") for variant in variants}
    if len(models) != 1 or "" in models:
        raise NoHeldOutAnswersError(f"Endpoint {endpoint} serves not one model but several.")
    model = sagemaker.describe_model(ModelName=models.pop())
    uri = model.get("PrimaryContainer", {}).get("ModelDataUrl", "")
    if not uri:
        raise NoHeldOutAnswersError(f"Endpoint {endpoint} serves no model.tar.gz.")
    return str(uri)


def read_model_artifact(s3: Any, uri: str) -> ModelArtifact:
    """Read metadata and held-out answers of the model at s3://bucket/key.

    Raises NoHeldOutAnswersError for another kind of model, ModelArtifactError for a damaged one, and ClientError.
    """
    found = read_members(uri, (METADATA, HELD_OUT), s3)
    if HELD_OUT not in found or METADATA not in found:
        raise NoHeldOutAnswersError(f"{uri} has no {HELD_OUT}: it is older than this version, or not this project's.")
    metadata = _object(found[METADATA], METADATA)
    return ModelArtifact(metadata, _read_held_out(_object(found[HELD_OUT], HELD_OUT)))


def read_members(location: str | Path, names: Sequence[str], s3: Any = None) -> dict[str, bytes]:
    """Return those of the named files that a model has.

    `location` is a folder, a model.tar.gz, or s3://bucket/key of one, which needs an S3 client.
    Raises MissingModelError, ModelArtifactError, and botocore's ClientError.
    """
    if str(location).startswith("s3://"):
        archive = _download(s3, str(location))
    elif Path(location).is_dir():
        files = {name: Path(location, name) for name in names}
        return {name: read_file(file) for name, file in files.items() if file.is_file()}
    else:
        archive = read_file(Path(location))
    try:
        return _unpack(archive, names)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ModelArtifactError(f"{location} cannot be read as a model.tar.gz: {error}") from error


@contextmanager
def extracted_members(location: str | Path, names: Sequence[str], s3: Any = None) -> Iterator[Path]:
    """Copy what `read_members` returns to a temporary folder; same arguments and errors."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in read_members(location, names, s3).items():
            Path(folder, name).write_bytes(content)
        yield Path(folder)


def read_file(path: Path) -> bytes:
    """Return the content of a model's file or archive. Raises MissingModelError or ModelArtifactError."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingModelError(f"{path} does not exist: name a model.tar.gz or a model folder.") from error
    except OSError as error:
        raise ModelArtifactError(f"{path} cannot be read: {error.strerror}") from error


@lru_cache(maxsize=1)  # a monitoring run reads one archive for its threshold, its baseline and its ensemble members
def _download(s3: Any, uri: str) -> bytes:
    bucket, key = split_s3_address(uri)
    answer = s3.get_object(Bucket=bucket, Key=key)
    size = answer["ContentLength"]
    if size > MOST_BYTES:
        raise ModelArtifactError(f"{uri} has {size / 1024**2:.0f} MiB, far more than a model of this project's.")
    return bytes(answer["Body"].read())


def _unpack(archive: bytes, names: Sequence[str]) -> dict[str, bytes]:
    """Return the content of the named files at the top of a .tar.gz, without those that it lacks.

    Raises tarfile.TarError, zlib.error, EOFError or OSError if it is damaged or too large.
    """
    found: dict[str, bytes] = {}
    unpacked = _Bounded(gzip.GzipFile(fileobj=io.BytesIO(archive)), MOST_UNPACKED_BYTES)
    with tarfile.open(fileobj=unpacked, mode="r|") as tar:
        for member in tar:
            name = posixpath.normpath(member.name)
            file = tar.extractfile(member) if name in names and member.isfile() else None
            if file:
                found[name] = file.read()
            if len(found) == len(names):
                break
    return found


class _Bounded(io.RawIOBase):
    """A stream that raises OSError after `limit` bytes."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, limit: int) -> None:
        self.stream, self.left = stream, limit

    def read(self, size: int = -1) -> bytes:
        content = self.stream.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise OSError("it unpacks to far more than a model of this project's")
        return content


def _object(content: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ModelArtifactError(f"The model's {name} is not JSON: train it again.") from error
    if not isinstance(value, dict):
        raise ModelArtifactError(f"The model's {name} is no JSON object: train it again.")
    return value


def _read_held_out(value: dict[str, Any]) -> HeldOut:
    classes: Any = value.get("classes")
    truth: Any = value.get("truth")
    rows: Any = value.get("probabilities")
    valid = (
        isinstance(classes, list)
        and all(isinstance(name, str) for name in classes)
        and isinstance(truth, list)
        and all(type(position) is int and 0 <= position < len(classes) for position in truth)
        and isinstance(rows, list)
        and 0 < len(rows) == len(truth)
        and all(isinstance(row, list) and len(row) == len(classes) for row in rows)
        # This refuses NaN too, which Python's JSON accepts.
        and all(isinstance(p, int | float) and 0 <= p <= 1 for row in rows for p in row)
    )
    if not valid:
        raise ModelArtifactError(
            f"The model's {HELD_OUT} does not hold a class and its probabilities for each picture: train it again."
        )
    return HeldOut(str(value.get("source", "")), classes, truth, rows)
