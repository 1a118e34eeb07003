"""A sample of pictures and the answers about them: drift is measured between two samples.

Training stores one with the model: `baseline.json`, written by training/container/picture_model/baseline.py. Monitoring
makes one of the captured calls.
"""

import json
import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import ExpectedError
from operations.monitoring.two_samples import Numbers
from training.endpoint.model_artifact import read_file, read_members

BASELINE_FILE = "baseline.json"
SAMPLE_MEMBER = "sample"  # of a monitor.json: a later run can take it as its baseline

# Who gave confidences and labels.
MODEL = "model"  # all of the model's networks together, as an endpoint answers
MEMBER = "member"  # one ensemble member per picture; the whole ensemble is less confident, and more often right


class SampleError(ExpectedError):
    """The content of a baseline is not a valid sample."""


class NoBaselineError(ExpectedError):
    """The model or report has no baseline."""


@dataclass(frozen=True)
class Sample:
    """Pictures and answers in numbers. The arrays may differ in length and order.

    Attributes:
        labels: the most probable class of each answer.
        confidences: its probability, in [0, 1], of each answer.
        features: numbers of each picture, by the names of `picture_features`.
        formats: of each picture, such as "PNG".
        distances: Mahalanobis distances from the classes (operations.monitoring.distances); None if not measured.
        source: the pictures' origin, as it follows "in": "training", "an earlier run".
        answered_by: MODEL or MEMBER.
    """

    labels: list[str]
    confidences: Numbers
    features: dict[str, Numbers] = field(default_factory=dict)
    formats: list[str] = field(default_factory=list)
    distances: Numbers | None = None
    source: str = "training"
    answered_by: str = MODEL

    @property
    def pictures(self) -> int:
        """The number of pictures; of some, only the answer may be known."""
        return max(len(self.labels), len(self.formats), *map(len, self.features.values()), 0)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads, with six significant digits."""
        return {
            "source": self.source,
            "answered_by": self.answered_by,
            "labels": self.labels,
            "confidences": _rounded(self.confidences),
            "features": {name: _rounded(values) for name, values in self.features.items()},
            "formats": self.formats,
            "distances": None if self.distances is None else _rounded(self.distances),
        }

    @classmethod
    def from_json(cls, value: Any) -> "Sample":
        """Read what `to_json` or training wrote. Raises SampleError."""
        if not isinstance(value, dict):
            raise SampleError("The sample is not a JSON object: train the model again.")
        features = value.get("features")
        if not isinstance(features, dict):
            raise SampleError(f"The sample's features are {reprlib.repr(features)}, not an object.")
        answered_by = value.get("answered_by")
        if answered_by not in (MODEL, MEMBER):
            raise SampleError(f"The sample's answered_by is {reprlib.repr(answered_by)}, not {MODEL} or {MEMBER}.")
        labels, confidences = _texts(value, "labels"), _numbers(value, "confidences")
        if len(labels) != len(confidences):
            raise SampleError(f"The sample has {len(labels)} labels and {len(confidences)} confidences.")
        if np.any((confidences < 0) | (confidences > 1)):
            raise SampleError("The sample's confidences are not all from 0 to 1.")
        return cls(
            labels=labels,
            confidences=confidences,
            features={name: _numbers(features, name) for name in features},
            formats=_texts(value, "formats"),
            distances=None if value.get("distances") is None else _numbers(value, "distances"),
            source=str(value.get("source") or "training"),
            answered_by=answered_by,
        )


def _rounded(values: Numbers) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _texts(value: dict[str, Any], name: str) -> list[str]:
    return _list(value, name, lambda text: isinstance(text, str), "texts")


def _numbers(value: dict[str, Any], name: str) -> Numbers:
    # NaN and infinity, which Python's JSON accepts, could not be compared.
    return np.array(_list(value, name, lambda n: type(n) in (int, float) and math.isfinite(n), "numbers"), np.float64)


def _list(value: dict[str, Any], name: str, is_valid: Callable[[Any], bool], what: str) -> list[Any]:
    items = value.get(name)
    if not isinstance(items, list) or not all(map(is_valid, items)):
        raise SampleError(f"The sample's {name} are {reprlib.repr(items)}, not a list of {what}.")
    return items


def read_baseline(location: str | Path, s3: Any = None) -> Sample:
    """Read the sample that a model was trained on, or that an earlier monitoring run observed.

    `location` is a model's, see `read_members`, or that of a baseline.json or monitor.json. Raises NoBaselineError,
    SampleError, MissingModelError, ModelArtifactError, and botocore's ClientError.
    """
    if Path(location).suffix == ".json" and not str(location).startswith("s3://"):
        text = read_file(Path(location))
    elif found := read_members(location, (BASELINE_FILE,), s3):
        text = found[BASELINE_FILE]
    else:
        raise NoBaselineError(
            f"{location} has no {BASELINE_FILE}: the model is older than monitoring, or not this"
            " project's. Train it again, or compare with the monitor.json of a good time."
        )
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SampleError(f"{location}: the baseline is not JSON ({error}).") from error
    if isinstance(value, dict) and "confidences" not in value:  # a monitor.json
        if SAMPLE_MEMBER not in value:
            raise NoBaselineError(f"{location} has no {SAMPLE_MEMBER} to compare with.")
        value = value[SAMPLE_MEMBER]
    try:
        return Sample.from_json(value)
    except SampleError as error:
        raise SampleError(f"{location}: {error}") from error
