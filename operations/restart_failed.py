"""Restart failed pictures once the cause is fixed: `python -m operations.restart_failed`.

Each failure waits in the failed-pictures queue. This command starts a new execution with the same version of the same
picture, and deletes the message once the execution has started. A message of a decided picture is only deleted, and
with --drop those of an error that would occur again. The command may be repeated: an execution is named after its
message, and Step Functions refuses a second one of the same name.
"""

import argparse
import json
import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.arguments import positive_integer
from common.command import run_command
from common.parallel import run_parallel
from common.predictions import PredictionKey, read_item
from common.progress import progress_bar
from common.s3_picture import S3Picture, json_object
from common.stack import add_stack_argument, stack_outputs
from common.waiting import make_console
from operations.failures import (
    HIDDEN_SECONDS,
    FailureMessage,
    MessagesRefusedError,
    delete_messages,
    give_back,
    read_queue,
)

THREADS = 8  # more starts at a time would overload an endpoint that has just recovered
DEFAULT_LIMIT = 1000  # pictures
MOST_READ = 10_000  # messages: what 10 a call can read within HIDDEN_SECONDS
CAUSE_LENGTH = 60  # characters of a cause in the table
# The values of --queue, and the stack's outputs with their addresses.
QUEUES = {
    "failed": "FailedPicturesQueueUrl",
    "undelivered-uploads": "UndeliveredUploadsQueueUrl",
    "undelivered-failures": "UndeliveredFailuresQueueUrl",
}


class Stack(NamedTuple):
    """Clients, and the resources of the stack that they use."""

    sqs: Any
    dynamodb: Any
    stepfunctions: Any
    queue_url: str
    table: str
    state_machine: str


class Plan(NamedTuple):
    """What to do with the messages of the queue.

    Attributes:
        pictures: to restart or to drop, each with its messages: it may have failed twice.
        others: failures without a picture: a batch, or an input that names none.
        left: failures with another error, or beyond the limit.
    """

    pictures: dict[S3Picture, list[FailureMessage]]
    others: list[FailureMessage]
    left: list[FailureMessage]


class Done(NamedTuple):
    """What has been done so far; threads add to both.

    Attributes:
        results: of each picture: "started again", "started before", "already decided" or "dropped".
        messages: ids of the deleted messages.
    """

    results: list[str]
    messages: set[str]


def main(argv: list[str] | None = None) -> int:
    """Restart failed pictures; return the exit status."""
    left = (
        f"messages that were not handled are in the queue, all of them in {HIDDEN_SECONDS // 60} minutes at the latest"
    )
    return run_command("restart_failed", lambda: run(parse_arguments(argv)), left)


def run(arguments: argparse.Namespace) -> None:
    """Find the stack and restart its failures."""
    import boto3

    restart_failed(find_stack(boto3.Session(), arguments.stack_name, arguments.queue), arguments, make_console())


def find_stack(session: Any, name: str, queue: str) -> Stack:
    """Return the deployed stack, with one of its `QUEUES`. Raises StackNotFoundError."""
    from botocore.config import Config

    outputs = stack_outputs(session.client("cloudformation"), name, QUEUES[queue])
    config = Config(max_pool_connections=THREADS, retries={"mode": "standard"})
    return Stack(
        sqs=session.client("sqs", config=config),
        dynamodb=session.client("dynamodb", config=config),
        stepfunctions=session.client("stepfunctions", config=config),
        queue_url=outputs[QUEUES[queue]],
        table=outputs["PredictionsTableName"],
        state_machine=outputs["StateMachineArn"],
    )


def restart_failed(stack: Stack, arguments: argparse.Namespace, console: Console) -> None:
    """Read the queue, show the failures, and restart or drop them.

    Raises MessagesRefusedError, ClientError, after showing what was done.
    """
    with received_messages(stack, console) as (messages, done):
        failures = list(messages.values())
        if not failures:
            console.print("The queue is empty.")
            return
        plan = make_plan(failures, arguments.error, arguments.limit)
        console.print(failures_table(failures))
        for failure in plan.others:
            console.print(advice(failure), markup=False, soft_wrap=True)
        if arguments.drop:
            for picture in plan.pictures:
                version = picture.version_id or "unknown"
                console.print(f"To drop: {picture.uri} (version {version})", markup=False, soft_wrap=True)
        if arguments.dry_run:
            verb = "dropped" if arguments.drop else "started again"
            console.print(f"{len(plan.pictures)} pictures would be {verb}; nothing was.")
            return
        carry_out(stack, plan, arguments, done, console)
        if len(plan.pictures) >= arguments.limit or len(failures) >= MOST_READ:
            console.print("There may be more in the queue: run it again for the rest.")


