"""What the workflow asks a person: one version of a picture, and what the model makes of it."""

import json
import math
from dataclasses import dataclass
from typing import Any

from common.errors import ExpectedError
from common.s3_picture import Picture, find_picture, json_object

NEITHER = "neither"  # what people decide where none of the classes is in the picture


class QuestionError(ExpectedError):
    """A message of the review queue, or a label, is none that anybody could decide."""


@dataclass(frozen=True)
class Question:
    """A picture to decide. What was not told is None, or empty.

    Attributes:
        picture: which version of which object.
        guess: the class that the model holds for likeliest.
        confidence: its probability of that, in [0, 1].
        inferences: probabilities in the order of `class_names`, or none.
        class_names: the classes there are to choose from.
        threshold: what the confidence was held against, in [0, 1].
        endpoint_name: the endpoint that answered.
        execution_arn: the execution that queued it.
    """

    picture: Picture
    guess: str | None
    confidence: float | None
    inferences: tuple[float, ...]
    class_names: tuple[str, ...]
    threshold: float | None
    endpoint_name: str | None
    execution_arn: str | None

    def probabilities(self) -> list[tuple[str, float | None]]:
        """Return each class with its probability, where the model's answer came along."""
        known = dict(zip(self.class_names, self.inferences, strict=False))
        return [(name, known.get(name)) for name in self.class_names]


def read_message(body: str) -> Question:
    """Read what the state Send To Review writes. Raises QuestionError."""
    message = json_object(body)
    return read_question(message, guess=message.get("label"))


def read_question(fields: dict[str, Any], guess: object) -> Question:
    """Read the fields that messages and labels have in common. Raises QuestionError."""
    picture = find_picture(fields)
    if picture is None:
        raise QuestionError(f"it names no picture: {str(fields)[:120]}")
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:  # half of a pair of surrogates, which JSON can spell
        raise QuestionError(f"it has text that is none: {str(fields)[:120]}") from error
    names = _texts(fields.get("class_names"))
    inferences = _numbers(fields.get("inferences"))
    label = guess if isinstance(guess, str) and guess else None
    if not names and label:
        names = (label,)
    if NEITHER in names:
        raise QuestionError(f"its class {NEITHER!r} is what people choose where none fits")
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
    found = [_number(number) for number in value] if isinstance(value, list) else []
    return tuple(number for number in found if number is not None)
