"""The prediction of one version of a picture: its key, its item in the predictions table, its outcome.

The state machine and the review page write the items; the function Filter Low Confidence applies the acceptance rule.
State machine and function import nothing of the project: tests/unit/common/test_predictions.py holds both to the names
and the rule below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from common.s3_picture import S3Picture

Outcome = Literal["accepted", "review", "failed"]
ACCEPTED: Outcome = "accepted"
REVIEW: Outcome = "review"
FAILED: Outcome = "failed"  # a failed picture has no item
REVIEWED = "reviewed"  # replaces "review" in the table once a person has decided

# The error of an execution whose picture is in review.
LOW_CONFIDENCE_ERROR = "THRESHOLD_CONFIDENCE_NOT_MET"


class PredictionKey(NamedTuple):
    """The key of an item: the object's s3:// address, and its version, "null" in a bucket without versions."""

    picture: str
    version_id: str

    @classmethod
    def of(cls, picture: S3Picture) -> "PredictionKey":
        """Return the key of a picture's item."""
        return cls(picture.uri, picture.version_id or "null")

    def attributes(self) -> dict[str, dict[str, str]]:
        """Return the key as DynamoDB takes it."""
        return {"picture": {"S": self.picture}, "version_id": {"S": self.version_id}}


@dataclass(frozen=True)
class Prediction:
    """An item of the predictions table; an attribute that the item lacks is None.

    Attributes:
        key: picture and version.
        stored_outcome: "accepted", "review" or "reviewed", or a value of another version of the workflow.
        queued: whether the message of a picture in review is in the review queue.
        label: class of the answer, or a person's decision.
        guess: the model's most likely class, of a picture in review.
        confidence: probability of the label or guess, in [0, 1].
        execution_arn: the execution that decided.
        decided_by: the person who decided.
        decided_at: time of the decision, as ISO 8601.
    """

    key: PredictionKey
    stored_outcome: str | None = None
    queued: bool = False
    label: str | None = None
    guess: str | None = None
    confidence: float | None = None
    execution_arn: str | None = None
    decided_by: str | None = None
    decided_at: str | None = None

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of the picture, None while there is none.

        A review whose message is not queued yet may still fail, and an answer without a label is no answer.
        """
        if self.stored_outcome == REVIEW:
            return REVIEW if self.queued else None
        if self.label is None:
            return None
        return {ACCEPTED: ACCEPTED, REVIEWED: REVIEW}.get(self.stored_outcome or "")


def read_item(item: Mapping[str, Any]) -> Prediction:
    """Read an item as DynamoDB returns it; any attribute may be missing."""
    confidence = _value(item, "confidence", "N")
    return Prediction(
        PredictionKey(_value(item, "picture", "S") or "", _value(item, "version_id", "S") or ""),
        stored_outcome=_value(item, "outcome", "S"),
        queued=_value(item, "queued", "BOOL") is True,
        confidence=None if confidence is None else float(confidence),
        **{name: _value(item, name, "S") for name in ("label", "guess", "execution_arn", "decided_by", "decided_at")},
    )


def fetch_prediction(dynamodb: Any, table: str, picture: S3Picture) -> Prediction:
    """Return what the table has of a picture, read consistently; without an item, every attribute is None."""
    answer = dynamodb.get_item(TableName=table, Key=PredictionKey.of(picture).attributes(), ConsistentRead=True)
    return read_item(answer.get("Item", {}))


def _value(item: Mapping[str, Any], name: str, kind: str) -> Any:
    return item.get(name, {}).get(kind)


def meets_threshold(confidence: float | None, threshold: float) -> bool:
    """Tell whether a confidence meets the threshold; None does not."""
    return confidence is not None and confidence >= threshold


def is_accepted(probabilities: Sequence[float], threshold: float) -> bool:
    """Apply the acceptance rule: the highest probability meets the threshold, and no other class has the same."""
    confidence = max(probabilities)
    return meets_threshold(confidence, threshold) and list(probabilities).count(confidence) == 1
