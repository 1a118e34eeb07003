"""Start failed pictures again, once the cause is mended: `python -m operations.restart_failed`.

Failures wait in the failed-pictures queue, each until somebody deals with it. This starts the
workflow again with the same version of the same picture, as a new execution, and takes the message
out of the queue once that has begun. What is decided already is only taken out, and with --drop
what would fail again. It may be run twice: an execution is named after its message, and Step
Functions refuses a second one of a name.
"""

import argparse
import json
import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from common import settings
from common.arguments import positive_integer
from common.errors import ExpectedError
from common.parallel import run_parallel
from common.progress import progress_bar
from common.s3_picture import Picture, json_object
from common.stack import stack_outputs
from common.waiting import make_console
from operations.failures import (
    HIDDEN_SECONDS,
    Failure,
    MessagesRefusedError,
    delete_messages,
    give_back,
    read_queue,
)

# Each start is a call; more at once would only press on the endpoint that has just recovered.
THREADS = 8
DEFAULT_LIMIT = 1000  # pictures
MOST_READ = 10_000  # messages: what is read at 10 a call within the time that they are hidden
CAUSE_LENGTH = 60  # characters of a cause in the table
# What --queue calls them, and the outputs of the stack with their addresses.
QUEUES = {
    "failed": "FailedPicturesQueueUrl",
    "undelivered-uploads": "UndeliveredUploadsQueueUrl",
    "undelivered-failures": "UndeliveredFailuresQueueUrl",
}


class QueueMissingError(ExpectedError):
    """The deployed stack has no such queue."""


class Stack(NamedTuple):
    """Clients, and what of the deployed stack they are used on."""

    sqs: Any
    dynamodb: Any
    stepfunctions: Any
    queue_url: str
    table: str
    state_machine: str


class Plan(NamedTuple):
    """What is to be done with what the queue held.

    Attributes:
        pictures: to start again or to drop, each with its messages: it may have failed twice.
        others: failures of no picture: a batch, or an input that names none.
        left: not asked for: another error's, or beyond the limit.
    """

    pictures: dict[Picture, list[Failure]]
    others: list[Failure]
    left: list[Failure]


class Done(NamedTuple):
    """What has been done so far; threads add to both.

    Attributes:
        outcomes: what became of each picture: "started again", "started before", "already
            decided" or "dropped".
        messages: ids of those that are out of the queue.
    """

    outcomes: list[str]
    messages: set[str]


def main(argv: list[str] | None = None) -> int:
    """Restart what failed; return the exit status."""
    arguments = parse_arguments(argv)
    console = make_console()
    try:
        import boto3

        stack = find_stack(boto3.Session(), arguments.stack_name, arguments.queue)
        return restart_failed(stack, arguments, console)
    except (ExpectedError, ClientError, BotoCoreError) as error:
        print(f"restart_failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "restart_failed: interrupted; what was not dealt with is in the queue, all of it in"
            f" {HIDDEN_SECONDS // 60} minutes at the latest",
            file=sys.stderr,
        )
        return 130


def find_stack(session: Any, name: str, queue: str) -> Stack:
    """Return the deployed stack, with one of its `QUEUES`.

    Raises StackNotFoundError or QueueMissingError.
    """
    from botocore.config import Config

    outputs = stack_outputs(session.client("cloudformation"), name)
    if QUEUES[queue] not in outputs:
        raise QueueMissingError(
            f"The stack {name} gives no {QUEUES[queue]}: it is an older one, deploy it again with"
            " `sam build && sam deploy`."
        )
    config = Config(max_pool_connections=THREADS, retries={"mode": "standard"})
    return Stack(
        sqs=session.client("sqs", config=config),
        dynamodb=session.client("dynamodb", config=config),
        stepfunctions=session.client("stepfunctions", config=config),
        queue_url=outputs[QUEUES[queue]],
        table=outputs["PredictionsTableName"],
        state_machine=outputs["StateMachineArn"],
    )


