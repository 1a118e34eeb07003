"""Delete all that the training commands made, and empty the stack's buckets: `python -m training.cleanup`.

Run it before `sam delete`; it can run again at any time.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from common import settings
from common.account import check_credentials, check_region
from common.arguments import add_bucket_argument, add_endpoint_argument
from common.command import run_command
from common.errors import ExpectedError
from common.progress import progress_bar
from common.reports import write_json
from common.stack import add_stack_argument
from common.waiting import Status, make_console, wait_until_done
from training.cleaning.leftovers import (
    KEEP_LABELS,
    Found,
    Leftover,
    Scope,
    find_leftovers,
    other_endpoints,
    own_keys,
    owns_endpoint,
)
from training.cleaning.versions import THREADS, delete_versions
from training.endpoint.endpoint import delete_endpoint
from training.endpoint.role import delete_role
from training.endpoint.training_job import LOG_GROUP, delete_training_job

REPORT = settings.REPORTS_FOLDER / "cleanup" / "cleanup.json"

PROOF_TIMEOUT_S = 60  # lists may show a deleted resource for some seconds


class NotConfirmedError(ExpectedError):
    """The user did not confirm the deletion."""


def main(argv: list[str] | None = None) -> int:
    """Clean up; return the exit status, 1 if a resource is left."""
    return run_command(
        "cleanup", lambda: clean_up(parse_arguments(argv), make_console()), "run it again to delete the rest"
    )


def clean_up(arguments: argparse.Namespace, console: Console) -> int:
    """List, confirm, delete and list again; return 0 if only kept resources are left."""
    import boto3

    session: Any = boto3.Session()
    region = check_region(session)
    caller = check_credentials(session.client("sts"))
    sagemaker = session.client("sagemaker")
    unseen: list[str] = []
    shared = why_shared(sagemaker, arguments.endpoint, unseen)
    scope = Scope(
        endpoint=arguments.endpoint,
        bucket=arguments.bucket or settings.default_bucket(caller.account, region),
        stack=arguments.stack_name,
        account=caller.account,
        region=region,
        keep_data="--keep-data" if arguments.keep_data else shared,
        keep_role=shared,
        keep_labels="" if arguments.labels else KEEP_LABELS,
    )
    try:
        ours = owns_endpoint(sagemaker, scope.endpoint)
    except (ClientError, BotoCoreError):  # find_leftovers gets the same error and reports it
        ours = False

    def look() -> Found:
        return find_leftovers(session, scope, ours)

    found = look()
    where = f"account {caller.account}, {region}"
    if not found.leftovers:
        console.print(f"Nothing to delete in {where}.")
    else:
        rows = [(item.kind, item.name, item.detail) for item in found.leftovers]
        console.print(_table(f"To delete in {where}", "", rows))
    for kept in found.kept:
        console.print(f"kept: {kept.kind} {kept.name}: {kept.reason}", markup=False)
    for sentence in (*unseen, *found.unseen):
        print(f"cleanup: {sentence}", file=sys.stderr)
    if arguments.dry_run:
        return 1 if unseen or found.unseen else 0
    if found.leftovers and not arguments.yes:
        confirm(len(found.leftovers))

    failures = delete_all(session, found.leftovers, console)
    last = wait_until_nothing_left(look, console) if found.leftovers else found
    left = {(item.kind, item.name) for item in last.leftovers}
    deleted = [item for item in found.leftovers if (item.kind, item.name) not in left]
    unseen += last.unseen
    write_json(
        REPORT,
        {
            "deleted": [asdict(item) for item in deleted],
            "kept": [asdict(item) for item in last.kept],
            "failures": failures,
            "resources_left": [asdict(item) for item in last.leftovers],
            "not_looked_for": unseen,
        },
    )
    for sentence in (*failures, *(new for new in last.unseen if new not in found.unseen)):
        print(f"cleanup: {sentence}", file=sys.stderr)
    rows = [(item.kind, item.name, "deleted") for item in deleted]
    rows += [(item.kind, item.name, f"kept: {item.reason}") for item in last.kept]
    rows += [(item.kind, item.name, "still there") for item in last.leftovers]
    if rows:
        console.print(_table("Clean-up", "result", rows))
    if last.leftovers or unseen:
        print(
            f"cleanup: {len(last.leftovers)} still there, {len(unseen)} places that could not"
            " be searched: fix the errors above and run it again",
            file=sys.stderr,
        )
        return 1
    stays = ", ".join(f"{kept.kind} {kept.name}" for kept in last.kept)
    rest = f"all that is left was kept: {stays}." if stays else "nothing is left."
    console.print(f"Looked again: {rest} Delete the stack itself with `sam delete`.", markup=False)
    return 0


def why_shared(sagemaker: Any, endpoint: str, unseen: list[str]) -> str:
    """Return why the role, the pictures and their bucket must be kept for other endpoints, "" if not.

    If the caller may not list other endpoints, they are kept and `unseen` gets a sentence.
    """
    try:
        others = other_endpoints(sagemaker, endpoint)
    except (ClientError, BotoCoreError) as error:
        unseen.append(f"could not look for other endpoints: {error}")
        return "other endpoints may use it"
    return f"used for {', '.join(others)} too" if others else ""


def confirm(count: int) -> None:
    """Ask on a terminal. Raises NotConfirmedError unless the answer is yes."""
    if not sys.stdin.isatty():
        raise NotConfirmedError("There is no terminal to ask on: pass --yes to delete these.")
    if input(f"Delete these {count}? They cannot be restored. [y/N] ").lower() not in ("y", "yes"):
        raise NotConfirmedError("Nothing was deleted.")


def delete_all(session: Any, found: list[Leftover], console: Console) -> list[str]:
    """Delete the resources in order, all despite failures; return a message for each failure."""
    deleters = _deleters(session, console)
    failures = []
    for item in found:
        try:
            deleters[item.kind](item.name)
        except (ExpectedError, ClientError, BotoCoreError) as error:
            failures.append(f"{item.kind} {item.name}: {error}")
        else:
            console.print(f"deleted {item.kind} {item.name}", markup=False)
    return failures


def wait_until_nothing_left(look: Callable[[], Found], console: Console) -> Found:
    """List again until nothing is left or a minute has passed; return the last list."""
    deadline = time.monotonic() + PROOF_TIMEOUT_S
    found = Found()

    def status() -> Status:
        nonlocal found
        found = look()
        count = len(found.leftovers)
        text = f"{count} left" if count else "nothing left to delete"
        return Status(text, done=not count or time.monotonic() > deadline)

    wait_until_done(status, "Looking again", timeout_s=2 * PROOF_TIMEOUT_S, console=console)
    return found


def _table(title: str, last_heading: str, rows: list[tuple[str, str, str]]) -> Table:
    table = Table("what", "name", last_heading, title=title)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*row)
    return table


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.cleanup",
        description="Delete the endpoint with its configurations, models, training jobs and logs,"
        " the staged pictures, captures and training bucket, and the project's role; empty the"
        " stack's buckets, so that `sam delete` succeeds. Lists everything, asks, deletes and lists again."
        " Keeps what another endpoint of the project uses, people's labels, and an endpoint, a bucket,"
        " a role or a stack that the project did not make.",
    )
    add = parser.add_argument
    add_endpoint_argument(parser)
    add_stack_argument(parser, "; its buckets are emptied if it serves this endpoint")
    add_bucket_argument(parser, "; another one is kept, without this endpoint's pictures, jobs and captures")
    add("--keep-data", action="store_true", help="keep the staged pictures and their bucket")
    add("--labels", action="store_true", help="also delete what people decided on the review page")
    add("--dry-run", action="store_true", help="only list what would be deleted")
    add("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args(argv)
    settings.check_endpoint_name(arguments.endpoint, "--endpoint")
    return arguments


def _deleters(session: Any, console: Console) -> dict[str, Callable[[str], object]]:
    """Return the function that deletes a resource by its name, for each kind."""
    from botocore.config import Config

    sagemaker, logs = session.client("sagemaker"), session.client("logs")
    s3 = session.client("s3", config=Config(max_pool_connections=THREADS))

    def objects(name: str) -> None:
        holder, _, prefix = name.partition("/")
        with progress_bar(console, f"Deleting s3://{name}") as report:
            delete_versions(s3, holder, prefix, report, own_keys(prefix))

    def bucket(name: str) -> None:
        try:
            s3.delete_bucket(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketNotEmpty":
                raise
            objects(f"{name}/")  # the last captures may arrive after the endpoint is deleted
            s3.delete_bucket(Bucket=name)

    return {
        "training job": lambda name: delete_training_job(sagemaker, name, console),
        "endpoint": lambda name: delete_endpoint(sagemaker, name, console=console),
        "endpoint configuration": lambda name: sagemaker.delete_endpoint_config(EndpointConfigName=name),
        "model": lambda name: sagemaker.delete_model(ModelName=name),
        "objects": objects,
        "bucket": bucket,
        "log stream": lambda name: logs.delete_log_stream(logGroupName=LOG_GROUP, logStreamName=name),
        "log group": lambda name: logs.delete_log_group(logGroupName=name),
        "role": lambda name: delete_role(session.client("iam"), name),
    }


if __name__ == "__main__":
    sys.exit(main())
