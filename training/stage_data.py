"""Stage pictures for training: `python -m training.stage_data SOURCE`.

Writes `{train,validation,test}/<class>/<name>.png` and a manifest with checksums into a folder, and
copies them to S3, where a SageMaker training job reads them.
"""

import argparse
import hashlib
import io
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from common.account import check_credentials, check_region
from common.arguments import inner_share
from common.command import run_command
from common.labels.label import NEITHER
from common.progress import progress_bar
from common.settings import STAGED_FOLDER, STAGED_PREFIX, default_bucket
from common.waiting import make_console
from training.container.picture_model.near_duplicates import difference_hash
from training.sources.archive import archive_source
from training.sources.download import download
from training.sources.folder import folder_source
from training.sources.labels import PROJECT, Reviewed, picture_place, read_labels
from training.sources.labels import THREADS as LABEL_THREADS
from training.sources.source import (
    ClassNameError,
    LabelledPicture,
    Source,
    StageDataError,
    Unreadable,
)
from training.sources.synthetic import synthetic_source
from training.staging.bucket import THREADS, ensure_bucket, sync, upload_file
from training.staging.folder import MANIFEST, ForeignFolderError, StagedFolder, overlap
from training.staging.splits import (
    SPLITS,
    Admission,
    Candidate,
    admit_to_training,
    assign_splits,
    pixel_hash,
)

CIFAR100_URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
CIFAR100_MD5 = "eb9058c3a382ffc7106e4002c42a8d85"  # as its page gives it
DEFAULT_CLASSES = ["bicycle", "motorcycle"]
DRAWN_OR_DOWNLOADED = ("synthetic", "cifar100")  # sources that are no path
NAMED_AT_MOST = 10  # files listed one by one before the rest is only counted


class SourceMissingError(StageDataError):
    """The archive or folder to stage does not exist."""


def main(argv: list[str] | None = None) -> int:
    """Stage the pictures; return the exit status."""
    return run_command(
        "stage_data", lambda: stage(parse_arguments(argv), make_console()), "run the same command again to go on"
    )


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line. Exits with status 2 where it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m training.stage_data",
        description="Stage pictures for training: split, convert to PNG, checksum, copy to S3.",
    )
    parser.add_argument(
        "source",
        help="synthetic (drawn here), cifar100 (downloads 169 MB, about an hour: its host is slow),"
        " an archive of the layout of cifar-100-python.tar.gz, or a folder of <class>/<picture>",
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        metavar="NAME",
        help="classes to stage (default: bicycle motorcycle; of a folder: all)",
    )
    parser.add_argument("--out", type=Path, default=STAGED_FOLDER, help="folder to write (default: %(default)s)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("data/cache"),
        help="downloads' folder (default: %(default)s)",
    )
    parser.add_argument("--bucket", help=f"S3 bucket ({default_bucket('ACCOUNT', 'REGION')})")
    parser.add_argument("--no-upload", action="store_true", help="write the folder only")
    parser.add_argument(
        "--labels",
        metavar="WHERE",
        help="also train on pictures that people decided on the review page: s3://BUCKET/PREFIX, a"
        f" folder of labels, or {PROJECT} for those in the project's own bucket (default: none)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of the split and of the drawings (default: %(default)s)",
    )
    parser.add_argument(
        "--validation-share",
        type=inner_share,
        default=0.15,
        help="fraction of each class's pictures, those of the test split aside, sent to"
        " training in a channel of their own, which joins the other (default: %(default)s)",
    )
    parser.add_argument(
        "--test-share",
        type=inner_share,
        default=0.15,
        help="fraction of each class's pictures held out to measure the model; an archive has its"
        " own test pictures (default: %(default)s)",
    )
    parser.add_argument(
        "--long-side",
        type=_at_least(16),
        default=640,
        help="of a folder: shrink larger photos to this, in pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--count",
        type=_at_least(3),
        default=300,
        help="of synthetic: pictures per class (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=_size,
        default=(32, 32),
        help="of synthetic: side in pixels, or WIDTHxHEIGHT as in 640x480 (default: 32)",
    )
    arguments = parser.parse_args(argv)
    if arguments.validation_share + arguments.test_share >= 1:
        parser.error("--validation-share and --test-share leave nothing to train on")
    return arguments


