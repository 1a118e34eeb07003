"""Delete all that the training side made, and empty the stack's buckets for `sam delete`.

Run it before `sam delete`, and as often as you like: `python -m training.cleanup`.
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
from common.command import run_command
from common.errors import ExpectedError
from common.progress import progress_bar
from common.reports import write_json
from common.waiting import Status, make_console, wait_until_done
from training.cleaning.leftovers import (
    KEEP_LABELS,
    Found,
    Kept,
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
from training.endpoint.training_job import LOG_GROUP, stop_training_job

REPORT = settings.REPORTS_FOLDER / "cleanup" / "cleanup.json"

STOP_TIMEOUT_S = 900  # a job gets two minutes to stop by itself, then SageMaker uploads its output
PROOF_TIMEOUT_S = 60  # lists may show a deleted thing for some seconds


class NotConfirmedError(ExpectedError):
    """The user did not confirm the deletion."""


def main(argv: list[str] | None = None) -> int:
    """Clean up; return the exit status, 1 when something is left."""
    return run_command(
        "cleanup", lambda: clean_up(parse_arguments(argv), make_console()), "run it again to delete the rest"
    )


def clean_up(arguments: argparse.Namespace, console: Console) -> int:
    """List, confirm, delete and list again; return 0 when only what is kept on purpose is left."""
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
    except ClientError:  # find_leftovers meets it again, and lists it
        ours = False

    def look() -> Found:
        return find_leftovers(session, scope, ours)

    found = look()
    where = f"account {caller.account}, {region}"
    if not found.leftovers:
        console.print(f"Nothing to delete in {where}.")
    else:
        console.print(leftovers_table(f"To delete in {where}", found.leftovers))
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
    left = {(thing.kind, thing.name) for thing in last.leftovers}
    deleted = [thing for thing in found.leftovers if (thing.kind, thing.name) not in left]
    unseen += last.unseen
    write_json(
        REPORT,
        {
            "deleted": [asdict(thing) for thing in deleted],
            "kept": [asdict(thing) for thing in last.kept],
            "failures": failures,
            "resources_left": [asdict(thing) for thing in last.leftovers],
            "not_looked_for": unseen,
        },
    )
    for sentence in (*failures, *(new for new in last.unseen if new not in found.unseen)):
        print(f"cleanup: {sentence}", file=sys.stderr)
    if deleted or last.kept or last.leftovers:
        console.print(result_table(deleted, last.kept, last.leftovers))
    if last.leftovers or unseen:
        print(
            f"cleanup: {len(last.leftovers)} still there, {len(unseen)} places that could not"
            " be searched: fix the errors above and run it again",
            file=sys.stderr,
        )
        return 1
    stays = ", ".join(f"{kept.kind} {kept.name}" for kept in last.kept)
    rest = f"all that is left was kept: {stays}." if stays else "nothing is left."
    console.print(f"Looked again: {rest} The stack itself goes with `sam delete`.", markup=False)
    return 0


def why_shared(sagemaker: Any, endpoint: str, unseen: list[str]) -> str:
    """Say why role, pictures and their bucket have to stay for others, "" where they need not.

    Adds a sentence to `unseen`, and keeps them, where the caller may not list other endpoints.
    """
    try:
        others = other_endpoints(sagemaker, endpoint)
    except ClientError as error:
        unseen.append(f"could not look for other endpoints: {error}")
        return "other endpoints may use it"
    return f"used for {', '.join(others)} too" if others else ""


def confirm(count: int) -> None:
    """Ask on a terminal. Raises NotConfirmedError unless the answer is yes."""
    if not sys.stdin.isatty():
        raise NotConfirmedError("There is no terminal to ask on: pass --yes to delete these.")
    if input(f"Delete these {count}? They cannot be brought back. [y/N] ").lower() not in (
        "y",
        "yes",
    ):
        raise NotConfirmedError("Nothing was deleted.")


def delete_all(session: Any, found: list[Leftover], console: Console) -> list[str]:
    """Delete one after the other; return what went wrong: one failure must not keep the rest."""
    deleters = _deleters(session, console)
    failures = []
    for thing in found:
        try:
            deleters[thing.kind](thing.name)
        except (ExpectedError, ClientError, BotoCoreError) as error:
            failures.append(f"{thing.kind} {thing.name}: {error}")
        else:
            console.print(f"deleted {thing.kind} {thing.name}", markup=False)
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


def result_table(deleted: list[Leftover], kept: list[Kept], left: list[Leftover]) -> Table:
    """List every resource with its result."""
    rows = [(item.kind, item.name, "deleted") for item in deleted]
    rows += [(item.kind, item.name, f"kept: {item.reason}") for item in kept]
    rows += [(item.kind, item.name, "still there") for item in left]
    return _table("Clean-up", "result", rows)


def leftovers_table(title: str, found: list[Leftover]) -> Table:
    """List what is to be deleted."""
    return _table(title, "", [(item.kind, item.name, item.detail) for item in found])


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
        " the staged pictures, captures and training bucket, and the role that was made; empty the"
        " stack's buckets, so that `sam delete` succeeds. Lists it all, asks, and looks again at"
        " the end. What another endpoint of the project uses too is kept, and so are labels that"
        " people gave, and an endpoint, a bucket, a role or a stack that the project did not make.",
    )
    add = parser.add_argument
    add(
        "--endpoint",
        metavar="NAME",
        default=settings.project().endpoint_name,
        help=f"name of the endpoint ({settings.project().endpoint_name}, from samconfig.toml)",
    )
    add(
        "--stack-name",
        metavar="NAME",
        default=settings.project().stack_name,
        help="stack whose buckets are emptied if it serves this endpoint (%(default)s, samconfig.toml)",
    )
    add(
        "--bucket",
        metavar="NAME",
        help=f"training bucket ({settings.default_bucket('ACCOUNT', 'REGION')}); any other stays,"
        " without the staged pictures, jobs and captures of this endpoint",
    )
    add("--keep-data", action="store_true", help="keep the staged pictures and their bucket")
    add("--labels", action="store_true", help="also delete what people decided on the review page")
    add("--dry-run", action="store_true", help="only list what would be deleted")
    add("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args(argv)
    settings.check_endpoint_name(arguments.endpoint, "--endpoint")
    return arguments


def _deleters(session: Any, console: Console) -> dict[str, Callable[[str], object]]:
    """Return, for each kind of leftover, what deletes one by its name."""
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
            objects(f"{name}/")  # an endpoint's last captures may arrive after it is gone
            s3.delete_bucket(Bucket=name)

    return {
        "training job": lambda name: _delete_training_job(sagemaker, name, console),
        "endpoint": lambda name: delete_endpoint(sagemaker, name, console=console),
        "endpoint configuration": lambda name: sagemaker.delete_endpoint_config(EndpointConfigName=name),
        "model": lambda name: sagemaker.delete_model(ModelName=name),
        "objects": objects,
        "bucket": bucket,
        "log stream": lambda name: logs.delete_log_stream(logGroupName=LOG_GROUP, logStreamName=name),
        "log group": lambda name: logs.delete_log_group(logGroupName=name),
        "role": lambda name: delete_role(session.client("iam"), name),
    }


def _delete_training_job(sagemaker: Any, job: str, console: Console) -> None:
    """Delete the job; one that runs is stopped first, for only an ended one can be deleted."""

    def look() -> Status:
        status = sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"]
        return Status(status, done=status in ("Completed", "Failed", "Stopped"))

    if not look().done:
        stop_training_job(sagemaker, job)
        wait_until_done(look, f"Training job {job}", timeout_s=STOP_TIMEOUT_S, console=console)
    sagemaker.delete_training_job(TrainingJobName=job)


if __name__ == "__main__":
    sys.exit(main())
