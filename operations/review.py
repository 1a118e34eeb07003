"""Decide the pictures whose answer was not certain enough: `python -m operations.review`.

Serves a page on this machine that shows one picture after the other out of the review queue. Each
decision becomes a label in the training bucket, from which `stage_data --labels` trains, and the
record in the predictions table. Several people may review at once, on one machine or on many.
"""

import argparse
import getpass
import os
import sys
import threading
import webbrowser
from collections import Counter
from contextlib import ExitStack
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from common import settings
from common.account import check_bucket, check_credentials, check_region
from common.errors import ExpectedError
from common.stack import StackNotFoundError, stack_outputs
from common.waiting import make_console
from operations.reviewing.desk import Desk, Places
from operations.reviewing.label_store import LabelStore
from operations.reviewing.predictions_table import PredictionsTable
from operations.reviewing.review_queue import ReviewQueue
from operations.reviewing.served_model import ServedModels
from operations.reviewing.shown_picture import read_shown

CONNECTIONS = 40  # as many as the server has threads
# Somebody waits for each call, at the page or for the end of the server: seconds, and calls.
CONNECT_SECONDS, READ_SECONDS, TRIES = 5, 15, 2
INTERRUPTED = 130  # the exit status
QUEUE_OUTPUT = "ReviewQueueUrl"


class ReviewerUnknownError(ExpectedError):
    """Nobody knows who decides."""


class Found(NamedTuple):
    """What a review needs of the account.

    Attributes:
        places: the queue, the labels, the table, the models and the pictures.
        labels_uri: where labels go, s3://bucket/prefix/.
        hold_seconds: how long the queue hides a picture that somebody has.
        waiting: about how many pictures wait.
    """

    places: Places
    labels_uri: str
    hold_seconds: int
    waiting: int


def main(argv: list[str] | None = None) -> int:
    """Serve the page until Ctrl-C, which is how it is meant to end; return the exit status."""
    arguments = parse_arguments(argv)
    console = make_console()
    try:
        review(arguments, console)
    except (ExpectedError, ClientError, BotoCoreError) as error:
        print(f"review: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before there was a server to end
        print("review: interrupted; nothing was decided", file=sys.stderr)
        return INTERRUPTED
    return 0


def review(arguments: argparse.Namespace, console: Console) -> None:
    """Find everything, serve, and say at the end what was decided. Raises ExpectedError."""
    import boto3

    from operations.reviewing.private_page import private_page
    from operations.reviewing.server import serve

    reviewer = arguments.reviewer or _user_name()
    found = find(boto3.Session(), arguments.stack_name, arguments.bucket)

    def tell(sentence: str) -> None:
        console.print(sentence, markup=False, soft_wrap=True)

    def ready(address: str) -> None:
        tell(f"Review page: {address}")
        tell(
            f"About {found.waiting} pictures wait. Labels go to {found.labels_uri}, as decided by"
            f" {reviewer}. Keep the address to yourself; Ctrl-C ends the page, and what was not"
            " decided goes back to the queue."
        )
        if not arguments.no_browser:
            page = until_the_end.enter_context(private_page(address)).as_uri()
            # A browser of the terminal's would keep the server from serving until it ends.
            threading.Thread(target=webbrowser.open, args=[page], daemon=True).start()

    def give_up() -> None:
        """End at once: neither the event loop nor threads that wait for AWS could be waited for."""
        until_the_end.close()
        tell(
            "Ended without waiting for AWS: what was decided is written, and the rest comes back"
            f" to the queue by itself within {found.hold_seconds} s."
        )
        console.print(result_table(desk.decided))
        sys.stdout.flush()
        os._exit(INTERRUPTED)

    desk = Desk(found.places, reviewer, found.hold_seconds, tell)
    with ExitStack() as until_the_end:
        serve(desk, reviewer, arguments.port, ready, give_up)
    console.print(result_table(desk.decided))


def find(session: Any, stack_name: str, bucket: str | None) -> Found:
    """Find queue, table and bucket, and check that they can be used.

    `bucket` is the one with the labels, None for the project's own. Raises ExpectedError.
    """
    from botocore.config import Config

    region = check_region(session)
    account = check_credentials(session.client("sts")).account
    outputs = stack_outputs(session.client("cloudformation"), stack_name)
    if QUEUE_OUTPUT not in outputs:
        raise StackNotFoundError(
            f"The stack {stack_name} gives no {QUEUE_OUTPUT}: it is an older one, deploy it again"
            " with `sam build && sam deploy`."
        )
    config = Config(
        max_pool_connections=CONNECTIONS,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )
    s3 = session.client("s3", config=config)
    bucket = bucket or settings.default_bucket(account, region)
    check_bucket(s3, bucket, region)
    queue = ReviewQueue(session.client("sqs", config=config), outputs[QUEUE_OUTPUT])
    places = Places(
        queue=queue,
        labels=LabelStore(s3, bucket),
        table=PredictionsTable(session.client("dynamodb", config=config), outputs["PredictionsTableName"]),
        models=ServedModels(session.client("sagemaker", config=config)),
        read=lambda question: read_shown(s3, question.picture),
    )
    return Found(
        places,
        labels_uri=f"s3://{bucket}/{settings.LABELS_PREFIX}/",
        hold_seconds=queue.hold_seconds(),
        waiting=queue.waiting()[0],
    )


def result_table(decided: Counter[str]) -> Table:
    """Lay out how many pictures were decided as what."""
    table = Table("label", "pictures", title="Decided")
    table.columns[1].justify = "right"
    for label, count in sorted((+decided).items()):  # not what was taken back
        table.add_row(label, str(count))
    table.add_section()
    table.add_row("all", str(decided.total()))
    return table


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.review",
        description="Serve a page on this machine on which people decide the pictures of the review"
        " queue. Several may do so at once; each gets other pictures.",
    )
    add = parser.add_argument
    add(
        "--stack-name",
        metavar="NAME",
        default=settings.project().stack_name,
        help=f"the workflow's stack ({settings.project().stack_name}, from samconfig.toml)",
    )
    add("--bucket", metavar="NAME", help=f"bucket for labels ({settings.default_bucket('ACCOUNT', 'REGION')})")
    add("--reviewer", metavar="NAME", help="who decides, as it stands in each label (your user name)")
    add("--port", type=_port, default=0, help="TCP port of 127.0.0.1, 0 to 65535 (0: one that is free)")
    add("--no-browser", action="store_true", help="only print the address")
    return parser.parse_args(argv)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: give 0 to 65535")
    return port


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:  # what it raises changed with Python 3.13
        raise ReviewerUnknownError("You have no user name here: give --reviewer NAME.") from error


if __name__ == "__main__":
    sys.exit(main())
