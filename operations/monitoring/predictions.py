"""What captured lines say, in columns: a hundred thousand predictions take some ten megabytes."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

NOT_KNOWN = 0  # of a question without an id
FORMAT = "format"  # the one feature of a picture that is a word


def question_key(inference_id: str, picture: bytes) -> int:
    """Return a number for a picture that was asked about under an id; NOT_KNOWN without an id.

    An execution that tries again asks with the same id, its own name. Other callers may give all
    their calls one id, so that the picture counts too.
    """
    if not inference_id:
        return NOT_KNOWN
    text = inference_id.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(picture, digest_size=8, key=hashlib.sha256(text).digest()).digest()
    return int.from_bytes(digest, signed=True)


class DamagedLine(NamedTuple):
    """A line that says nothing about a prediction: where it is, and why. Lines count from 1."""

    file: str
    line: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Predictions:
    """Answers about pictures, a row of each column for each.

    Attributes:
        times: of the calls, seconds since 1970.
        confidences: probability of the most probable class, in [0, 1].
        tied: whether another class is as probable: the workflow accepts no such answer.
        labels: positions of the most probable class in `classes`.
        files, lines: where it was read: position of the file in the list of files, and line from 1.
        offsets, lengths: the line's bytes in that file.
        formats: positions in `format_names`.
        questions: the same for the same picture of the same execution, see `question_key`.
        features: what pictures are like, by name.
    """

    classes: list[str]
    format_names: list[str]
    times: Floats
    confidences: Floats
    tied: Booleans
    labels: Integers
    files: Integers
    lines: Integers
    offsets: Integers
    lengths: Integers
    formats: Integers
    questions: Integers
    features: dict[str, Floats]

    def __len__(self) -> int:
        """Count the predictions."""
        return len(self.times)

    def chosen(self, rows: Integers | Booleans) -> "Predictions":
        """Return some rows, by position or by a mask."""
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        features = {name: values[rows] for name, values in self.features.items()}
        return Predictions(self.classes, self.format_names, features=features, **columns)

    def accepted(self, threshold: float) -> Booleans:
        """Tell of each whether the workflow accepts it: from the threshold on, but never a tie."""
        return np.asarray((self.confidences >= threshold) & ~self.tied)

    def without_repeats(self) -> "Predictions":
        """Return the first answer to each question: one that was retried is captured each time."""
        _, first = np.unique(self.questions, return_index=True)
        chosen = self.questions == NOT_KNOWN
        chosen[first] = True
        return self.chosen(chosen)

    def label_names(self) -> list[str]:
        """Return the most probable class of each."""
        return [self.classes[label] for label in self.labels]


COLUMNS = {
    "times": np.float64,
    "confidences": np.float64,
    "tied": np.bool_,
    "labels": np.int64,
    "files": np.int64,
    "lines": np.int64,
    "offsets": np.int64,
    "lengths": np.int64,
    "formats": np.int64,
    "questions": np.int64,
}


@dataclass
class Rows:
    """Predictions while they are read, as lists; `predictions` makes columns of them."""

    classes: dict[str, int] = field(default_factory=dict)
    format_names: dict[str, int] = field(default_factory=dict)
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    features: dict[str, list[float]] = field(default_factory=dict)

    def add(
        self,
        time: float,
        probabilities: Mapping[str, float],
        features: Mapping[str, float | str],
        place: tuple[int, int, int, int],
        question: int,
    ) -> None:
        """Add an answer; `place` is file, line, offset and length. See Predictions."""
        for name in probabilities:
            self.classes.setdefault(name, len(self.classes))
        label = max(probabilities, key=lambda name: probabilities[name])
        confidence = probabilities[label]
        form = str(features[FORMAT])
        row = (
            time,
            confidence,
            list(probabilities.values()).count(confidence) > 1,
            self.classes[label],
            *place,
            self.format_names.setdefault(form, len(self.format_names)),
            question,
        )
        for name, value in zip(COLUMNS, row, strict=True):
            self.columns[name].append(value)
        for name, number in features.items():
            if name != FORMAT:
                self.features.setdefault(name, []).append(float(number))

    def predictions(self) -> Predictions:
        """Return the columns."""
        columns: dict[str, Any] = {name: np.array(self.columns[name], dtype) for name, dtype in COLUMNS.items()}
        features = {name: np.array(values, np.float64) for name, values in self.features.items()}
        return Predictions(list(self.classes), list(self.format_names), features=features, **columns)


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Put predictions below each other; classes and formats are sorted by name."""
    classes = sorted({name for part in parts for name in part.classes})
    formats = sorted({name for part in parts for name in part.format_names})
    filled = [part for part in parts if len(part)]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in filled] or [np.array([], dtype)])
        for name, dtype in COLUMNS.items()
    }
    columns["labels"] = _renumbered([(p.labels, p.classes) for p in filled], classes)
    columns["formats"] = _renumbered([(p.formats, p.format_names) for p in filled], formats)
    features = {
        name: np.concatenate([part.features[name] for part in filled])
        for name in (filled[0].features if filled else ())
    }
    return Predictions(classes, formats, features=features, **columns)


def _renumbered(parts: Sequence[tuple[Integers, list[str]]], names: list[str]) -> Integers:
    new = {name: place for place, name in enumerate(names)}
    places = [np.array([new[name] for name in own], np.int64)[values] for values, own in parts]
    return np.concatenate(places) if places else np.array([], np.int64)


@dataclass(frozen=True)
class Reading:
    """All that was found in files of captures.

    lines = predictions + damaged + refused + outside, each line in exactly one of them.

    Attributes:
        files: names of the files that were read.
        left_out: how many were not read, since their folder's hour is outside the time asked for.
        lines: how many lines they have.
        predictions: the answers, in the order of the files.
        damaged: how many lines for each reason.
        damaged_lines: the first of them.
        damaged_hours: how many for each hour that SageMaker filed the file under, as seconds since
            1970; without those below other folders.
        refused: how many calls the endpoint refused.
        outside: how many calls were made outside the time asked for.
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
