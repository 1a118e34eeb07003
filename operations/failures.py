"""What the queues of failures hold: messages of three shapes, and the pictures they are about.

The workflow tells of its own failures,
    {"s3_bucket", "s3_key", "s3_version_id", "error": {"Error", "Cause"}, "execution_arn"}
and EventBridge of what the workflow could not tell of: the `detail` of Step Functions' own event,
    {"executionArn", "stateMachineArn", "status", "error", "cause", "input": "<JSON>", ...}
whose input is the workflow's: a picture's place, S3's event, or a batch's {"s3_bucket", "prefix"}.
A dead letter is a whole event with such a detail, or S3's, and says in attributes why it is dead.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from common.errors import ExpectedError
from common.s3_picture import Picture, find_picture, json_object

RECEIVED_AT_ONCE = 10  # messages; SQS's limit, as is the next one's
BATCH = 10
# Long polling asks every server of SQS, so that an empty answer means an empty queue.
POLL_SECONDS = 2
# What was read stays away from others for so long, should this program be killed.
HIDDEN_SECONDS = 900


class MessagesRefusedError(ExpectedError):
    """SQS did not do with some messages what it was asked to."""

    def __init__(self, what: str, reasons: Iterable[str]) -> None:
        """Say what was not done, how often and why."""
        told = list(reasons)
        super().__init__(
            f"SQS refused to {what} {len(told)} messages ({', '.join(sorted(set(told)))}). They are"
            f" in the queue again in {HIDDEN_SECONDS // 60} minutes at the latest: run this again"
            " then, no picture is started twice."
        )


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


def delete_messages(sqs: Any, queue_url: str, failures: Iterable[Failure]) -> dict[str, str]:
    """Take messages out of the queue. Returns why, by message, where SQS refuses."""
    return _in_batches(sqs.delete_message_batch, queue_url, failures, {})


def give_back(sqs: Any, queue_url: str, failures: Iterable[Failure]) -> dict[str, str]:
    """Let others see messages again that were read. Returns why, by message, where SQS refuses."""
    visible = {"VisibilityTimeout": 0}
    return _in_batches(sqs.change_message_visibility_batch, queue_url, failures, visible)


def _in_batches(
    call: Callable[..., dict[str, Any]],
    queue_url: str,
    failures: Iterable[Failure],
    more: dict[str, int],
) -> dict[str, str]:
    """Call for all messages, whatever becomes of some; return why, where SQS refuses."""
    refused: dict[str, str] = {}
    entries = [{"Id": f.message_id, "ReceiptHandle": f.receipt} | more for f in failures]
    for start in range(0, len(entries), BATCH):
        answer = call(QueueUrl=queue_url, Entries=entries[start : start + BATCH])
        refused |= {entry["Id"]: entry["Code"] for entry in answer.get("Failed", [])}
    return refused
