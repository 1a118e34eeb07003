"""Labels: what a person decided about one version of a picture, and the question that the person was asked.

A question is a message of the state Send To Review; a label is a JSON object in S3.
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from common.errors import ExpectedError
from common.s3_picture import S3Picture, find_picture, json_object
from common.settings import LABELS_PREFIX

NEITHER = "neither"  # the label of a picture without any of the classes
# A label's key: the checksum of the picture's bucket and key, and its version.
KEY_PATTERN = re.compile(rf"{LABELS_PREFIX}/[0-9a-f]{{64}}/[^/]+\.json")

Item = TypeVar("Item")


class QuestionError(ExpectedError):
    """A message of the review queue, or a label, has no question that a person can answer."""


class LabelError(ExpectedError):
    """An object below the labels' prefix is not a label."""


@dataclass(frozen=True)
class Question:
    """A picture to decide, and the model's answer. A field that the message lacks is None, or empty."""

    picture: S3Picture
    guess: str | None  # the model's likeliest class
    confidence: float | None  # the probability of the guess, in [0, 1]
    inferences: tuple[float, ...]  # probabilities in the order of `class_names`
    class_names: tuple[str, ...]  # to choose from
    threshold: float | None  # the confidence threshold, in [0, 1]
    endpoint_name: str | None
    execution_arn: str | None  # the execution that queued the message

    def probabilities(self) -> list[tuple[str, float | None]]:
        """Return each class with its probability, None if the message has none."""
        return list(zip(self.class_names, self.inferences or [None] * len(self.class_names), strict=True))


@dataclass(frozen=True)
class Label:
    """A person's decision about a picture."""

    question: Question
    label: str  # the class, or NEITHER
    decided_by: str
    decided_at: str  # time in UTC as ISO 8601
    model: str | None  # name of the model that answered, None if it is unknown

    @property
    def key(self) -> str:
        """The label's key in the training bucket, one for each version of a picture."""
        return label_key(self.question.picture)

    def body(self) -> bytes:
        """Return the object's content, an indented JSON object."""
        question = self.question
        fields = {
            "s3_bucket": question.picture.bucket,
            "s3_key": question.picture.key,
            "s3_version_id": question.picture.version_id,
            "label": self.label,
            "decided_by": self.decided_by,
            "decided_at": self.decided_at,
            "guess": question.guess,
            "confidence": question.confidence,
            "inferences": list(question.inferences),
            "class_names": list(question.class_names),
            "threshold": question.threshold,
            "endpoint_name": question.endpoint_name,
            "model": self.model,
            "execution_arn": question.execution_arn,
        }
        return (json.dumps(fields, indent=2) + "\n").encode()


def label_key(picture: S3Picture) -> str:
    """Return the key of a picture's label in the training bucket."""
    # A checksum, since the picture's own key may have the maximum length.
    checksum = hashlib.sha256(f"{picture.bucket}/{picture.key}".encode()).hexdigest()
    return f"{LABELS_PREFIX}/{checksum}/{picture.version_id or 'null'}.json"


def is_label_key(key: str) -> bool:
    """Tell whether a key is one of a label."""
    return KEY_PATTERN.fullmatch(key) is not None


def read_label(content: bytes, name: str) -> Label:
    """Read a label object's content; `name` is the object's, for an error. Raises LabelError."""
    try:
        fields: Any = json.loads(content)
        if not isinstance(fields, dict):
            raise QuestionError("it is not a JSON object")
        question = _read_question(fields, fields.get("guess"))
        texts: dict[str, Any] = {field: fields.get(field) for field in ("label", "decided_by", "decided_at", "model")}
        for field, text in texts.items():
            if not _text(text) and not (field == "model" and text is None):
                raise QuestionError(f"its {field} is {text!r}")
    except (ValueError, RecursionError, QuestionError) as error:
        raise LabelError(f"{name} is not a label ({error}): move it, since that prefix is for labels only.") from error
    return Label(question, **texts)


def read_message(body: str) -> Question:
    """Read a message of the state Send To Review. Raises QuestionError."""
    message = json_object(body)
    return _read_question(message, guess=message.get("label"))


def now() -> str:
    """Return the time in the format of labels and the predictions table, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_question(fields: dict[str, Any], guess: object) -> Question:
    """Read the fields that messages and labels have in common. Raises QuestionError."""
    picture = find_picture(fields)
    if picture is None:
        raise QuestionError(f"it names no picture: {str(fields)[:120]}")
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:  # a lone surrogate, which JSON can spell
        raise QuestionError(f"it has text that is not Unicode: {str(fields)[:120]}") from error
    likeliest = _text(guess)
    class_names = tuple(dict.fromkeys(_all(fields.get("class_names"), _text)))
    if not class_names and likeliest:
        class_names = (likeliest,)
    if NEITHER in class_names:
        raise QuestionError(f"its class {NEITHER!r} is reserved for pictures without any class")
    inferences = _all(fields.get("inferences"), _number)
    return Question(
        picture,
        guess=likeliest,
        confidence=_number(fields.get("confidence")),
        inferences=inferences if len(inferences) == len(class_names) else (),
        class_names=class_names,
        threshold=_number(fields.get("threshold")),
        endpoint_name=_text(fields.get("endpoint_name")),
        execution_arn=_text(fields.get("execution_arn")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None  # JSON can spell an infinite one, or NaN


def _all(values: object, read: Callable[[object], Item | None]) -> tuple[Item, ...]:
    """Read each value of a list; return nothing if one cannot be read."""
    found = [read(value) for value in values] if isinstance(values, list) else []
    known = tuple(value for value in found if value is not None)
    return known if len(known) == len(found) else ()
