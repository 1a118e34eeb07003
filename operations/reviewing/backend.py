"""What a review uses of AWS: the review queue, the labels in S3, the predictions table and the served models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from common.errors import ExpectedError, none_if_missing
from common.labels.label import Label, Question, label_key, read_label
from common.predictions import REVIEW, REVIEWED, Prediction, PredictionKey, fetch_prediction, read_item
from common.s3_picture import S3Picture
from common.settings import LABELS_PREFIX
from operations.reviewing.page_picture import PagePicture

PUT_TRIES = 5  # of a label whose write conflicts with another one of the same key
# Long polling asks every server of SQS, so that an empty answer means an empty queue.
POLL_SECONDS = 1
BATCH = 10  # messages; SQS's limit of each call
# SQS's codes for a message that is deleted, or that another program has received.
LOST_CODES = {"ReceiptHandleIsInvalid", "InvalidParameterValue"}
MODEL_CACHED_FOR = timedelta(minutes=1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class AlreadyDecidedError(ExpectedError):
    """The item has another answer, which stands."""

    def __init__(self, prediction: Prediction) -> None:
        """Say what the item has."""
        by = f" by {prediction.decided_by}" if prediction.decided_by else ""
        super().__init__(
            f"The predictions table has this picture as {prediction.stored_outcome}{by}: {prediction.label}. That"
            " answer stands."
        )


@dataclass(frozen=True)
class LabelStore:
    """The labels in a bucket. The first label of a version of a picture stands."""

    s3: Any
    bucket: str

    @property
    def uri(self) -> str:
        """Where labels go: s3://bucket/prefix/."""
        return f"s3://{self.bucket}/{LABELS_PREFIX}/"

    def find(self, picture: S3Picture) -> Label | None:
        """Return the label of a version of a picture. Raises LabelError for a damaged one."""
        key = label_key(picture)
        answer = none_if_missing(self.s3.get_object, "NoSuchKey", Bucket=self.bucket, Key=key)
        return answer and read_label(answer["Body"].read(), f"s3://{self.bucket}/{key}")

    def put(self, label: Label) -> Label:
        """Write a label unless there is one; return the one that stands.

        It is this one, too, if S3 stored it and the answer was lost.
        """
        request = {"Bucket": self.bucket, "Key": label.key, "Body": label.body()}
        for tries_left in reversed(range(PUT_TRIES)):
            try:
                self.s3.put_object(**request, ContentType="application/json", IfNoneMatch="*")
                break
            except ClientError as error:
                # Another write of the same key was first, or is under way.
                if _code(error) == "PreconditionFailed" and (standing := self.find(label.question.picture)):
                    return standing
                if not tries_left or _code(error) not in {"PreconditionFailed", "ConditionalRequestConflict"}:
                    raise
        return label

    def delete(self, label: Label) -> None:
        """Delete a label, unless another one has replaced it."""
        if self.find(label.question.picture) == label:
            self.s3.delete_object(Bucket=self.bucket, Key=label.key)


@dataclass(frozen=True)
class PredictionsTable:
    """Writes decisions to the items of the predictions table, and undoes them."""

    dynamodb: Any
    name: str

    def record(self, label: Label) -> str:
        """Give the picture's item the outcome "reviewed" and its label; create it if it is missing.

        The state Already Decided reads `label`, `confidence` and `threshold`: the last two stay those of the model's
        guess. The call is idempotent. Returns the item's previous `decided_at`, for `undo`. Raises AlreadyDecidedError.
        """
        question = label.question
        changes = ["outcome = :reviewed", "#label = :label", "decided_by = :by", "decided_at = :at"]
        values = {}
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
        answer = self._update(
            label,
            f"SET {', '.join(changes)}",
            condition="attribute_not_exists(picture) OR outcome = :review",
            values=values,
        )
        if answer is not None:
            before = read_item(answer.get("Attributes", {}))
        else:
            before = fetch_prediction(self.dynamodb, self.name, question.picture)
            decision = (before.stored_outcome, before.label, before.decided_by, before.decided_at)
            if decision != (REVIEWED, label.label, label.decided_by, label.decided_at):
                raise AlreadyDecidedError(before)
        return before.decided_at or label.decided_at

    def undo(self, label: Label, decided_at: str) -> bool:
        """Put the item back into review, with this `decided_at`; return False if it has another decision."""
        answer = self._update(
            label,
            # Its message is in the queue, so the workflow must not send another one.
            "SET outcome = :review, queued = :yes, decided_at = :was REMOVE #label, decided_by",
            condition="outcome = :reviewed AND #label = :label AND decided_by = :by AND decided_at = :at",
            values={":yes": {"BOOL": True}, ":was": {"S": decided_at}},
        )
        return answer is not None

    def _update(self, label: Label, update: str, *, condition: str, values: dict[str, Any]) -> dict[str, Any] | None:
        """Update the item of the label's picture; return the answer, None if the condition is not met."""
        decision = {
            ":review": {"S": REVIEW},
            ":reviewed": {"S": REVIEWED},
            ":label": {"S": label.label},
            ":by": {"S": label.decided_by},
            ":at": {"S": label.decided_at},
        }
        answer: dict[str, Any] | None = none_if_missing(
            self.dynamodb.update_item,
            "ConditionalCheckFailedException",
            TableName=self.name,
            Key=PredictionKey.of(label.question.picture).attributes(),
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames={"#label": "label"},
            ExpressionAttributeValues=decision | values,
            ReturnValues="ALL_OLD",
        )
        return answer


