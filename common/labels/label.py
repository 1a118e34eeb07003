"""A label: what one person decided about one version of a picture, as a JSON object in S3."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from common.errors import ExpectedError
from common.labels.question import Question, QuestionError, read_question
from common.s3_picture import S3Picture
from common.settings import LABELS_PREFIX

MOVE = "move it, since that prefix is for labels only"
# A label's key: the checksum of the picture's bucket and key, and its version.
KEY_PATTERN = re.compile(rf"{LABELS_PREFIX}/[0-9a-f]{{64}}/[^/]+\.json")


class LabelError(ExpectedError):
    """An object below the labels' prefix is not a label."""


@dataclass(frozen=True)
class Label:
    """A person's decision about a picture.

    Attributes:
        question: the picture, and the model's answer.
        label: the class, or `question.NEITHER`.
        decided_by: the person.
        decided_at: time in UTC as ISO 8601.
        model: name of the model that answered, None if it is unknown.
    """

    question: Question
    label: str
    decided_by: str
    decided_at: str
    model: str | None

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


def read_label(content: bytes, where: str) -> Label:
    """Read a label object's content; `where` names it in an error. Raises LabelError."""
    try:
        fields: Any = json.loads(content)
        if not isinstance(fields, dict):
            raise QuestionError("it is not a JSON object")
        question = read_question(fields, fields.get("guess"))
    except (ValueError, RecursionError, QuestionError) as error:
        raise LabelError(f"{where} is not a label ({error}): {MOVE}.") from error
    texts: dict[str, Any] = {name: fields.get(name) for name in ("label", "decided_by", "decided_at", "model")}
    for name, text in texts.items():
        if not (isinstance(text, str) and text) and not (name == "model" and text is None):
            raise LabelError(f"{where} is not a label (its {name} is {text!r}): {MOVE}.")
    return Label(question, **texts)


def now() -> str:
    """Return the time in the format of labels and the predictions table, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
