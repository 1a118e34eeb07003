"""Write a person's decision to the picture's item in the predictions table, and undo it."""

from typing import Any

from botocore.exceptions import ClientError

from common.errors import ExpectedError
from common.labels.label import Label
from common.predictions import REVIEW, REVIEWED, Prediction, PredictionKey, read_item
from common.s3_picture import S3Picture


class AlreadyDecidedError(ExpectedError):
    """The item has another answer, which stands."""

    def __init__(self, prediction: Prediction) -> None:
        """Say what the item has."""
        by = f" by {prediction.decided_by}" if prediction.decided_by else ""
        super().__init__(
            f"The predictions table has this picture as {prediction.stored_outcome}{by}: {prediction.label}. That"
            " answer stands."
        )


class PredictionsTable:
    """Writes decisions to the items of a table."""

    def __init__(self, dynamodb: Any, name: str) -> None:
        """Write to the table `name`."""
        self._dynamodb, self._name = dynamodb, name

    def record(self, label: Label) -> str:
        """Give the picture's item the outcome "reviewed" and its label; create it if it is missing.

        The state Already Decided reads `label`, `confidence` and `threshold`: the last two stay those of the model's
        guess. The call is idempotent. Returns the item's previous `decided_at`, for `undo`. Raises AlreadyDecidedError.
        """
        question = label.question
        changes = ["outcome = :reviewed", "#label = :label", "decided_by = :by", "decided_at = :at"]
        values = _decision_values(label)
        guess = {
            "guess": ("S", question.guess),
            "confidence": ("N", None if question.confidence is None else repr(question.confidence)),
            "threshold": ("N", None if question.threshold is None else repr(question.threshold)),
            "endpoint_name": ("S", question.endpoint_name),
            "execution_arn": ("S", question.execution_arn),
        }
        for name, (kind, value) in guess.items():
            if value is not None:  # what the state Claim Review wrote stays
                values[f":{name}"] = {kind: value}
                changes.append(f"{name} = if_not_exists({name}, :{name})")
        try:
            answer = self._dynamodb.update_item(
                TableName=self._name,
                Key=PredictionKey.of(question.picture).attributes(),
                UpdateExpression=f"SET {', '.join(changes)}",
                ConditionExpression="attribute_not_exists(picture) OR outcome = :review",
                ExpressionAttributeNames={"#label": "label"},
                ExpressionAttributeValues=values,
                ReturnValues="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            before = self._read(question.picture)
            decision = (before.stored_outcome, before.label, before.decided_by, before.decided_at)
            if decision != (REVIEWED, label.label, label.decided_by, label.decided_at):
                raise AlreadyDecidedError(before) from error
        else:
            before = read_item(answer.get("Attributes", {}))
        return before.decided_at or label.decided_at

    def undo(self, label: Label, decided_at: str) -> bool:
        """Put the item back into review, with this `decided_at`; return False if it has another decision."""
        try:
            self._dynamodb.update_item(
                TableName=self._name,
                Key=PredictionKey.of(label.question.picture).attributes(),
                # Its message is in the queue, so the workflow must not send another one.
                UpdateExpression="SET outcome = :review, queued = :yes, decided_at = :was REMOVE #label, decided_by",
                ConditionExpression="outcome = :reviewed AND #label = :label AND decided_by = :by AND decided_at = :at",
                ExpressionAttributeNames={"#label": "label"},
                ExpressionAttributeValues=_decision_values(label) | {":yes": {"BOOL": True}, ":was": {"S": decided_at}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _read(self, picture: S3Picture) -> Prediction:
        key = PredictionKey.of(picture).attributes()
        return read_item(self._dynamodb.get_item(TableName=self._name, Key=key, ConsistentRead=True).get("Item", {}))


def _decision_values(label: Label) -> dict[str, dict[str, Any]]:
    return {
        ":review": {"S": REVIEW},
        ":reviewed": {"S": REVIEWED},
        ":label": {"S": label.label},
        ":by": {"S": label.decided_by},
        ":at": {"S": label.decided_at},
    }