def restart_failed(stack: Stack, arguments: argparse.Namespace, console: Console) -> int:
    """Read the queue, show what failed, start it again or drop it; return the exit status.

    Raises MessagesRefusedError, ClientError: what was done until then is shown.
    """
    with taken(stack, console) as (messages, done):
        failures = list(messages.values())
        if not failures:
            console.print("The queue is empty.")
            return 0
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
            return 0
        carry_out(stack, plan, arguments, done, console)
        if len(plan.pictures) >= arguments.limit or len(failures) >= MOST_READ:
            console.print("There may be more in the queue: run it again for the rest.")
    return 0


@contextmanager
def taken(stack: Stack, console: Console) -> Iterator[tuple[dict[str, Failure], Done]]:
    """Yield the queue's failures by message, and a record of what is done with them.

    Whatever happens, the messages that are not in it are in the queue again at the end. Raises
    MessagesRefusedError where some will only be there after HIDDEN_SECONDS.
    """
    failures: dict[str, Failure] = {}
    done = Done([], set())

    def give_rest_back() -> dict[str, str]:
        kept = [failure for name, failure in failures.items() if name not in done.messages]
        return give_back(stack.sqs, stack.queue_url, kept)

    try:
        with progress_bar(console, "Reading the queue") as report:
            for some in read_queue(stack.sqs, stack.queue_url, MOST_READ):
                failures |= {failure.message_id: failure for failure in some}
                report(len(failures), None)
        yield failures, done
    except BaseException:
        give_rest_back()  # what SQS refuses comes back by itself; what came first is told
        raise
    if refused := give_rest_back():
        raise MessagesRefusedError("give back", refused.values())


def carry_out(stack: Stack, plan: Plan, arguments: argparse.Namespace, done: Done, console: Console) -> None:
    """Do what is planned; show what was done, also where an error or Ctrl-C ends it."""
    act = drop if arguments.drop else restart
    dropped_others = False
    try:
        with progress_bar(console, "Dropping" if arguments.drop else "Starting again") as report:
            run_parallel(
                lambda item: act(stack, *item, done),
                plan.pictures.items(),
                threads=THREADS,
                report=report,
            )
        if arguments.drop_others:
            take_out(stack, plan.others, done)
            dropped_others = True
    finally:
        console.print(result_table(Counter(done.outcomes), plan, dropped_others))


def make_plan(failures: list[Failure], error: str | None, limit: int) -> Plan:
    """Choose what to start again: failures named `error` if given, `limit` pictures at most."""
    pictures: dict[Picture, list[Failure]] = defaultdict(list)
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


def restart(stack: Stack, picture: Picture, failures: list[Failure], done: Done) -> None:
    """Start one picture again unless it is decided, and take its messages out.

    A message whose execution exists was dealt with by an earlier run, which was ended before it
    could delete it. That execution may have failed as well and told of it: then the picture has
    another message, in whose name it is started now.
    """
    if is_decided(stack, picture):
        done.outcomes.append("already decided")
        take_out(stack, failures, done)
        return
    waiting = sorted(failures)
    while waiting:
        if start(stack, picture, waiting[0].message_id):
            done.outcomes.append("started again")
            take_out(stack, waiting, done)
            return
        take_out(stack, [waiting.pop(0)], done)
    done.outcomes.append("started before")


def drop(stack: Stack, picture: Picture, failures: list[Failure], done: Done) -> None:
    """Take a picture's messages out and start nothing."""
    del picture
    take_out(stack, failures, done)
    done.outcomes.append("dropped")


def take_out(stack: Stack, failures: list[Failure], done: Done) -> None:
    """Delete messages. Raises MessagesRefusedError for those that are still there."""
    refused = delete_messages(stack.sqs, stack.queue_url, failures)
    done.messages.update({failure.message_id for failure in failures} - refused.keys())
    if refused:
        raise MessagesRefusedError("delete", refused.values())


def is_decided(stack: Stack, picture: Picture) -> bool:
    """Tell whether this version is accepted, in the review queue, or decided by a person.

    An item that says anything else is no outcome, as for the workflow itself.

    Where the message does not say which version it was, the workflow finds out by itself.
    """
    if picture.version_id is None:
        return False
    key = {"picture": {"S": picture.uri}, "version_id": {"S": picture.version_id}}
    item = stack.dynamodb.get_item(TableName=stack.table, Key=key, ConsistentRead=True).get("Item")
    outcome = item.get("outcome", {}).get("S") if item else None
    if outcome == "review":
        return item.get("queued", {}).get("BOOL") is True
    return outcome in {"accepted", "reviewed"} and "label" in item


