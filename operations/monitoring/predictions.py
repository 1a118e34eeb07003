"""What capture files hold. Predictions are columns: a hundred thousand take about ten megabytes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.predictions import meets_threshold
from operations.monitoring.capture_line import NO_KEY
from training.container.picture_model.picture_features import NUMBERS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


class DamagedLine(NamedTuple):
    """A line that holds no prediction: where it is, and why. Lines count from 1."""

    file: str
    line: int
    reason: str
    detail: str


class Row(NamedTuple):
    """A prediction as it is read from its file; see Predictions. `features` are in the order of NUMBERS."""

    time: float
    confidence: float
    tied: bool
    label: str
    line: int
    offset: int
    length: int
    format: str
    request_key: int
    features: tuple[float, ...]


@dataclass(frozen=True)
class Predictions:
    """Predictions, one row each.

    Attributes:
        classes: all class names, sorted.
        times: of the calls, seconds since 1970.
        confidences: probability of the most probable class, in [0, 1].
        tied: whether another class has the same probability: the workflow does not accept such an answer.
        labels: positions of the most probable class in `classes`.
        files: positions in the list of files.
        lines, offsets, lengths: number of the line in its file, from 1, and its bytes.
        formats: of the pictures, such as "PNG".
        request_keys: see capture_line.request_key.
        features: of the pictures, by name.
    """

    classes: list[str]
    times: Floats
    confidences: Floats
    tied: Booleans
    labels: Integers
    files: Integers
    lines: Integers
    offsets: Integers
    lengths: Integers
    formats: NDArray[np.object_]
    request_keys: Integers
    features: dict[str, Floats]

    def __len__(self) -> int:
        """Count the predictions."""
        return len(self.times)

    def select(self, rows: Integers | Booleans) -> "Predictions":
        """Return the rows at these positions or of this mask."""
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in ("classes", "features")}
        return replace(self, features={name: values[rows] for name, values in self.features.items()}, **columns)

    def accepted(self, threshold: float) -> Booleans:
        """Return for each row whether the workflow accepts the answer."""
        confident = [meets_threshold(confidence, threshold) for confidence in self.confidences.tolist()]
        return np.array(confident, np.bool_) & ~self.tied

    def without_repeats(self) -> "Predictions":
        """Return the first answer to each request: a repeated call is captured each time."""
        _, first = np.unique(self.request_keys, return_index=True)
        distinct = self.request_keys == NO_KEY
        distinct[first] = True
        return self.select(distinct)

    def label_names(self) -> list[str]:
        """Return the most probable class of each."""
        return [self.classes[label] for label in self.labels]


def as_columns(rows_of_files: Sequence[Sequence[Row]], classes: set[str]) -> Predictions:
    """Return the predictions of all files as columns."""
    rows = [row for rows in rows_of_files for row in rows]
    names = sorted(classes)
    positions = {name: position for position, name in enumerate(names)}
    return Predictions(
        classes=names,
        times=np.array([row.time for row in rows], np.float64),
        confidences=np.array([row.confidence for row in rows], np.float64),
        tied=np.array([row.tied for row in rows], np.bool_),
        labels=np.array([positions[row.label] for row in rows], np.int64),
        files=np.array([file for file, rows in enumerate(rows_of_files) for _ in rows], np.int64),
        lines=np.array([row.line for row in rows], np.int64),
        offsets=np.array([row.offset for row in rows], np.int64),
        lengths=np.array([row.length for row in rows], np.int64),
        formats=np.array([row.format for row in rows], np.object_),
        request_keys=np.array([row.request_key for row in rows], np.int64),
        features={
            name: np.array([row.features[column] for row in rows], np.float64)
            for column, name in enumerate(NUMBERS if rows else ())
        },
    )


@dataclass(frozen=True)
class Reading:
    """What was read from capture files: lines = predictions + damaged + refused + outside.

    Attributes:
        files: names of the files that were read.
        left_out: number of files that were not read, since their folder's hour is outside the requested time.
        lines: number of lines in the files.
        predictions: in the order of the files.
        damaged: number of damaged lines for each reason. A file that is too large counts as one.
        damaged_lines: the first of them.
        damaged_hours: number of damaged lines for each hour that SageMaker filed the file under, in seconds since 1970;
            files in other folders are left out.
        refused: number of calls that the endpoint refused.
        outside: number of calls outside the requested time.
    """

    files: list[str]
    left_out: int
    lines: int
    predictions: Predictions
    damaged: Counter[str]
    damaged_lines: list[DamagedLine]
    damaged_hours: Counter[float]
    refused: int
    outside: int
