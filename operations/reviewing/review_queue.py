"""The review queue: a message that is in flight is a picture that somebody looks at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

# Long polling asks every server of SQS; without it an empty answer says little.
POLL_SECONDS = 1
# SQS's ways of saying that the message is gone, or in somebody else's hands by now.
LOST_CODES = {"ReceiptHandleIsInvalid", "InvalidParameterValue"}


@dataclass
class Message:
    """A message in flight. Its receipt changes each time that SQS hands it out."""

    message_id: str
    receipt: str
    body: str
    sent: datetime


class ReviewQueue:
    """Takes messages out of everybody's sight, puts them back, deletes them."""

    def __init__(self, sqs: Any, url: str) -> None:
        """Use the queue at `url`."""
        self._sqs, self._url = sqs, url

    def hold_seconds(self) -> int:
        """Return how long SQS hides a received message: the template's VisibilityTimeout."""
        return int(self._attributes("VisibilityTimeout")["VisibilityTimeout"])

    def waiting(self) -> tuple[int, int]:
        """Return about how many messages wait, and about how many somebody has or put off."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self._attributes(*names)
        return int(found[names[0]]), int(found[names[1]])

    def receive(self, most: int) -> list[Message]:
        """Take up to `most` messages (10 at most), for as long as the queue hides them."""
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
        """Hide messages for so long from now on, 0 to put them back; return the ids of lost ones.

        A message is lost to this program when it is deleted, somebody else has it, or after the
        twelve hours that SQS lets anybody have one.
        """
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
            for number, message in enumerate(messages)
        ]
        if not entries:
            return set()
        ids = [message.message_id for message in messages]
        lost: set[str] = set()
        for start in range(0, len(entries), 10):
            answer = self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries[start : start + 10])
            lost |= {
                ids[int(entry["Id"])]
                for entry in answer.get("Failed", [])
                if entry["SenderFault"]  # else SQS could not do it now, and will the next time
            }
        return lost

    def delete(self, message: Message) -> None:
        """Delete a message, unless it is no longer this program's to delete."""
        try:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)
        except ClientError as error:
            if error.response["Error"]["Code"] not in LOST_CODES:
                raise

    def send(self, body: str) -> None:
        """Queue a question again, whose message somebody else has finished."""
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body)

    def _attributes(self, *names: str) -> dict[str, str]:
        found: dict[str, str] = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=list(names))[
            "Attributes"
        ]
        return found
