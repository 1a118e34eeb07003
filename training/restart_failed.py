"""Start failed pictures again, once the cause is mended: `python -m training.restart_failed`.

Failures wait in the failed-pictures queue, each until somebody deals with it. This starts the
workflow again with the same version of the same picture, as a new execution, and takes the message
out of the queue once that has begun. What is decided already is only taken out. It may be run
twice: an execution is named after its message, and Step Functions refuses a second one of a name.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from training import settings
from training.errors import ExpectedError
from training.failures import (
    Failure,
    Picture,
    delete_messages,
    give_back,
    json_object,
    read_queue,
)
from training.parallel import run_parallel
from training.progress import progress_bar
from training.sending.stack import stack_outputs
from training.waiting import make_console

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
        pictures: to start again, each with its messages; a picture may have failed twice.
        others: failures of no picture: a batch, or an input that names none.
        left: not asked for: another error's, or beyond the limit.
    """

    pictures: dict[Picture, list[Failure]]
    others: list[Failure]
    left: list[Failure]


def main(argv: list[str] | None = None) -> int:
    """Restart what failed; return the exit status."""
    arguments = parse_arguments(argv)
    console = make_console()
    try:
        import boto3  # noqa: PLC0415  --help does without

        stack = find_stack(boto3.Session(), arguments.stack_name, arguments.queue)
        return restart_failed(stack, arguments, console)
    except (ExpectedError, ClientError, BotoCoreError) as error:
        print(f"restart_failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "restart_failed: interrupted; what was not started is in the queue as before",
            file=sys.stderr,
        )
        return 130


def find_stack(session: Any, name: str, queue: str) -> Stack:
    """Return the deployed stack, with one of its `QUEUES`.

    Raises StackNotFoundError or QueueMissingError.
    """
    from botocore.config import Config  # noqa: PLC0415  --help does without

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
    """Read the queue, show what failed, start it again; return the exit status."""
    with taken(stack, console) as (messages, dealt_with):
        failures = list(messages.values())
        if not failures:
            console.print("The queue is empty.")
            return 0
        plan = make_plan(failures, arguments.error, arguments.limit)
        console.print(failures_table(failures))
        for failure in plan.others:
            console.print(advice(failure), markup=False, soft_wrap=True)
        if arguments.dry_run:
            console.print(f"{len(plan.pictures)} pictures would be started again; nothing was.")
            return 0
        with progress_bar(console, "Starting again") as report:
            done = run_parallel(
                lambda item: deal_with(stack, *item, dealt_with),
                plan.pictures.items(),
                threads=THREADS,
                report=report,
            )
        if arguments.drop_others:
            delete_messages(stack.sqs, stack.queue_url, plan.others)
            dealt_with |= {failure.message_id for failure in plan.others}
        console.print(result_table(Counter(done), plan, arguments.drop_others))
        if len(plan.pictures) >= arguments.limit or len(failures) >= MOST_READ:
            console.print("There may be more in the queue: run it again for the rest.")
    return 0


@contextmanager
def taken(stack: Stack, console: Console) -> Iterator[tuple[dict[str, Failure], set[str]]]:
    """Yield the queue's failures by message, and a set for the messages that are dealt with.

    Whatever happens, the messages that are not in it are in the queue again at the end.
    """
    failures: dict[str, Failure] = {}
    dealt_with: set[str] = set()
    try:
        with progress_bar(console, "Reading the queue") as report:
            for some in read_queue(stack.sqs, stack.queue_url, MOST_READ):
                failures |= {failure.message_id: failure for failure in some}
                report(len(failures), None)
        yield failures, dealt_with
    finally:
        kept = [failure for name, failure in failures.items() if name not in dealt_with]
        give_back(stack.sqs, stack.queue_url, kept)


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


def deal_with(stack: Stack, picture: Picture, failures: list[Failure], dealt_with: set[str]) -> str:
    """Start one picture again unless it is decided; then delete its messages. Say which."""
    done = "already decided"
    if not is_decided(stack, picture):
        start(stack, picture, min(failure.message_id for failure in failures))
        done = "started again"
    delete_messages(stack.sqs, stack.queue_url, failures)
    dealt_with |= {failure.message_id for failure in failures}
    return done


def is_decided(stack: Stack, picture: Picture) -> bool:
    """Tell whether this version is accepted, or in the review queue.

    Where the message does not say which version it was, the workflow finds out by itself.
    """
    if picture.version_id is None:
        return False
    key = {"picture": {"S": picture.uri}, "version_id": {"S": picture.version_id}}
    item = stack.dynamodb.get_item(TableName=stack.table, Key=key, ConsistentRead=True).get("Item")
    return bool(item) and item.get("queued", {"BOOL": True})["BOOL"]


def start(stack: Stack, picture: Picture, message_id: str) -> None:
    """Start the workflow under a name that a second try would use again."""
    event = {"s3_bucket": picture.bucket, "s3_key": picture.key}
    if picture.version_id is not None:
        event["s3_version_id"] = picture.version_id
    # It exists where an earlier run started it and was ended before it could delete the message.
    with suppress(stack.stepfunctions.exceptions.ExecutionAlreadyExists):
        stack.stepfunctions.start_execution(
            stateMachineArn=stack.state_machine,
            name=f"restart-{message_id}",
            input=json.dumps(event),
        )


def advice(failure: Failure) -> str:
    """Say what to do about a failure of no picture."""
    what = f"{failure.execution or 'a message'}: {failure.error}: {in_words(failure.cause)[:300]}"
    if failure.batch is not None:
        event = json.dumps(failure.batch)
        return (
            f"A batch failed: {what}\n  Once that is mended: sam remote invoke MyBatchStateMachine"
            f" --event '{event}' (what is decided is not done again), then --drop-others."
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


def result_table(done: Counter[str], plan: Plan, dropped: bool) -> Table:
    """Show what became of the messages."""
    table = Table("", "count", title="Done")
    table.add_row("pictures started again", str(done["started again"]))
    table.add_row("pictures already decided", str(done["already decided"]))
    fate = "dropped" if dropped else "kept in the queue"
    table.add_row(f"failures of no picture, {fate}", str(len(plan.others)))
    table.add_row("messages not asked for, kept in the queue", str(len(plan.left)))
    return table


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.restart_failed",
        description="Start failed pictures again, with the same version of the same picture. What"
        " is decided already is only taken out of the queue; what is no picture stays in it.",
    )
    add = parser.add_argument
    add("--queue", choices=QUEUES, default="failed",
        help="where from: what failed (default), upload events that started nothing, or failures"
        " that EventBridge could not tell of")  # fmt: skip
    add("--error", metavar="NAME",
        help="only what failed with this error, for example EndpointBusyError")  # fmt: skip
    add("--limit", metavar="N", type=positive, default=DEFAULT_LIMIT,
        help=f"start at most N pictures ({DEFAULT_LIMIT}); the rest stays queued")  # fmt: skip
    add("--drop-others", action="store_true",
        help="delete the messages that are about no picture, such as failed batches")  # fmt: skip
    add("--dry-run", action="store_true", help="only show what failed")
    add("--stack-name", metavar="NAME", default=settings.STACK_NAME,
        help=f"the workflow's stack ({settings.STACK_NAME}, from samconfig.toml)")  # fmt: skip
    return parser.parse_args(argv)


def positive(text: str) -> int:
    """Read a whole number of at least 1. Raises argparse's error."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pictures, 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
