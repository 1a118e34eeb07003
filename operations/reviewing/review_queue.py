"""The review queue: a message in flight is a picture on somebody's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

# Long polling asks every server of SQS, so that an empty answer means an empty queue.
POLL_SECONDS = 1
# SQS's codes for a message that is deleted, or in flight for somebody else.
LOST_CODES = {"ReceiptHandleIsInvalid", "InvalidParameterValue"}


@dataclass
class Message:
    """A message in flight. Its receipt changes each time that it is received."""

    message_id: str
    receipt: str
    body: str
    sent: datetime


class ReviewQueue:
    """Receives, hides and deletes messages."""

    def __init__(self, sqs: Any, url: str) -> None:
        """Use the queue at `url`."""
        self._sqs, self._url = sqs, url

    def hold_seconds(self) -> int:
        """Return how long SQS hides a received message: the template's VisibilityTimeout."""
        return int(self._attributes("VisibilityTimeout")["VisibilityTimeout"])

    def waiting(self) -> tuple[int, int]:
        """Return about how many messages are visible, and about how many are in flight."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self._attributes(*names)
        return int(found[names[0]]), int(found[names[1]])

    def receive(self, most: int) -> list[Message]:
        """Receive up to `most` messages (10 at most); the queue hides them for its VisibilityTimeout."""
        found = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=POLL_SECONDS,
            MessageSystemAttributeNames=["SentTimestamp"],
        ).get("Messages", [])
        return [
            Message(
                item["MessageId"],
                item["ReceiptHandle"],
                item["Body"],
                datetime.fromtimestamp(int(item["Attributes"]["SentTimestamp"]) / 1000, UTC),
            )
            for item in found
        ]

    def hide(self, messages: Sequence[Message], seconds: int) -> set[str]:
        """Hide messages for so long from now on, 0 to show them again; return the ids of lost ones.

        This program loses a message that is deleted, that somebody else has received, or that has been in flight for
        twelve hours.
        """
        lost: set[str] = set()
        for start in range(0, len(messages), 10):
            batch = messages[start : start + 10]
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
                for number, message in enumerate(batch)
            ]
            answer = self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            lost |= {
                batch[int(entry["Id"])].message_id
                for entry in answer.get("Failed", [])
                if entry["SenderFault"]  # otherwise SQS failed, and the next call may succeed
            }
        return lost

    def delete(self, message: Message) -> None:
        """Delete a message, unless this program has lost it."""
        try:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)
        except ClientError as error:
            if error.response["Error"]["Code"] not in LOST_CODES:
                raise

    def send(self, body: str) -> None:
        """Queue a question again after somebody else has deleted its message."""
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body)

    def _attributes(self, *names: str) -> dict[str, str]:
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=list(names))
        found: dict[str, str] = answer["Attributes"]
        return found
