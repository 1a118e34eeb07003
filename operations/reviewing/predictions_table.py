"""The record of a decision in the predictions table, where the workflow reads it."""

from typing import Any

from botocore.exceptions import ClientError

from common.errors import ExpectedError
from common.labels.label import Label
from common.s3_picture import Picture

REVIEW, REVIEWED = "review", "reviewed"


class AlreadyDecidedError(ExpectedError):
    """The table has another answer for this version of the picture, and that one stands."""

    def __init__(self, item: dict[str, Any]) -> None:
        """Say what the table's item has."""
        self.outcome, self.label = _text(item, "outcome"), _text(item, "label")
        by = f" by {_text(item, 'decided_by')}" if _text(item, "decided_by") else ""
        super().__init__(
            f"The predictions table has this picture as {self.outcome}{by}: {self.label}. That answer stands."
        )


class PredictionsTable:
    """Marks items as reviewed, and takes that back."""

    def __init__(self, dynamodb: Any, name: str) -> None:
        """Write to the table `name`."""
        self._dynamodb, self._name = dynamodb, name

    def record(self, label: Label) -> str:
        """Give the picture's item the outcome "reviewed" and its label; writes it where it lacks.

        The state Already Decided reads `label`, `confidence` and `threshold`: the last two stay
        those of the model's guess. Returns the `decided_at` that the item had before, for
        `take_back`. Written twice it is the same. Raises AlreadyDecidedError.
        """
        question = label.question
        values = {
            ":review": {"S": REVIEW},
            ":reviewed": {"S": REVIEWED},
            ":label": {"S": label.label},
            ":by": {"S": label.decided_by},
            ":at": {"S": label.decided_at},
        }
        changes = ["outcome = :reviewed", "#label = :label", "decided_by = :by", "decided_at = :at"]
        for name, value in {
            "guess": _string(question.guess),
            "confidence": _number(question.confidence),
            "threshold": _number(question.threshold),
            "endpoint_name": _string(question.endpoint_name),
            "execution_arn": _string(question.execution_arn),
        }.items():
            if value:  # what the claim wrote stays; an item that somebody deleted gets it anew
                values[f":{name}"] = value
                changes.append(f"{name} = if_not_exists({name}, :{name})")
        try:
            before = self._dynamodb.update_item(
                TableName=self._name,
                Key=_key(question.picture),
                UpdateExpression=f"SET {', '.join(changes)}",
                ConditionExpression="attribute_not_exists(picture) OR outcome = :review",
                ExpressionAttributeNames={"#label": "label"},
                ExpressionAttributeValues=values,
                ReturnValues="ALL_OLD",
            ).get("Attributes", {})
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            item = self._item(question.picture)
            mine = {
                "outcome": REVIEWED,
                "label": label.label,
                "decided_by": label.decided_by,
                "decided_at": label.decided_at,
            }
            if any(_text(item, name) != value for name, value in mine.items()):
                raise AlreadyDecidedError(item) from error
            before = item
        return _text(before, "decided_at") or label.decided_at

    def take_back(self, label: Label, decided_at: str) -> bool:
        """Put the item back into review, with this `decided_at`; tell whether it had this label."""
        try:
            self._dynamodb.update_item(
                TableName=self._name,
                Key=_key(label.question.picture),
                # Its message is in the queue, so the workflow must not send another one.
                UpdateExpression="SET outcome = :review, queued = :yes, decided_at = :was REMOVE #label, decided_by",
                ConditionExpression="outcome = :reviewed AND #label = :label AND decided_by = :by AND decided_at = :at",
                ExpressionAttributeNames={"#label": "label"},
                ExpressionAttributeValues={
                    ":review": {"S": REVIEW},
                    ":reviewed": {"S": REVIEWED},
                    ":yes": {"BOOL": True},
                    ":was": {"S": decided_at},
                    ":label": {"S": label.label},
                    ":by": {"S": label.decided_by},
                    ":at": {"S": label.decided_at},
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _item(self, picture: Picture) -> dict[str, Any]:
        item: dict[str, Any] = self._dynamodb.get_item(
            TableName=self._name, Key=_key(picture), ConsistentRead=True
        ).get("Item", {})
        return item


def _key(picture: Picture) -> dict[str, Any]:
    return {"picture": {"S": picture.uri}, "version_id": {"S": picture.version_id or "null"}}


def _string(value: str | None) -> dict[str, str] | None:
    return None if value is None else {"S": value}


def _number(value: float | None) -> dict[str, str] | None:
    return None if value is None else {"N": repr(value)}


def _text(item: dict[str, Any], name: str) -> str:
    return str(item.get(name, {}).get("S", ""))
