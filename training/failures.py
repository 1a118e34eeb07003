"""What the queues of failures hold: messages of three shapes, and the pictures they are about.

The workflow tells of its own failures,
    {"s3_bucket", "s3_key", "s3_version_id", "error": {"Error", "Cause"}, "execution_arn"}
and EventBridge of what the workflow could not tell of: the `detail` of Step Functions' own event,
    {"executionArn", "stateMachineArn", "status", "error", "cause", "input": "<JSON>", ...}
whose input is the workflow's: a picture's place, S3's event, or a batch's {"s3_bucket", "prefix"}.
A dead letter is a whole event with such a detail, or S3's, and says in attributes why it is dead.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

RECEIVED_AT_ONCE = 10  # messages; SQS's limit, as is the next one's
BATCH = 10
# Long polling asks every server of SQS, so that an empty answer means an empty queue.
POLL_SECONDS = 2
# What was read stays away from others for so long, should this program be killed.
HIDDEN_SECONDS = 900


class Picture(NamedTuple):
    """A version of an object in S3; `version_id` is None where the message does not say."""

    bucket: str
    key: str
    version_id: str | None

    @property
    def uri(self) -> str:
        """The object's name, as the predictions table has it."""
        return f"s3://{self.bucket}/{self.key}"


class Failure(NamedTuple):
    """One message of the queue.

    Attributes:
        message_id: SQS's, the same each time that the message is received.
        receipt: what deletes the message.
        error: name of what went wrong, or the execution's status where there is none.
        cause: in words; may be empty.
        execution: ARN of the execution; may be empty.
        picture: what failed, None where it was no picture.
        batch: {"s3_bucket", "prefix"} of a batch that failed, otherwise None.
    """

    message_id: str
    receipt: str
    error: str
    cause: str
    execution: str
    picture: Picture | None
    batch: dict[str, str] | None


def read_failure(message: dict[str, Any]) -> Failure:
    """Read what SQS handed out. A body of no known shape becomes a failure of no picture."""
    body = json_object(message["Body"])
    if isinstance(body.get("detail"), dict):
        body = body["detail"]
    told = body.get("error")
    if isinstance(told, dict):  # the workflow's own words
        error, cause, where = told.get("Error"), told.get("Cause"), body
        execution = body.get("execution_arn")
    else:
        error = told or body.get("status") or attribute(message, "ERROR_CODE")
        cause = body.get("cause") or attribute(message, "ERROR_MESSAGE")
        where = json_object(body["input"]) if "input" in body else body
        execution = body.get("executionArn")
    picture = find_picture(where)
    return Failure(
        message["MessageId"],
        message["ReceiptHandle"],
        error=str(error or "no name"),
        cause=str(cause or ""),
        execution=str(execution or ""),
        picture=picture,
        batch=None if picture else find_batch(where),
    )


def attribute(message: dict[str, Any], name: str) -> str:
    """Return what EventBridge notes on a dead letter, nothing where it does not."""
    return str(message.get("MessageAttributes", {}).get(name, {}).get("StringValue", ""))


def json_object(text: Any) -> dict[str, Any]:
    """Return the JSON object that a text is, an empty one where it is none."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def find_picture(where: dict[str, Any]) -> Picture | None:
    """Return the picture that an execution's input names, as itself or by S3's event."""
    bucket, key, version = (where.get(n) for n in ("s3_bucket", "s3_key", "s3_version_id"))
    if isinstance(where.get("object"), dict) and isinstance(where.get("bucket"), dict):
        bucket, key = where["bucket"].get("name"), where["object"].get("key")
        version = where["object"].get("version-id")
    if not (isinstance(bucket, str) and isinstance(key, str) and bucket and key):
        return None
    return Picture(bucket, key, version if isinstance(version, str) and version else None)


def find_batch(where: dict[str, Any]) -> dict[str, str] | None:
    """Return the batch that an execution's input asks for."""
    batch = {name: where.get(name) for name in ("s3_bucket", "prefix")}
    if not all(isinstance(value, str) for value in batch.values()):
        return None
    return {name: str(value) for name, value in batch.items()}


def read_queue(sqs: Any, queue_url: str, most: int) -> Iterator[list[Failure]]:
    """Yield messages as they are received, until the queue is empty or `most` are there.

    Nobody else sees them for `HIDDEN_SECONDS`. SQS may hand out a message twice.
    """
    received = 0
    while received < most:
        messages = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=min(RECEIVED_AT_ONCE, most - received),
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=POLL_SECONDS,
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            return
        received += len(messages)
        yield [read_failure(message) for message in messages]


def delete_messages(sqs: Any, queue_url: str, failures: Iterable[Failure]) -> None:
    """Take dealt-with messages out of the queue."""
    for entries in _batches(failures):
        sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)


def give_back(sqs: Any, queue_url: str, failures: Iterable[Failure]) -> None:
    """Let others see messages again that were read and not dealt with."""
    for entries in _batches(failures):
        visible = [entry | {"VisibilityTimeout": 0} for entry in entries]
        sqs.change_message_visibility_batch(QueueUrl=queue_url, Entries=visible)


def _batches(failures: Iterable[Failure]) -> list[list[dict[str, Any]]]:
    entries = [{"Id": f.message_id, "ReceiptHandle": f.receipt} for f in failures]
    return [entries[start : start + BATCH] for start in range(0, len(entries), BATCH)]