def start(stack: Stack, picture: Picture, message_id: str) -> bool:
    """Start the workflow in a message's name; tell whether one runs now, False if one has ended."""
    event = {"s3_bucket": picture.bucket, "s3_key": picture.key}
    if picture.version_id is not None:
        event["s3_version_id"] = picture.version_id
    try:
        stack.stepfunctions.start_execution(
            stateMachineArn=stack.state_machine,
            name=f"restart-{message_id}",
            input=json.dumps(event),
        )
    except stack.stepfunctions.exceptions.ExecutionAlreadyExists:
        return False
    return True


def advice(failure: Failure) -> str:
    """Say what to do about a failure of no picture."""
    what = f"{failure.execution or 'a message'}: {failure.error}: {in_words(failure.cause)[:300]}"
    if failure.batch is not None:
        event = json.dumps(failure.batch)
        return (
            f"A batch failed: {what}\n  Once that is mended: sam remote invoke MyBatchStateMachine"
            f" --event {shlex.quote(event)} (what is decided is not done again), then"
            " --drop-others."
        )
    return f"No picture to start again: {what}\n  Once looked at: --drop-others."


def failures_table(failures: list[Failure]) -> Table:
    """Show what failed, by the name of the error."""
    table = Table("error", "messages", "pictures", "for example", title="What failed")
    by_error: dict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        by_error[failure.error].append(failure)
    for error, found in sorted(by_error.items(), key=lambda item: -len(item[1])):
        pictures = {failure.picture for failure in found} - {None}
        example = " ".join(in_words(found[0].cause).split())[:CAUSE_LENGTH]
        table.add_row(Text(error), str(len(found)), str(len(pictures)), Text(example))
    return table


def in_words(cause: str) -> str:
    """Return what a function said, out of the JSON that Lambda wraps it in; else the cause."""
    return str(json_object(cause).get("errorMessage") or cause)


def result_table(outcomes: Counter[str], plan: Plan, dropped_others: bool) -> Table:
    """Show what became of the messages."""
    table = Table("", "count", title="Done")
    for outcome in ("started again", "already decided"):
        table.add_row(f"pictures {outcome}", str(outcomes[outcome]))
    if before := outcomes["started before"]:
        table.add_row("pictures that an earlier run had started", str(before))
    if dropped := outcomes["dropped"]:
        table.add_row("pictures dropped", str(dropped))
    if left := len(plan.pictures) - outcomes.total():
        table.add_row("pictures not got to, kept in the queue", str(left))
    fate = "dropped" if dropped_others else "kept in the queue"
    table.add_row(f"failures of no picture, {fate}", str(len(plan.others)))
    table.add_row("messages not asked for, kept in the queue", str(len(plan.left)))
    return table


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.restart_failed",
        description="Start failed pictures again, with the same version of the same picture. What"
        " is decided already is only taken out of the queue; what is no picture stays in it.",
    )
    add = parser.add_argument
    add(
        "--queue",
        choices=QUEUES,
        default="failed",
        help="where from: what failed (default), upload events that started nothing, or failures"
        " that EventBridge could not tell of",
    )
    add("--error", metavar="NAME", help="only what failed with this error, for example EndpointBusyError")
    add(
        "--limit",
        metavar="N",
        type=positive_integer,
        default=DEFAULT_LIMIT,
        help=f"deal with at most N pictures ({DEFAULT_LIMIT}); the rest stays queued",
    )
    add(
        "--drop",
        action="store_true",
        help="delete the messages of the pictures that failed with --error NAME, and start nothing:"
        " for what would only fail again",
    )
    add(
        "--drop-others",
        action="store_true",
        help="delete the messages that are about no picture, such as failed batches",
    )
    add("--dry-run", action="store_true", help="only show what failed")
    add(
        "--stack-name",
        metavar="NAME",
        default=settings.project().stack_name,
        help=f"the workflow's stack ({settings.project().stack_name}, from samconfig.toml)",
    )
    arguments = parser.parse_args(argv)
    if arguments.drop and arguments.error is None:
        parser.error("--drop needs --error NAME: it takes out what failed with one error")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
