"""A sample of pictures and of answers about them, in numbers: what drift is measured between.

Training stores one with the model (`baseline.json`, written by training/container/picture_model/baseline.py in
the shape read here); monitoring makes one of the captured calls.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import ExpectedError
from operations.monitoring.model_files import read_file, read_members

BASELINE_FILE = "baseline.json"
SAMPLE_MEMBER = "sample"  # of a monitor.json: a later run can take it as its baseline

# Who gave confidences and labels.
MODEL = "model"  # all of the model's networks together, as an endpoint answers
MEMBER = "member"  # one network a picture: several together are less sure, and more often right

Numbers = NDArray[np.float64]


class SampleError(ExpectedError):
    """What should be a sample of pictures is none; the message says what is wrong with it."""


class NoBaselineError(ExpectedError):
    """There is no baseline at that place; the message says how to get one."""


@dataclass(frozen=True)
class Sample:
    """Pictures and answers in numbers. The arrays need not be equally long, nor of equal order.

    Attributes:
        labels: the most probable class of each answer.
        confidences: its probability, in [0, 1], of each answer.
        features: numbers of each picture, by the names of `picture_features`.
        formats: of each picture, such as "PNG".
        distances: Mahalanobis distances from the classes (operations.monitoring.distances); None if not measured.
        source: where the pictures come from, to be put after "in": "training", "an earlier run".
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
        """How many pictures there are at most: of some, only the answer may be known."""
        return max(len(self.labels), len(self.formats), *map(len, self.features.values()), 0)

    def to_json(self) -> dict[str, Any]:
        """Give what `from_json` reads; six significant digits are kept."""
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
        """Read what `to_json` or training wrote. Raises SampleError naming what does not fit."""
        if not isinstance(value, dict):
            raise SampleError("The sample is no JSON object: train the model again.")
        features = value.get("features")
        if not isinstance(features, dict):
            raise SampleError(f"The sample's features are {_short(features)}, not an object.")
        answered_by = value.get("answered_by")
        if answered_by not in (MODEL, MEMBER):
            raise SampleError(f"The sample's answered_by is {_short(answered_by)}, not {MODEL} or {MEMBER}.")
        labels, confidences = _texts(value, "labels"), _numbers(value, "confidences")
        if len(labels) != len(confidences):
            raise SampleError(f"The sample has {len(labels)} labels and {len(confidences)} confidences.")
        if np.any((confidences < 0) | (confidences > 1)):
            raise SampleError("The sample's confidences are not all from 0 to 1.")
        return cls(
            labels=labels,
            confidences=confidences,
            features={str(name): _numbers(features, name) for name in features},
            formats=_texts(value, "formats"),
            distances=None if value.get("distances") is None else _numbers(value, "distances"),
            source=str(value.get("source") or "training"),
            answered_by=answered_by,
        )


def read_baseline(place: str | Path, s3: Any = None) -> Sample:
    """Read the sample that a model was trained on, or that an earlier monitoring run saw.

    `place` is s3://bucket/key of a model.tar.gz, which needs an S3 client, or on disk a
    model.tar.gz, a model folder, its baseline.json, or a monitor.json with a member "sample".

    Raises NoBaselineError where there is none, SampleError for one that makes no sense,
    MissingModelError and DamagedModelError (operations.monitoring.model_files), and botocore's
    ClientError where S3 refuses it.
    """
    if Path(place).suffix == ".json" and not str(place).startswith("s3://"):
        text = read_file(Path(place))
    elif found := read_members(place, (BASELINE_FILE,), s3):
        text = found[BASELINE_FILE]
    else:
        raise NoBaselineError(
            f"{place} has no {BASELINE_FILE}: the model is older than monitoring, or not this"
            " project's. Train it again, or compare with the monitor.json of a time that was fine."
        )
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SampleError(f"{place}: the baseline is not JSON ({error}).") from error
    if isinstance(value, dict) and "confidences" not in value:  # a monitor.json
        if SAMPLE_MEMBER not in value:
            raise NoBaselineError(f"{place} holds no {SAMPLE_MEMBER} to compare with.")
        value = value[SAMPLE_MEMBER]
    try:
        return Sample.from_json(value)
    except SampleError as error:
        raise SampleError(f"{place}: {error}") from error


def _rounded(values: Numbers) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _texts(value: dict[str, Any], name: str) -> list[str]:
    texts = value.get(name)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise SampleError(f"The sample's {name} are {_short(texts)}, not a list of texts.")
    return texts


def _numbers(value: dict[str, Any], name: str) -> Numbers:
    numbers = value.get(name)
    # NaN and infinity, which Python's JSON lets pass, could not be compared.
    if not isinstance(numbers, list) or not all(
        isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) for number in numbers
    ):
        raise SampleError(f"The sample's {name} are {_short(numbers)}, not a list of numbers.")
    return np.array(numbers, np.float64)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
