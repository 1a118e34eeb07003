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
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.arguments import positive_integer
from common.command import run_command
from common.parallel import run_parallel
from common.predictions import fetch_prediction
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


class Plan(NamedTuple):
    """What to do with the messages of the queue."""

    pictures: dict[S3Picture, list[FailureMessage]]  # to restart or to drop; a picture may have failed twice
    others: list[FailureMessage]  # without a picture: a batch, or an input that names none
    left: list[FailureMessage]  # with another error, or beyond the limit


@dataclass
class FailureQueue:
    """A queue of failures, and what was done with its pictures and messages. Threads may share it."""

    sqs: Any
    dynamodb: Any
    stepfunctions: Any
    url: str
    table: str
    state_machine: str
    results: list[str] = field(default_factory=list)  # "started again", "started before", ...: one for each picture
    deleted: set[str] = field(default_factory=set)  # ids of messages

    @contextmanager
    def received(self, console: Console) -> Iterator[list[FailureMessage]]:
        """Yield the failures in the queue; at the end, make those visible again that were not deleted.

        Raises MessagesRefusedError for those that are visible only after HIDDEN_SECONDS.
        """
        failures: dict[str, FailureMessage] = {}
        try:
            with progress_bar(console, "Reading the queue") as report:
                for messages in read_queue(self.sqs, self.url, MOST_READ):
                    failures |= {failure.message_id: failure for failure in messages}
                    report(len(failures), None)
            yield list(failures.values())
        finally:
            rest = [failure for name, failure in failures.items() if name not in self.deleted]
            refused = give_back(self.sqs, self.url, rest)
        if refused:  # after an error they come back by themselves, and the error is reported
            raise MessagesRefusedError("give back", refused.values())

    def restart(self, picture: S3Picture, failures: list[FailureMessage]) -> None:
        """Restart a picture unless it is decided, and delete its messages.

        If the execution of a message exists, an earlier run started it and ended before it deleted the message. Where
        that execution failed too, its notification is another message, which starts another execution.
        """
        if self._is_decided(picture):
            self.results.append("already decided")
            self.delete(failures)
            return
        remaining = sorted(failures)
        while remaining:
            if self._start(picture, remaining[0].message_id):
                self.results.append("started again")
                self.delete(remaining)
                return
            self.delete([remaining.pop(0)])
        self.results.append("started before")

    def drop(self, _picture: S3Picture, failures: list[FailureMessage]) -> None:
        """Delete a picture's messages and start nothing."""
        self.delete(failures)
        self.results.append("dropped")

    def delete(self, failures: list[FailureMessage]) -> None:
        """Delete messages. Raises MessagesRefusedError for those that SQS keeps."""
        refused = delete_messages(self.sqs, self.url, failures)
        self.deleted.update({failure.message_id for failure in failures} - refused.keys())
        if refused:
            raise MessagesRefusedError("delete", refused.values())

    def _is_decided(self, picture: S3Picture) -> bool:
        """Tell whether this version has an outcome; the workflow finds an unknown version's by itself."""
        if picture.version_id is None:
            return False
        return fetch_prediction(self.dynamodb, self.table, picture).outcome is not None

    def _start(self, picture: S3Picture, message_id: str) -> bool:
        """Start the workflow with a name from the message; return False if an execution of that name has ended."""
        event = {"s3_bucket": picture.bucket, "s3_key": picture.key}
        if picture.version_id is not None:
            event["s3_version_id"] = picture.version_id
        try:
            self.stepfunctions.start_execution(
                stateMachineArn=self.state_machine, name=f"restart-{message_id}", input=json.dumps(event)
            )
        except self.stepfunctions.exceptions.ExecutionAlreadyExists:
            return False
        return True