def stage(arguments: argparse.Namespace, console: Console) -> None:
    """Do what the command line says. Raises ExpectedError."""
    began = time.monotonic()
    check_source(arguments)
    # An hour's download may come: what could stop the work afterwards is looked at first.
    target = None if arguments.no_upload else _Target(arguments.bucket)
    reviews = None if arguments.labels is None else _Reviews(arguments)
    if reviews is not None and arguments.source in DRAWN_OR_DOWNLOADED:
        wanted = arguments.classes or DEFAULT_CLASSES  # as both of these spell them:
        reviews.labels.check([name.strip().lower().replace(" ", "_") for name in wanted])
    folder = StagedFolder(arguments.out)
    folder.begin()
    source = open_source(arguments, console)
    if NEITHER in source.classes:
        raise ClassNameError(
            f"Rename the class {NEITHER!r}: that is what people choose on the review page where a"
            " picture shows none of the classes."
        )
    if reviews is not None:
        reviews.labels.check(source.classes)
    received = _Received(folder)
    with progress_bar(console, "Pictures") as report:
        for done, item in enumerate(source.pictures(), start=1):
            received.add(item)
            report(done, source.total)
    test_share = 0.0 if source.has_test_split else arguments.test_share
    _list_unreadable(console, received.unreadable)
    with progress_bar(console, "Comparing") as report:
        assignment = assign_splits(
            received.candidates,
            source.classes,
            seed=arguments.seed,
            validation_share=arguments.validation_share,
            test_share=test_share,
            report=report,
        )
    splits, left_out = assignment.splits, [*assignment.left_out()]
    if reviews is not None:
        admission = reviews.join(received, splits, arguments.long_side, console)
        splits = [*splits, *("train" if taken else None for taken in admission.taken)]
        left_out += admission.left_out()
    places = {
        number: f"{split}/{candidate.class_name}/{candidate.name}.png"
        for number, (split, candidate) in enumerate(zip(splits, received.candidates, strict=True))
        if split is not None
    }
    manifest: dict[str, Any] = {
        "source": source.description,
        "seed": arguments.seed,
        "classes": source.classes,
        "counts": _counts(source.classes, list(places.values())),
        "s3_uri": None,
        "files": {
            path: {"sha256": received.sizes[number][0], "bytes": received.sizes[number][1]}
            for number, path in sorted(places.items(), key=lambda item: item[1])
        },
    }
    if reviews is not None:
        manifest["reviews"] = reviews.summary(places)
    with progress_bar(console, "Files") as report:
        written, kept = folder.commit(places, manifest, report)
    for why, candidates in left_out:
        _list(console, why, [f"{c.class_name}/{c.name}" for c in candidates])
    lines = [("Folder", f"{arguments.out}: {written} written, {kept} there already")]
    if reviews is not None:
        lines += [("Reviews", reviews.text(manifest["reviews"]))]
    if target is not None:
        lines += target.copy(folder, manifest, console)
    total = sum(entry["bytes"] for entry in manifest["files"].values())
    lines += [("Size", f"{total:,} bytes in {len(places)} pictures")]
    lines += [("Time", f"{time.monotonic() - began:.1f} s")]
    _print_result(console, manifest, lines)


def check_source(arguments: argparse.Namespace) -> None:
    """Refuse a source that is not there, or a folder that would be staged into itself.

    Raises SourceMissingError, ForeignFolderError.
    """
    name: str = arguments.source
    if name in DRAWN_OR_DOWNLOADED:
        return
    if not Path(name).exists():
        raise SourceMissingError(f"{name} does not exist: give an archive, a folder, synthetic or cifar100.")
    if Path(name).is_dir() and overlap(Path(name), arguments.out):
        raise ForeignFolderError(f"{arguments.out} and {name} lie one within the other: give another --out.")


