"""The question to a person: which class has one version of a picture, given the model's answer."""

import json
import math
from dataclasses import dataclass
from typing import Any

from common.errors import ExpectedError
from common.s3_picture import S3Picture, find_picture, json_object

NEITHER = "neither"  # the label of a picture without any of the classes


class QuestionError(ExpectedError):
    """A message of the review queue, or a label, has no question that a person can answer."""


@dataclass(frozen=True)
class Question:
    """A picture to decide. A field that the message lacks is None, or empty.

    Attributes:
        picture: the version of an object.
        guess: the model's likeliest class.
        confidence: the probability of the guess, in [0, 1].
        inferences: probabilities in the order of `class_names`, or none.
        class_names: the classes to choose from.
        threshold: the confidence threshold, in [0, 1].
        endpoint_name: the endpoint that answered.
        execution_arn: the execution that queued it.
    """

    picture: S3Picture
    guess: str | None
    confidence: float | None
    inferences: tuple[float, ...]
    class_names: tuple[str, ...]
    threshold: float | None
    endpoint_name: str | None
    execution_arn: str | None

    def probabilities(self) -> list[tuple[str, float | None]]:
        """Return each class with its probability, None if the message has none."""
        known = dict(zip(self.class_names, self.inferences, strict=False))
        return [(name, known.get(name)) for name in self.class_names]


def read_message(body: str) -> Question:
    """Read a message of the state Send To Review. Raises QuestionError."""
    message = json_object(body)
    return read_question(message, guess=message.get("label"))


def read_question(fields: dict[str, Any], guess: object) -> Question:
    """Read the fields that messages and labels have in common. Raises QuestionError."""
    picture = find_picture(fields)
    if picture is None:
        raise QuestionError(f"it names no picture: {str(fields)[:120]}")
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:  # a lone surrogate, which JSON can spell
        raise QuestionError(f"it has text that is not Unicode: {str(fields)[:120]}") from error
    names = _texts(fields.get("class_names"))
    inferences = _numbers(fields.get("inferences"))
    label = guess if isinstance(guess, str) and guess else None
    if not names and label:
        names = (label,)
    if NEITHER in names:
        raise QuestionError(f"its class {NEITHER!r} is reserved for pictures without any class")
    return Question(
        picture,
        guess=label,
        confidence=_number(fields.get("confidence")),
        inferences=inferences if len(inferences) == len(names) else (),
        class_names=names,
        threshold=_number(fields.get("threshold")),
        endpoint_name=_text(fields.get("endpoint_name")),
        execution_arn=_text(fields.get("execution_arn")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        return ()
    return tuple(dict.fromkeys(value))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _numbers(value: object) -> tuple[float, ...]:
    numbers = map(_number, value) if isinstance(value, list) else ()
    return tuple(number for number in numbers if number is not None)
