"""What a served model says about itself: the metadata and held-out answers in its model.tar.gz.

The archive is read in memory and never extracted. Its sizes are bounded: an address may lead to any
file, and another model's archive can be far larger than this project's.
"""

import gzip
import io
import json
import posixpath
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
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

# A model of train.py has 1 to 4 MB, and its held-out answers some 50 bytes a picture and class.
MOST_BYTES = 64 * 1024**2
MOST_UNPACKED_BYTES = 256 * 1024**2


class ModelArtifactError(ExpectedError):
    """The model's archive is damaged, or what it says makes no sense."""


class NoHeldOutAnswersError(ExpectedError):
    """The model brings no held-out answers, so nothing can be recommended for it."""


@dataclass(frozen=True)
class HeldOut:
    """Answers about pictures that the answering network was not trained on.

    `truth` are positions in `classes`, `probabilities` rows of one for each class, in [0, 1].
    `source` says which pictures they are, such as "cross-validation".
    """

    source: str
    classes: list[str]
    truth: list[int]
    probabilities: list[list[float]]

    def answers(self) -> tuple[list[float], list[bool]]:
        """Return confidences, 0 for a tie, and whether they are deserved."""
        return held_out_answers(self.truth, self.probabilities)


@dataclass(frozen=True)
class ModelArtifact:
    """What a model.tar.gz of train.py says about itself."""

    metadata: dict[str, Any]
    held_out: HeldOut

    def recommendation(self, max_error: float | None = None) -> Recommendation:
        """Recommend a threshold from the held-out answers, with the very function of train.py.

        `max_error`, a share between 0 and 1, is what the model was trained with where it is None.
        Raises ModelArtifactError.
        """
        try:
            return recommend_threshold(
                *self.held_out.answers(),
                max_error or self._wanted("max_error", MAX_ERROR),
                self._wanted("confidence_level", CONFIDENCE_LEVEL),
            )
        except HeldOutError as error:
            raise ModelArtifactError(f"Nothing can be recommended: {error}.") from error

    def _wanted(self, name: str, default: float) -> float:
        calibration = self.metadata.get("calibration")
        value = calibration.get(name, default) if isinstance(calibration, dict) else default
        if not isinstance(value, int | float) or not 0 < value < 1:
            raise ModelArtifactError(f"The model's {METADATA} gives {name} as {value!r}: train the model again.")
        return float(value)


def endpoint_model_data(sagemaker: Any, endpoint: str) -> str:
    """Return the S3 address of the archive that an endpoint serves.

    Raises NoHeldOutAnswersError for an endpoint without one, and botocore's ClientError.
    """
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
    """Read what the model at s3://bucket/key says about itself.

    Raises NoHeldOutAnswersError for a model of another kind, ModelArtifactError for a damaged one,
    and botocore's ClientError where S3 refuses it.
    """
    bucket, key = split_s3_address(uri)
    answer = s3.get_object(Bucket=bucket, Key=key)
    size = answer["ContentLength"]
    if size > MOST_BYTES:
        raise NoHeldOutAnswersError(f"{uri} has {size / 1024**2:.0f} MiB, far more than a model of this project's.")
    try:
        found = unpack(answer["Body"].read(), (METADATA, HELD_OUT))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ModelArtifactError(f"{uri} cannot be read: {error}") from error
    if HELD_OUT not in found or METADATA not in found:
        raise NoHeldOutAnswersError(f"{uri} has no {HELD_OUT}: it is older than this, or not this project's.")
    metadata = _object(found[METADATA], METADATA)
    return ModelArtifact(metadata, _read_held_out(_object(found[HELD_OUT], HELD_OUT)))


def unpack(archive: bytes, names: Sequence[str]) -> dict[str, bytes]:
    """Return those of the named files that a .tar.gz has at its top.

    Raises tarfile.TarError, zlib.error, EOFError or OSError for what is damaged or too large.
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
    """A stream that ends with an error after so many bytes."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, most: int) -> None:
        self.stream, self.left = stream, most

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
        and all(type(place) is int and 0 <= place < len(classes) for place in truth)
        and isinstance(rows, list)
        and 0 < len(rows) == len(truth)
        and all(isinstance(row, list) and len(row) == len(classes) for row in rows)
        # NaN, which Python's JSON lets pass, is in no range.
        and all(isinstance(p, int | float) and 0 <= p <= 1 for row in rows for p in row)
    )
    if not valid:
        raise ModelArtifactError(
            f"The model's {HELD_OUT} does not hold a class and its probabilities for each picture: train it again."
        )
    return HeldOut(str(value.get("source", "")), classes, truth, rows)