def open_source(arguments: argparse.Namespace, console: Console) -> Source:
    """Choose the kind of source by its name. Raises ExpectedError."""
    name: str = arguments.source
    classes = arguments.classes or DEFAULT_CLASSES
    if name == "synthetic":
        return synthetic_source(classes, arguments.count, arguments.size, arguments.seed)
    if name != "cifar100" and Path(name).is_dir():
        return folder_source(Path(name), arguments.classes, arguments.long_side)
    path = _download_cifar100(arguments.cache, console) if name == "cifar100" else Path(name)
    return archive_source(path, classes)


def _download_cifar100(cache: Path, console: Console) -> Path:
    target = cache / CIFAR100_URL.rpartition("/")[2]
    if not target.exists():
        console.print(
            f"Downloading {CIFAR100_URL} (169 MB): about an hour, since its host is slow. Ctrl-C"
            " keeps what has arrived; the same command goes on from there.",
            markup=False,
        )
    with progress_bar(console, "Download", transfer=True) as report:
        return download(CIFAR100_URL, target, CIFAR100_MD5, report)


class _Received:
    """Pictures converted to PNG in the folder: candidates, (SHA-256, bytes) of each, failures."""

    def __init__(self, folder: StagedFolder) -> None:
        self._folder = folder
        self.candidates: list[Candidate] = []
        self.sizes: list[tuple[str, int]] = []
        self.unreadable: list[Unreadable] = []

    def add(self, item: LabelledPicture | Unreadable) -> None:
        if isinstance(item, Unreadable):
            self.unreadable.append(item)
            return
        png = _png(item)
        self._folder.receive(len(self.candidates), png)
        self.candidates.append(
            Candidate(
                item.class_name,
                item.name,
                pixel_hash(item.image),
                difference_hash(item.image),
                item.split,
            )
        )
        self.sizes.append((hashlib.sha256(png).hexdigest(), len(png)))


class _Reviews:
    """Pictures that people decided: read, compared with the source's, and counted."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        import boto3
        from botocore.config import Config

        session: Any = boto3.Session()
        region = check_region(session)
        own = arguments.bucket or default_bucket(check_credentials(session.client("sts")).account, region)
        self._s3 = session.client("s3", config=Config(max_pool_connections=LABEL_THREADS))
        self.labels: Reviewed = read_labels(self._s3, arguments.labels, own)
        self._from: dict[int, str] = {}  # the S3 place of each candidate that is a reviewed picture
        self._unreadable = 0

    def join(
        self,
        received: _Received,
        splits: Sequence[str | None],
        long_side: int,
        console: Console,
    ) -> Admission:
        """Receive the decided pictures behind the source's own, whose splits stay as they are."""
        before, failed = len(received.candidates), len(received.unreadable)
        total = len(self.labels.decided)
        with progress_bar(console, "Reviewed") as report:
            pictures = self.labels.pictures(self._s3, long_side)
            for done, (label, item) in enumerate(pictures, start=1):
                if isinstance(item, LabelledPicture):
                    self._from[len(received.candidates)] = picture_place(label)
                received.add(item)
                report(done, total)
        self._unreadable = len(received.unreadable) - failed
        _list_unreadable(console, received.unreadable[failed:])
        own, more = received.candidates[:before], received.candidates[before:]
        return admit_to_training(more, own, splits)

    def summary(self, places: Mapping[int, str]) -> dict[str, Any]:
        """Return what the manifest says: every label is counted in one of these."""
        used = {places[n]: where for n, where in self._from.items() if n in places}
        return {
            "from": self.labels.where,
            "labels": len(self.labels.labels),
            "used": len(used),
            "neither": len(self.labels.labels) - len(self.labels.decided),
            "left_out": len(self._from) - len(used),
            "unreadable": self._unreadable,
            "pictures": dict(sorted(used.items())),
        }

    def text(self, summary: dict[str, Any]) -> str:
        """Return the summary in one line."""
        if not summary["labels"]:
            return f"there are no labels at {summary['from']}"
        return (
            f"{summary['used']} of {summary['labels']} labels at {summary['from']} join training;"
            f" {summary['neither']} neither, {summary['left_out']} left out,"
            f" {summary['unreadable']} unreadable"
        )


