"""Put pictures into the workflow's inbox: `python -m training.send_pictures FOLDER_OR_FILE ...`.

Each object created under `inbox/` of the stack's bucket starts one execution. Files are sent as
they are, whatever they hold: what is no picture ends as a failure with a name.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from training import settings
from training.errors import ExpectedError
from training.parallel import run_parallel
from training.progress import progress_bar
from training.waiting import make_console

INBOX = "inbox"  # the prefix that template.yaml's PictureUploadedRule listens to
THREADS = 16


class NoPicturesError(ExpectedError):
    """The folders and files that were named hold nothing to send."""


class SameKeyError(ExpectedError):
    """Two files would become one object."""


class StackNotFoundError(ExpectedError):
    """The workflow's stack is not there, or has no such output."""


def main(argv: list[str] | None = None) -> int:
    """Send the pictures; return the exit status."""
    arguments = parse_arguments(argv)
    console = make_console()
    try:
        import boto3  # noqa: PLC0415  --help does without

        session: Any = boto3.Session()
        outputs = stack_outputs(session.client("cloudformation"), arguments.stack_name)
        objects = objects_of(arguments.paths)
        with progress_bar(console, "Sending") as report:
            send(client_for_threads(session), outputs["PicturesBucketName"], objects, report)
    except (ExpectedError, ClientError, BotoCoreError, OSError) as error:
        print(f"send_pictures: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("send_pictures: interrupted; what was sent is being worked on", file=sys.stderr)
        return 130
    console.print(
        f"Sent {len(objects)} files to s3://{outputs['PicturesBucketName']}/{INBOX}/: each starts"
        f" an execution of {outputs['StateMachineArn'].rpartition(':')[2]}.",
        markup=False,
    )
    return 0


def stack_outputs(cloudformation: Any, stack_name: str) -> dict[str, str]:
    """Return the outputs of the workflow's stack by name. Raises StackNotFoundError."""
    try:
        [stack] = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise StackNotFoundError(
            f"There is no stack {stack_name} in this account and region:"
            " deploy it with `sam build && sam deploy`."
        ) from error
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
    if "PicturesBucketName" not in outputs:
        raise StackNotFoundError(
            f"The stack {stack_name} is {stack['StackStatus']} and gives no PicturesBucketName:"
            " deploy it with `sam build && sam deploy`."
        )
    return outputs


def objects_of(paths: Iterable[Path]) -> dict[str, Path]:
    """Return the key for each file: a folder's files keep their path below it.

    Raises NoPicturesError naming what is missing or empty, and SameKeyError.
    """
    objects: dict[str, Path] = {}
    for path in paths:
        below = path.parent if path.is_file() else path
        files = (
            [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if visible(p, path)]
        )
        if not files:
            raise NoPicturesError(f"{path} is no file and no folder with files in it.")
        for file in files:
            key = f"{INBOX}/{file.relative_to(below).as_posix()}"
            if key in objects:
                raise SameKeyError(f"{objects[key]} and {file} would both become {key}.")
            objects[key] = file
    return objects


def visible(path: Path, folder: Path) -> bool:
    """Tell whether it is a file of the folder that neither it nor a folder above it hides."""
    parts = path.relative_to(folder).parts
    return path.is_file() and not any(part.startswith(".") for part in parts)


def client_for_threads(session: Any) -> Any:
    """Return an S3 client with a connection for each thread."""
    from botocore.config import Config  # noqa: PLC0415  --help does without

    return session.client("s3", config=Config(max_pool_connections=THREADS))


def send(
    s3: Any, bucket: str, objects: dict[str, Path], report: Callable[[int, int | None], None]
) -> None:
    """Upload each file under its key; `report` gets how many are there, and their total."""

    def put(item: tuple[str, Path]) -> None:
        key, path = item
        s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    run_parallel(put, objects.items(), threads=THREADS, report=report)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.send_pictures",
        description="Upload pictures to the inbox of the deployed workflow. Each starts one"
        " execution.",
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path,
        help="a file, or a folder whose files keep their path below it")  # fmt: skip
    parser.add_argument("--stack-name", metavar="NAME", default=settings.STACK_NAME,
        help=f"the workflow's stack ({settings.STACK_NAME}, from samconfig.toml)")  # fmt: skip
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