@dataclass
class Message:
    """A message in flight. Its receipt changes each time that it is received."""

    message_id: str
    receipt: str
    body: str
    sent: datetime


@dataclass(frozen=True)
class ReviewQueue:
    """The review queue: a message in flight is a picture on somebody's page."""

    sqs: Any
    url: str

    def hold_seconds(self) -> int:
        """Return how long SQS hides a received message: the template's VisibilityTimeout."""
        return self._attributes("VisibilityTimeout")[0]

    def waiting(self) -> tuple[int, int]:
        """Return about how many messages are visible, and about how many are in flight."""
        visible, in_flight = self._attributes("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return visible, in_flight

    def receive(self, most: int) -> list[Message]:
        """Receive up to `most` messages (10 at most); the queue hides them for its VisibilityTimeout."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=POLL_SECONDS,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        return [
            Message(
                message["MessageId"],
                message["ReceiptHandle"],
                message["Body"],
                datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
            )
            for message in answer.get("Messages", [])
        ]

    def hide(self, messages: Sequence[Message], seconds: int) -> set[str]:
        """Hide messages for so long from now on, 0 to show them again; return the ids of lost ones.

        This program loses a message that is deleted, that another one has received, or that has been in flight for
        twelve hours.
        """
        lost: set[str] = set()
        for start in range(0, len(messages), BATCH):
            batch = messages[start : start + BATCH]
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
                for number, message in enumerate(batch)
            ]
            answer = self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)
            lost |= {
                batch[int(entry["Id"])].message_id
                for entry in answer.get("Failed", [])
                if entry["SenderFault"]  # otherwise SQS failed, and the next call may succeed
            }
        return lost

    def delete(self, message: Message) -> None:
        """Delete a message, unless this program has lost it."""
        try:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message.receipt)
        except ClientError as error:
            if _code(error) not in LOST_CODES:
                raise

    def send(self, body: str) -> None:
        """Queue a question again whose message another program has deleted."""
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def _attributes(self, *names: str) -> list[int]:
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=list(names))
        return [int(answer["Attributes"][name]) for name in names]


class ServedModels:
    """Finds the model that made a guess: the one that the endpoint serves, if it was deployed before the guess."""

    def __init__(self, sagemaker: Any) -> None:
        """Use this client of SageMaker."""
        self._sagemaker = sagemaker
        self._cache: dict[str, tuple[datetime, str | None, datetime | None]] = {}

    def name(self, endpoint: str | None, guessed: datetime) -> str | None:
        """Return the model's name, None if it is unknown or has changed since the guess."""
        if endpoint is None:
            return None
        asked, model, since = self._cache.get(endpoint, (LONG_AGO, None, None))
        # A cached answer says nothing about a later guess.
        if guessed > asked or _now() - asked > MODEL_CACHED_FOR:
            asked = _now()
            model, since = self._ask(endpoint)
            self._cache[endpoint] = (asked, model, since)
        return model if since is not None and since <= guessed else None

    def _ask(self, endpoint: str) -> tuple[str | None, datetime | None]:
        try:
            found = self._sagemaker.describe_endpoint(EndpointName=endpoint)
            config = self._sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        except (ClientError, BotoCoreError):  # deleted, or access denied: a label without its model is still useful
            return None, None
        models = {variant.get("ModelName") for variant in config["ProductionVariants"]}
        return (models.pop() if len(models) == 1 else None), found["LastModifiedTime"]


@dataclass(frozen=True)
class Backend:
    """Where pictures come from and decisions go."""

    queue: ReviewQueue
    labels: LabelStore
    table: PredictionsTable
    models: ServedModels
    read: Callable[[Question], PagePicture]


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _now() -> datetime:
    return datetime.now(UTC)