def _png(picture: LabelledPicture) -> bytes:
    stream = io.BytesIO()
    # Nothing for pictures without a file of their own: those of an archive stay byte for byte.
    picture.image.save(stream, "PNG", pnginfo=picture.original and picture.original.png_text())
    return stream.getvalue()


class _Target:
    """The place in S3. Its bucket is made where it is missing."""

    def __init__(self, bucket: str | None) -> None:
        import boto3
        from botocore.config import Config

        session: Any = boto3.Session()
        region = check_region(session)
        account = check_credentials(session.client("sts")).account
        default = default_bucket(account, region)
        self.bucket = bucket or default
        self.s3 = session.client("s3", config=Config(max_pool_connections=THREADS))
        self.made = ensure_bucket(self.s3, self.bucket, region, account, ours=self.bucket == default)

    def copy(self, folder: StagedFolder, manifest: dict[str, Any], console: Console) -> list[tuple[str, str]]:
        """Copy the staged folder, its manifest last. Return what to say of it."""
        with progress_bar(console, "Upload") as report:
            result = sync(
                self.s3,
                self.bucket,
                STAGED_PREFIX,
                root=folder.root,
                paths=manifest["files"],
                manifest=MANIFEST,
                report=report,
            )
        manifest["s3_uri"] = f"s3://{self.bucket}/{STAGED_PREFIX}"
        folder.write_manifest(manifest)
        upload_file(self.s3, self.bucket, f"{STAGED_PREFIX}/{MANIFEST}", folder.root / MANIFEST)
        return [
            ("Bucket", f"{manifest['s3_uri']}{' (bucket made)' if self.made else ''}"),
            (
                "Objects",
                f"{result.uploaded} uploaded, {result.skipped} there already, {result.deleted} stale deleted",
            ),
        ]


def _counts(classes: Sequence[str], places: Sequence[str]) -> dict[str, dict[str, int]]:
    return {
        split: {name: sum(place.startswith(f"{split}/{name}/") for place in places) for name in classes}
        for split in SPLITS
    }


def _list_unreadable(console: Console, unreadable: Sequence[Unreadable]) -> None:
    _list(console, "that could not be read", [f"{item.path}: {item.reason}" for item in unreadable])


def _list(console: Console, heading: str, names: Sequence[str]) -> None:
    """Say how many pictures there are of a kind, and name the first ones; nothing for none."""
    if names:
        console.print(f"Pictures {heading}: {len(names)}", markup=False, soft_wrap=True)
    for name in names[:NAMED_AT_MOST]:
        console.print(f"  {name}", markup=False, soft_wrap=True)
    if len(names) > NAMED_AT_MOST:
        console.print(f"  and {len(names) - NAMED_AT_MOST} more")


def _print_result(console: Console, manifest: dict[str, Any], lines: Sequence[tuple[str, str]]) -> None:
    table = Table(title="Staged pictures")
    table.add_column("split")
    for name in manifest["classes"]:
        table.add_column(name, justify="right")
    for split in SPLITS:
        table.add_row(split, *(str(manifest["counts"][split][n]) for n in manifest["classes"]))
    console.print(table)
    for name, text in lines:
        console.print(f"{name:8} {text}", markup=False, soft_wrap=True)


def _size(text: str) -> tuple[int, int]:
    """Read "32" or "640x480" as a width and a height."""
    if not re.fullmatch(r"\d+(x\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text} is neither a side nor WIDTHxHEIGHT, in pixels")
    width, _, height = text.partition("x")
    pixels = _at_least(16)
    return pixels(width), pixels(height or width)


def _at_least(least: int) -> Any:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
