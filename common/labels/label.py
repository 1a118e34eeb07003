"""A label: what one person decided about one version of a picture, as a JSON object in S3."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from common.errors import ExpectedError
from common.labels.question import Question, QuestionError, read_question
from common.s3_picture import Picture
from common.settings import LABELS_PREFIX

MOVE = "move it, since nothing but labels may lie there"
# A label's key: the checksum of the picture's place, and its version.
KEY_PATTERN = re.compile(rf"{LABELS_PREFIX}/[0-9a-f]{{64}}/[^/]+\.json")


class LabelError(ExpectedError):
    """An object among the labels is not one."""


@dataclass(frozen=True)
class Label:
    """A decision.

    Attributes:
        question: the picture, and what the model made of it.
        label: the class, or `question.NEITHER`.
        decided_by: who decided.
        decided_at: when, in UTC as ISO 8601.
        model: name of the model that had guessed, None where it can no longer be told.
    """

    question: Question
    label: str
    decided_by: str
    decided_at: str
    model: str | None

    @property
    def key(self) -> str:
        """The label's key in the training bucket: one for each version of a picture."""
        return label_key(self.question.picture)

    def body(self) -> bytes:
        """Return the object's content: one JSON object, in lines."""
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


def label_key(picture: Picture) -> str:
    """Return the key of a picture's label in the training bucket."""
    # The picture's own key may be as long as a key can be: its checksum stands for it.
    place = hashlib.sha256(f"{picture.bucket}/{picture.key}".encode()).hexdigest()
    return f"{LABELS_PREFIX}/{place}/{picture.version_id or 'null'}.json"


def is_label_key(key: str) -> bool:
    """Tell whether an object of that key is a label of this project's."""
    return KEY_PATTERN.fullmatch(key) is not None


def read_label(content: bytes, where: str) -> Label:
    """Read a label object's content; `where` names it in an error. Raises LabelError."""
    try:
        fields: Any = json.loads(content)
        if not isinstance(fields, dict):
            raise QuestionError("it is no JSON object")
        question = read_question(fields, fields.get("guess"))
    except (ValueError, RecursionError, QuestionError) as error:
        raise LabelError(f"{where} is no label ({error}): {MOVE}.") from error
    texts: dict[str, Any] = {name: fields.get(name) for name in ("label", "decided_by", "decided_at", "model")}
    for name, text in texts.items():
        if not (isinstance(text, str) and text) and not (name == "model" and text is None):
            raise LabelError(f"{where} is no label (its {name} is {text!r}): {MOVE}.")
    return Label(question, **texts)


def now() -> str:
    """Return the time as labels and the predictions table have it, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
