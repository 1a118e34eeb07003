"""Read the answer of an image classification endpoint, in either of its two shapes."""

import json
from collections.abc import Sequence

from common.errors import ExpectedError

SUM_TOLERANCE = 1e-3  # probabilities are printed with few digits


class AnswerError(ExpectedError):
    """The endpoint's answer does not hold valid probabilities and labels."""


def read_answer(body: bytes, class_names: Sequence[str] | None) -> dict[str, float]:
    """Return the probability of each class.

    This project's endpoint answers `{"labels": [...], "probabilities": [...]}`, SageMaker's built-in algorithm a
    bare list in the order of `class_names`. Raises AnswerError.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:  # RecursionError: thousands of nested lists
        raise AnswerError(f"the endpoint answered {body[:80]!r}, which is not JSON") from error
    names: object = class_names
    if isinstance(answer, dict):
        names, answer = answer.get("labels"), answer.get("probabilities")
    if not _are_probabilities(answer):
        raise AnswerError(f"the endpoint answered {body[:80]!r}, which is not probabilities")
    if names is None:
        raise AnswerError("the endpoint answers a bare list: give its classes with --class-names")
    if not isinstance(names, list | tuple) or not all(map(_is_text, names)):
        raise AnswerError(f"the endpoint answered {body[:80]!r}, whose labels are not texts")
    if len(names) != len(answer) or len(set(names)) != len(names):
        raise AnswerError(
            f"the endpoint answered {len(answer)} probabilities for the classes"
            f" {', '.join(names)}: no label could be trusted"
        )
    return dict(zip(names, map(float, answer), strict=True))


def _are_probabilities(answer: object) -> bool:
    return (
        isinstance(answer, list)
        and all(isinstance(p, int | float) and not isinstance(p, bool) for p in answer)
        and all(0 <= p <= 1 for p in answer)  # false for NaN too
        and abs(sum(answer) - 1) <= SUM_TOLERANCE
    )


def _is_text(name: object) -> bool:
    """Tell whether it is text without a lone surrogate, such as JSON's "\\ud800", which UTF-8 cannot encode."""
    return isinstance(name, str) and not any("\ud800" <= letter <= "\udfff" for letter in name)
