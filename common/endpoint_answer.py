"""Read an image classification endpoint's answer, in either of the two shapes that there are."""

import json
from collections.abc import Sequence

from common.errors import ExpectedError

SUM_TOLERANCE = 1e-3  # probabilities are printed with few digits


class AnswerError(ExpectedError):
    """The endpoint's answer is not probabilities that could be read off safely."""


def read_answer(body: bytes, class_names: Sequence[str] | None) -> dict[str, float]:
    """Return the probability of each class.

    This project's endpoint answers `{"labels": [...], "probabilities": [...]}`; SageMaker's
    built-in algorithm answers a bare list, which `class_names` name in its order.
    Raises AnswerError.
    """
    try:
        answer = json.loads(body)
    except (
        ValueError,
        RecursionError,
    ) as error:  # the second of lists within lists, thousands deep
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
        and all(0 <= p <= 1 for p in answer)  # which NaN is not either
        and abs(sum(answer) - 1) <= SUM_TOLERANCE
    )


def _is_text(name: object) -> bool:
    """Tell text from half a letter, such as JSON's "\\ud800", which no file could hold."""
    return isinstance(name, str) and not any("\ud800" <= letter <= "\udfff" for letter in name)
