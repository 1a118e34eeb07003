"""Review the pictures whose confidence is below the threshold: `python -m operations.review`.

Serves a page on this machine that shows one picture of the review queue after the other. Each decision becomes a label
in the training bucket, which `stage_data --labels` trains on, and changes the item in the predictions table. Several
people may review at once, on one machine or on many.
"""

import argparse
import getpass
import os
import sys
import tempfile
import threading
import webbrowser
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from common import settings
from common.account import check_bucket, check_credentials, check_region
from common.arguments import port
from common.command import INTERRUPTED, run_command
from common.errors import ExpectedError
from common.stack import add_stack_argument, stack_outputs
from common.tables import figures_table
from common.waiting import make_console
from operations.reviewing.backend import Backend, LabelStore, PredictionsTable, ReviewQueue, ServedModels
from operations.reviewing.desk import Desk
from operations.reviewing.page_picture import read_page_picture

CONNECTIONS = 40  # as many as the server has threads
# A person waits for each call: seconds, and calls.
CONNECT_SECONDS, READ_SECONDS, TRIES = 5, 15, 2


class ReviewerUnknownError(ExpectedError):
    """The reviewer has no name."""


def main(argv: list[str] | None = None) -> int:
    """Serve the page until Ctrl-C, the normal end; return the exit status."""
    return run_command("review", lambda: review(parse_arguments(argv), make_console()), "nothing was decided")


def review(arguments: argparse.Namespace, console: Console) -> None:
    """Find the resources, serve the page, and print the decisions at the end. Raises ExpectedError."""
    import boto3

    from operations.reviewing.server import serve

    reviewer = arguments.reviewer or user_name()
    backend = find_backend(boto3.Session(), arguments.stack_name, arguments.bucket)
    waiting, _ = backend.queue.waiting()

    def write(sentence: str) -> None:
        console.print(sentence, markup=False, soft_wrap=True)

    def ready(address: str) -> None:
        write(f"Review page: {address}")
        write(
            f"About {waiting} pictures wait. Labels go to {backend.labels.uri}, as decided by {reviewer}."
            " Keep the address secret. Ctrl-C ends the server; undecided pictures go back to the queue."
        )
        if not arguments.no_browser:
            page = until_end.enter_context(private_page(address)).as_uri()
            # In a thread: a text browser would block the server until it ends.
            threading.Thread(target=webbrowser.open, args=[page], daemon=True).start()

    def give_up() -> None:
        """End at once, without waiting for the event loop and for threads that wait for AWS."""
        until_end.close()
        write(
            "Ended without waiting for AWS: all decisions are written, and the other pictures come back to the queue"
            f" within {desk.hold_seconds} s."
        )
        console.print(result_table(desk.decided))
        sys.stdout.flush()
        os._exit(INTERRUPTED)

    desk = Desk(backend, reviewer, write)
    with ExitStack() as until_end:
        serve(desk, reviewer, arguments.port, ready, give_up)
    console.print(result_table(desk.decided))


@contextmanager
def private_page(address: str) -> Iterator[Path]:
    """Write a page that redirects to `address` and that only its owner can read; delete it at the end.

    A browser that is started with the address itself shows it to every user of the machine, in the list of processes.
    """
    with tempfile.TemporaryDirectory(prefix="review-") as folder:  # mode 0700
        page = Path(folder) / "review.html"
        page.touch(0o600)
        page.write_text(
            '<!doctype html>\n<meta charset="utf-8">\n<title>Review page</title>\n'
            f'<meta http-equiv="refresh" content="0; url={address}">\n'
            f'<p><a href="{address}">Go to the review page</a></p>\n'
        )
        yield page


def find_backend(session: Any, stack_name: str, bucket: str | None) -> Backend:
    """Find queue, table and bucket, and check that they can be used.

    `bucket` is the one for labels, None for the project's own. Raises ExpectedError.
    """
    from botocore.config import Config

    region = check_region(session)
    account = check_credentials(session.client("sts")).account
    outputs = stack_outputs(session.client("cloudformation"), stack_name, "ReviewQueueUrl")
    config = Config(
        max_pool_connections=CONNECTIONS,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )
    s3 = session.client("s3", config=config)
    bucket = bucket or settings.default_bucket(account, region)
    check_bucket(s3, bucket, region)
    return Backend(
        queue=ReviewQueue(session.client("sqs", config=config), outputs["ReviewQueueUrl"]),
        labels=LabelStore(s3, bucket),
        table=PredictionsTable(session.client("dynamodb", config=config), outputs["PredictionsTableName"]),
        models=ServedModels(session.client("sagemaker", config=config)),
        read=lambda question: read_page_picture(s3, question.picture),
    )


def result_table(decided: Counter[str]) -> Table:
    """Lay out the number of decisions by label."""
    table = figures_table("label", "pictures", title="Decided")
    for label, count in sorted((+decided).items()):  # without labels whose decisions were all undone
        table.add_row(label, str(count))
    table.add_section()
    table.add_row("all", str(decided.total()))
    return table


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.review",
        description="Serve a page on this machine on which people decide the pictures of the review queue. Several may"
        " do so at once; each gets other pictures.",
    )
    add = parser.add_argument
    add_stack_argument(parser)
    add("--bucket", metavar="NAME", help=f"bucket for labels ({settings.default_bucket('ACCOUNT', 'REGION')})")
    add("--reviewer", metavar="NAME", help="the reviewer's name in each label (your user name)")
    add("--port", metavar="N", type=port, default=0, help="TCP port of 127.0.0.1 (0: a free one)")
    add("--no-browser", action="store_true", help="only print the address")
    return parser.parse_args(argv)


def user_name() -> str:
    """Return the name of this program's user. Raises ReviewerUnknownError."""
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:  # KeyError before Python 3.13
        raise ReviewerUnknownError("Your user name is unknown: give --reviewer NAME.") from error


if __name__ == "__main__":
    sys.exit(main())