@contextmanager
def received_messages(stack: Stack, console: Console) -> Iterator[tuple[dict[str, FailureMessage], Done]]:
    """Yield the queue's failures by message id, and a record of what is done with them.

    At the end, whatever happens, the messages that were not deleted are visible again. Raises MessagesRefusedError for
    those that are visible only after HIDDEN_SECONDS.
    """
    failures: dict[str, FailureMessage] = {}
    done = Done([], set())

    def give_rest_back() -> dict[str, str]:
        kept = [failure for name, failure in failures.items() if name not in done.messages]
        return give_back(stack.sqs, stack.queue_url, kept)

    try:
        with progress_bar(console, "Reading the queue") as report:
            for received in read_queue(stack.sqs, stack.queue_url, MOST_READ):
                failures |= {failure.message_id: failure for failure in received}
                report(len(failures), None)
        yield failures, done
    except BaseException:
        give_rest_back()  # refused messages come back by themselves; the first error is reported
        raise
    if refused := give_rest_back():
        raise MessagesRefusedError("give back", refused.values())


def carry_out(stack: Stack, plan: Plan, arguments: argparse.Namespace, done: Done, console: Console) -> None:
    """Carry out the plan; show what was done, also after an error or Ctrl-C."""
    act = drop if arguments.drop else restart
    dropped_others = False
    try:
        with progress_bar(console, "Dropping" if arguments.drop else "Starting again") as report:
            run_parallel(lambda item: act(stack, *item, done), plan.pictures.items(), threads=THREADS, report=report)
        if arguments.drop_others:
            delete(stack, plan.others, done)
            dropped_others = True
    finally:
        console.print(result_table(Counter(done.results), plan, dropped_others))


def make_plan(failures: list[FailureMessage], error: str | None, limit: int) -> Plan:
    """Choose what to restart: failures with `error` if given, at most `limit` pictures."""
    pictures: dict[S3Picture, list[FailureMessage]] = defaultdict(list)
    others, left = [], []
    for failure in failures:
        if error is not None and failure.error != error:
            left.append(failure)
        elif failure.picture is None:
            others.append(failure)
        elif failure.picture in pictures or len(pictures) < limit:
            pictures[failure.picture].append(failure)
        else:
            left.append(failure)
    return Plan(dict(pictures), others, left)


def restart(stack: Stack, picture: S3Picture, failures: list[FailureMessage], done: Done) -> None:
    """Restart a picture unless it is decided, and delete its messages.

    If the execution of a message exists, an earlier run started it and ended before it deleted the message. Where that
    execution failed too, its notification is another message, which starts another execution.
    """
    if is_decided(stack, picture):
        done.results.append("already decided")
        delete(stack, failures, done)
        return
    remaining = sorted(failures)
    while remaining:
        if start(stack, picture, remaining[0].message_id):
            done.results.append("started again")
            delete(stack, remaining, done)
            return
        delete(stack, [remaining.pop(0)], done)
    done.results.append("started before")


def drop(stack: Stack, _picture: S3Picture, failures: list[FailureMessage], done: Done) -> None:
    """Delete a picture's messages and start nothing."""
    delete(stack, failures, done)
    done.results.append("dropped")


def delete(stack: Stack, failures: list[FailureMessage], done: Done) -> None:
    """Delete messages. Raises MessagesRefusedError for those that SQS keeps."""
    refused = delete_messages(stack.sqs, stack.queue_url, failures)
    done.messages.update({failure.message_id for failure in failures} - refused.keys())
    if refused:
        raise MessagesRefusedError("delete", refused.values())