def main(argv: list[str] | None = None) -> int:
    """Restart failed pictures; return the exit status."""

    def work() -> None:
        import boto3

        arguments = parse_arguments(argv)
        queue = find_queue(boto3.Session(), arguments.stack_name, arguments.queue)
        restart_failed(queue, arguments, make_console())

    left = (
        f"messages that were not handled are in the queue, all of them in {HIDDEN_SECONDS // 60} minutes at the latest"
    )
    return run_command("restart_failed", work, left)


def find_queue(session: Any, stack_name: str, queue: str) -> FailureQueue:
    """Return one of the stack's `QUEUES`. Raises StackNotFoundError."""
    from botocore.config import Config

    outputs = stack_outputs(session.client("cloudformation"), stack_name, QUEUES[queue])
    config = Config(max_pool_connections=THREADS, retries={"mode": "standard"})
    return FailureQueue(
        sqs=session.client("sqs", config=config),
        dynamodb=session.client("dynamodb", config=config),
        stepfunctions=session.client("stepfunctions", config=config),
        url=outputs[QUEUES[queue]],
        table=outputs["PredictionsTableName"],
        state_machine=outputs["StateMachineArn"],
    )


def restart_failed(queue: FailureQueue, arguments: argparse.Namespace, console: Console) -> None:
    """Read the queue, show the failures, and restart or drop them.

    Raises MessagesRefusedError, ClientError, after showing what was done.
    """
    with queue.received(console) as failures:
        if not failures:
            console.print("The queue is empty.")
            return
        plan = make_plan(failures, arguments.error, arguments.limit)
        console.print(failures_table(failures))
        for failure in plan.others:
            console.print(advice(failure), markup=False, soft_wrap=True)
        if arguments.drop:
            for picture in plan.pictures:
                line = f"To drop: {picture.uri} (version {picture.version_id or 'unknown'})"
                console.print(line, markup=False, soft_wrap=True)
        if arguments.dry_run:
            verb = "dropped" if arguments.drop else "started again"
            console.print(f"{len(plan.pictures)} pictures would be {verb}; nothing was.")
            return
        carry_out(queue, plan, arguments, console)
        if len(plan.pictures) >= arguments.limit or len(failures) >= MOST_READ:
            console.print("There may be more in the queue: run it again for the rest.")


def carry_out(queue: FailureQueue, plan: Plan, arguments: argparse.Namespace, console: Console) -> None:
    """Carry out the plan; show what was done, also after an error or Ctrl-C."""
    act = queue.drop if arguments.drop else queue.restart
    others = "kept in the queue"
    try:
        with progress_bar(console, "Dropping" if arguments.drop else "Starting again") as report:
            run_parallel(lambda item: act(*item), plan.pictures.items(), threads=THREADS, report=report)
        if arguments.drop_others:
            queue.delete(plan.others)
            others = "dropped"
    finally:
        results = Counter(queue.results)
        optional = {
            "pictures that an earlier run had started": results["started before"],
            "pictures dropped": results["dropped"],
            "pictures not reached, kept in the queue": len(plan.pictures) - results.total(),
        }
        rows = {
            "pictures started again": results["started again"],
            "pictures already decided": results["already decided"],
            **{title: count for title, count in optional.items() if count},
            f"failures without a picture, {others}": len(plan.others),
            "messages not asked for, kept in the queue": len(plan.left),
        }
        table = Table("", "count", title="Done")
        for title, count in rows.items():
            table.add_row(title, str(count))
        console.print(table)


def make_plan(failures: list[FailureMessage], error: str | None, limit: int) -> Plan:
    """Choose what to restart: failures with `error` if given, at most `limit` pictures."""
    plan = Plan(defaultdict(list), [], [])
    for failure in failures:
        if error is not None and failure.error != error:
            plan.left.append(failure)
        elif failure.picture is None:
            plan.others.append(failure)
        elif failure.picture in plan.pictures or len(plan.pictures) < limit:
            plan.pictures[failure.picture].append(failure)
        else:
            plan.left.append(failure)
    return plan


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
