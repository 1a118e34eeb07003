"""Read, delete and give back the messages of the failure queues.

The workflow sends a notification of its own failures,
    {"s3_bucket", "s3_key", "s3_version_id", "error": {"Error", "Cause"}, "execution_arn"}
and EventBridge one of all others, the `detail` of Step Functions' event,
    {"executionArn", "stateMachineArn", "status", "error", "cause", "input": "<JSON>", ...}
whose input is the workflow's: a picture, S3's event, or a batch's {"s3_bucket", "prefix"}. A dead letter is a whole
event with such a detail, or S3's event, with the reason in its attributes.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from common.errors import ExpectedError
from common.s3_picture import S3Picture, find_picture, json_object

BATCH = 10  # messages; SQS's limit of each call
POLL_SECONDS = 2  # long polling asks every server of SQS, so that an empty answer means an empty queue
HIDDEN_SECONDS = 900  # how long received messages stay hidden if this program is killed


class MessagesRefusedError(ExpectedError):
    """SQS refused to delete or give back some messages."""

    def __init__(self, action: str, codes: Iterable[str]) -> None:
        """Create the message from the action, "delete" or "give back", and SQS's code for each refused message."""
        refused = list(codes)
        super().__init__(
            f"SQS refused to {action} {len(refused)} messages ({', '.join(sorted(set(refused)))}). They are in the"
            f" queue again in {HIDDEN_SECONDS // 60} minutes at the latest: run this again then, no picture is started"
            " twice."
        )


class FailureMessage(NamedTuple):
    """One message of a failure queue; `cause` and `execution` may be empty."""

    message_id: str  # the same each time that the message is received
    receipt: str  # the receipt handle, for deleting the message
    error: str  # or the execution's status if it has no error
    cause: str
    execution: str  # its ARN
    picture: S3Picture | None
    batch: dict[str, str] | None  # {"s3_bucket", "prefix"} of a failed batch


def read_failure(message: dict[str, Any]) -> FailureMessage:
    """Read a message as SQS returns it. A body of unknown structure becomes a failure without a picture."""
    body = json_object(message["Body"])
    if isinstance(body.get("detail"), dict):
        body = body["detail"]
    error: Any = body.get("error")
    if isinstance(error, dict):  # the workflow's own notification
        error, cause, event = error.get("Error"), error.get("Cause"), body
        execution = body.get("execution_arn")
    else:
        error = error or body.get("status") or _attribute(message, "ERROR_CODE")
        cause = body.get("cause") or _attribute(message, "ERROR_MESSAGE")
        event = json_object(body["input"]) if "input" in body else body
        execution = body.get("executionArn")
    picture = find_picture(event)
    batch: dict[str, Any] = {name: event.get(name) for name in ("s3_bucket", "prefix")}
    return FailureMessage(
        message["MessageId"],
        message["ReceiptHandle"],
        error=str(error or "no name"),
        cause=str(cause or ""),
        execution=str(execution or ""),
        picture=picture,
        batch=batch if picture is None and all(isinstance(v, str) for v in batch.values()) else None,
    )


def _attribute(message: dict[str, Any], name: str) -> str:
    return str(message.get("MessageAttributes", {}).get(name, {}).get("StringValue", ""))


def read_queue(sqs: Any, queue_url: str, most: int) -> Iterator[list[FailureMessage]]:
    """Yield received messages until the queue is empty or `most` have been received.

    They are hidden for `HIDDEN_SECONDS`. SQS may return a message twice.
    """
    received = 0
    while received < most:
        messages = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=min(BATCH, most - received),
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=POLL_SECONDS,
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            return
        received += len(messages)
        yield [read_failure(message) for message in messages]


def delete_messages(sqs: Any, queue_url: str, failures: Iterable[FailureMessage]) -> dict[str, str]:
    """Delete messages. Returns SQS's code by message id for those that it refuses."""
    return _in_batches(sqs.delete_message_batch, queue_url, failures, {})


def give_back(sqs: Any, queue_url: str, failures: Iterable[FailureMessage]) -> dict[str, str]:
    """Make received messages visible again. Returns SQS's code by message id for those that it refuses."""
    return _in_batches(sqs.change_message_visibility_batch, queue_url, failures, {"VisibilityTimeout": 0})


def _in_batches(
    call: Callable[..., dict[str, Any]], queue_url: str, failures: Iterable[FailureMessage], more: dict[str, int]
) -> dict[str, str]:
    """Call for all messages, even after a refusal."""
    refused: dict[str, str] = {}
    entries = [{"Id": f.message_id, "ReceiptHandle": f.receipt} | more for f in failures]
    for start in range(0, len(entries), BATCH):
        answer = call(QueueUrl=queue_url, Entries=entries[start : start + BATCH])
        refused |= {entry["Id"]: entry["Code"] for entry in answer.get("Failed", [])}
    return refused