def is_decided(stack: Stack, picture: S3Picture) -> bool:
    """Tell whether this version has an outcome; the workflow finds an unknown version's by itself."""
    if picture.version_id is None:
        return False
    key = PredictionKey.of(picture).attributes()
    item = stack.dynamodb.get_item(TableName=stack.table, Key=key, ConsistentRead=True).get("Item", {})
    return read_item(item).outcome is not None


def start(stack: Stack, picture: S3Picture, message_id: str) -> bool:
    """Start the workflow with a name from the message; return False if an execution of that name has ended."""
    event = {"s3_bucket": picture.bucket, "s3_key": picture.key}
    if picture.version_id is not None:
        event["s3_version_id"] = picture.version_id
    try:
        stack.stepfunctions.start_execution(
            stateMachineArn=stack.state_machine, name=f"restart-{message_id}", input=json.dumps(event)
        )
    except stack.stepfunctions.exceptions.ExecutionAlreadyExists:
        return False
    return True


def advice(failure: FailureMessage) -> str:
    """Say what to do about a failure without a picture."""
    description = f"{failure.execution or 'a message'}: {failure.error}: {cause_text(failure.cause)[:300]}"
    if failure.batch is not None:
        event = shlex.quote(json.dumps(failure.batch))
        return (
            f"A batch failed: {description}\n  Once that is fixed: sam remote invoke MyBatchStateMachine --event"
            f" {event} (decided pictures are not classified again), then --drop-others."
        )
    return f"No picture to start again: {description}\n  Once you have looked at it: --drop-others."


def failures_table(failures: list[FailureMessage]) -> Table:
    """Lay out the failures by the name of their error."""
    table = Table("error", "messages", "pictures", "for example", title="Failures")
    by_error: dict[str, list[FailureMessage]] = defaultdict(list)
    for failure in failures:
        by_error[failure.error].append(failure)
    for error, members in sorted(by_error.items(), key=lambda item: -len(item[1])):
        pictures = {failure.picture for failure in members} - {None}
        example = " ".join(cause_text(members[0].cause).split())[:CAUSE_LENGTH]
        table.add_row(Text(error), str(len(members)), str(len(pictures)), Text(example))
    return table


def cause_text(cause: str) -> str:
    """Return the function's message from the JSON that Lambda puts around it; any other cause as it is."""
    return str(json_object(cause).get("errorMessage") or cause)


def result_table(results: Counter[str], plan: Plan, dropped_others: bool) -> Table:
    """Lay out what was done with the messages."""
    table = Table("", "count", title="Done")
    for result in ("started again", "already decided"):
        table.add_row(f"pictures {result}", str(results[result]))
    optional = {
        "pictures that an earlier run had started": results["started before"],
        "pictures dropped": results["dropped"],
        "pictures not reached, kept in the queue": len(plan.pictures) - results.total(),
    }
    for title, count in optional.items():
        if count:
            table.add_row(title, str(count))
    others = "dropped" if dropped_others else "kept in the queue"
    table.add_row(f"failures without a picture, {others}", str(len(plan.others)))
    table.add_row("messages not asked for, kept in the queue", str(len(plan.left)))
    return table


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.restart_failed",
        description="Restart failed pictures, with the same version of the same picture. A message of a decided picture"
        " is only deleted; a message without a picture stays in the queue.",
    )
    add = parser.add_argument
    queue_help = (
        "queue to read: failed pictures (default), upload events that started no execution, or failures that"
        " EventBridge could not deliver"
    )
    add("--queue", choices=QUEUES, default="failed", help=queue_help)
    add("--error", metavar="NAME", help="only failures with this error, for example EndpointBusyError")
    limit_help = f"handle at most N pictures ({DEFAULT_LIMIT}); the rest stays queued"
    add("--limit", metavar="N", type=positive_integer, default=DEFAULT_LIMIT, help=limit_help)
    drop_help = "delete the messages of pictures that failed with --error NAME, and start nothing"
    add("--drop", action="store_true", help=drop_help)
    others_help = "delete the messages that name no picture, such as those of failed batches"
    add("--drop-others", action="store_true", help=others_help)
    add("--dry-run", action="store_true", help="only show the failures")
    add_stack_argument(parser)
    arguments = parser.parse_args(argv)
    if arguments.drop and arguments.error is None:
        parser.error("--drop needs --error NAME: it deletes the messages of one error")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
