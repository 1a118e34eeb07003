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
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from common.account import check_credentials, check_region
from common.arguments import add_bucket_argument, at_least, inner_share
from common.command import run_command
from common.labels.label import NEITHER
from common.progress import progress_bar
from common.settings import STAGED_FOLDER, STAGED_PREFIX, default_bucket
from common.tables import figures_table, print_first
from common.waiting import make_console
from training.container.picture_model.near_duplicates import difference_hash
from training.sources.archive import archive_source
from training.sources.download import download
from training.sources.folder import folder_source
from training.sources.labels import PROJECT, read_labels
from training.sources.source import (
    ClassNameError,
    LabelledPicture,
    Source,
    StageDataError,
    Unreadable,
    folded_class_name,
)
from training.sources.synthetic import synthetic_source
from training.staging.bucket import THREADS, ensure_bucket, sync, upload_file
from training.staging.folder import MANIFEST, StagedFolder, StagedFolderError, overlap
from training.staging.splits import SPLITS, Candidate, admit_to_training, assign_splits, pixel_hash

CIFAR100_URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
CIFAR100_MD5 = "eb9058c3a382ffc7106e4002c42a8d85"  # from the same site
DEFAULT_CLASSES = ["bicycle", "motorcycle"]
DRAWN_OR_DOWNLOADED = ("synthetic", "cifar100")  # sources that are not a path


class SourceMissingError(StageDataError):
    """The archive or folder to stage does not exist."""


def main(argv: list[str] | None = None) -> int:
    """Stage the pictures; return the exit status."""
    return run_command(
        "stage_data", lambda: stage(parse_arguments(argv), make_console()), "run the same command again to go on"
    )


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line. Exits with status 2 if it is invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m training.stage_data",
        description="Stage pictures for training: split, convert to PNG, checksum, copy to S3.",
    )
    add = parser.add_argument
    source_help = (
        "synthetic (drawn here), cifar100 (downloads 169 MB, about an hour: its host is slow), an archive of the layout"
        " of cifar-100-python.tar.gz, or a folder of <class>/<picture>"
    )
    add("source", help=source_help)
    classes_help = "classes to stage (default: bicycle motorcycle; of a folder: all)"
    add("--classes", nargs="+", metavar="NAME", help=classes_help)
    add("--out", type=Path, default=STAGED_FOLDER, help="folder to write (default: %(default)s)")
    add("--cache", type=Path, default=Path("data/cache"), help="folder of downloads (default: %(default)s)")
    add_bucket_argument(parser)
    add("--no-upload", action="store_true", help="write the folder only")
    labels_help = (
        "also train on pictures that people decided on the review page: s3://BUCKET/PREFIX, a folder of labels, or"
        f" {PROJECT} for those in the project's own bucket (default: none)"
    )
    add("--labels", metavar="WHERE", help=labels_help)
    add("--seed", type=int, default=0, help="of the split and of the drawings (default: %(default)s)")
    validation_help = (
        "fraction of each class's pictures, without those of the test split, sent to training in a separate channel,"
        " which training joins with the other (default: %(default)s)"
    )
    add("--validation-share", type=inner_share, default=0.15, help=validation_help)
    test_help = (
        "fraction of each class's pictures held out to measure the model; an archive has its own test pictures"
        " (default: %(default)s)"
    )
    add("--test-share", type=inner_share, default=0.15, help=test_help)
    long_side_help = "of a folder: shrink larger photos to this, in pixels (default: %(default)s)"
    add("--long-side", type=at_least(16), default=640, help=long_side_help)
    add("--count", type=at_least(3), default=300, help="of synthetic: pictures per class (default: %(default)s)")
    size_help = "of synthetic: side in pixels, or WIDTHxHEIGHT as in 640x480 (default: 32)"
    add("--size", type=_size, default=(32, 32), help=size_help)
    arguments = parser.parse_args(argv)
    if arguments.validation_share + arguments.test_share >= 1:
        parser.error("--validation-share and --test-share leave nothing to train on")
    return arguments


def stage(arguments: argparse.Namespace, console: Console) -> None:
    """Stage the pictures. Raises ExpectedError."""
    began = time.monotonic()
    check_source(arguments)
    # Whatever can fail is checked before the download, which can take an hour.
    storage = None if arguments.no_upload and arguments.labels is None else _Storage(arguments.bucket)
    target = None if arguments.no_upload else storage
    if target:
        target.ensure_bucket()
    labels = None
    if storage and arguments.labels is not None:
        labels = read_labels(storage.s3, arguments.labels, storage.bucket)
    if labels and arguments.source in DRAWN_OR_DOWNLOADED:
        labels.check([folded_class_name(name) for name in arguments.classes or DEFAULT_CLASSES])
    folder = StagedFolder(arguments.out)
    folder.begin()
    source = open_source(arguments, console)
    if NEITHER in source.classes:
        raise ClassNameError(
            f"Rename the class {NEITHER!r}: on the review page, it stands for a picture of none of the classes."
        )
    if labels:
        labels.check(source.classes)
    received = _ReceivedPictures(folder)
    received.add(source.pictures(), source.total, "Pictures", console)
    unreviewed = [*received.candidates]
    with progress_bar(console, "Comparing") as report:
        assignment = assign_splits(
            unreviewed,
            source.classes,
            seed=arguments.seed,
            validation_share=arguments.validation_share,
            test_share=0.0 if source.has_test_split else arguments.test_share,
            report=report,
        )
    splits, left_out, unreadable = assignment.splits, assignment.left_out(), 0
    if labels:
        reviewed = labels.pictures(arguments.long_side)
        unreadable = received.add(reviewed, len(labels.decided), "Reviewed", console)
        admission = admit_to_training(received.candidates[len(unreviewed) :], unreviewed, splits)
        splits, left_out = splits + admission.splits, left_out + admission.left_out()
    paths = {
        number: f"{split}/{candidate.class_name}/{candidate.name}.png"
        for number, (split, candidate) in enumerate(zip(splits, received.candidates, strict=True))
        if split is not None
    }
    manifest: dict[str, Any] = {
        "source": source.description,
        "seed": arguments.seed,
        "classes": source.classes,
        "counts": {
            split: {name: sum(p.startswith(f"{split}/{name}/") for p in paths.values()) for name in source.classes}
            for split in SPLITS
        },
        "s3_uri": None,
        "files": {path: received.files[number] for number, path in sorted(paths.items(), key=lambda item: item[1])},
    }
    if labels:
        manifest["reviews"] = labels.summary(
            [p for number, p in paths.items() if number >= len(unreviewed)], unreadable
        )
    with progress_bar(console, "Files") as report:
        written, kept = folder.commit(paths, manifest, report)
    for reason, candidates in left_out:
        _print_list(console, reason, [f"{c.class_name}/{c.name}" for c in candidates])
    lines = [("Folder", f"{arguments.out}: {written} written, {kept} there already")]
    if labels:
        lines += [("Reviews", labels.summary_text(manifest["reviews"]))]
    if target:
        lines += target.upload(folder, manifest, console)
    total = sum(entry["bytes"] for entry in manifest["files"].values())
    lines += [("Size", f"{total:,} bytes in {len(paths)} pictures")]
    lines += [("Time", f"{time.monotonic() - began:.1f} s")]
    _print_result(console, manifest, lines)


def check_source(arguments: argparse.Namespace) -> None:
    """Check that the source exists and that a folder is not staged into itself.

    Raises SourceMissingError, StagedFolderError.
    """
    name: str = arguments.source
    if name in DRAWN_OR_DOWNLOADED:
        return
    if not Path(name).exists():
        raise SourceMissingError(f"{name} does not exist: give an archive, a folder, synthetic or cifar100.")
    if Path(name).is_dir() and overlap(Path(name), arguments.out):
        raise StagedFolderError(f"{arguments.out} and {name} lie one within the other: give another --out.")


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
            f"Downloading {CIFAR100_URL} (169 MB): about an hour, since its host is slow. After Ctrl-C, the same"
            " command resumes the download.",
            markup=False,
        )
    with progress_bar(console, "Download", transfer=True) as report:
        return download(CIFAR100_URL, target, CIFAR100_MD5, report)


class _ReceivedPictures:
    """The pictures in the folder, as PNG: a candidate for the splits and a file entry of the manifest for each."""

    def __init__(self, folder: StagedFolder) -> None:
        self._folder = folder
        self.candidates: list[Candidate] = []
        self.files: list[dict[str, Any]] = []

    def add(self, pictures: Iterable[LabelledPicture | Unreadable], total: int, title: str, console: Console) -> int:
        """Receive the pictures and list the unreadable ones; return how many these are."""
        unreadable = []
        with progress_bar(console, title) as report:
            for done, item in enumerate(pictures, start=1):
                if isinstance(item, Unreadable):
                    unreadable.append(f"{item.path}: {item.reason}")
                else:
                    self._receive(item)
                report(done, total)
        _print_list(console, "that could not be read", unreadable)
        return len(unreadable)

    def _receive(self, picture: LabelledPicture) -> None:
        png = _png(picture)
        self._folder.receive(len(self.candidates), png)
        hashes = pixel_hash(picture.image), difference_hash(picture.image)
        self.candidates.append(Candidate(picture.class_name, picture.name, *hashes, picture.split))
        self.files.append({"sha256": hashlib.sha256(png).hexdigest(), "bytes": len(png)})


def _png(picture: LabelledPicture) -> bytes:
    stream = io.BytesIO()
    # Drawn and unpacked pictures have no original file, and their PNGs no text.
    picture.image.save(stream, "PNG", pnginfo=picture.original and picture.original.png_text())
    return stream.getvalue()


class _Storage:
    """S3 and the training bucket."""

    def __init__(self, bucket: str | None) -> None:
        import boto3
        from botocore.config import Config

        session: Any = boto3.Session()
        self._region = check_region(session)
        self._account = check_credentials(session.client("sts")).account
        self._default = default_bucket(self._account, self._region)
        self.bucket = bucket or self._default
        self.s3 = session.client("s3", config=Config(max_pool_connections=THREADS))
        self._is_new = False

    def ensure_bucket(self) -> None:
        """Create the bucket if it is missing."""
        ours = self.bucket == self._default
        self._is_new = ensure_bucket(self.s3, self.bucket, self._region, self._account, ours=ours)

    def upload(self, folder: StagedFolder, manifest: dict[str, Any], console: Console) -> list[tuple[str, str]]:
        """Upload the staged folder, its manifest last. Return the lines to print about it."""
        with progress_bar(console, "Upload") as report:
            result = sync(self.s3, self.bucket, folder.root, manifest["files"], report)
        manifest["s3_uri"] = f"s3://{self.bucket}/{STAGED_PREFIX}"
        folder.write_manifest(manifest)
        upload_file(self.s3, self.bucket, f"{STAGED_PREFIX}/{MANIFEST}", folder.root / MANIFEST)
        objects = f"{result.uploaded} uploaded, {result.skipped} there already, {result.deleted} stale deleted"
        return [("Bucket", f"{manifest['s3_uri']}{' (bucket made)' if self._is_new else ''}"), ("Objects", objects)]


def _print_list(console: Console, heading: str, names: Sequence[str]) -> None:
    """Print how many pictures of a kind there are and the first names; nothing if there are none."""
    if names:
        console.print(f"Pictures {heading}: {len(names)}", markup=False, soft_wrap=True)
    print_first(console, names)


def _print_result(console: Console, manifest: dict[str, Any], lines: Sequence[tuple[str, str]]) -> None:
    table = figures_table("split", *manifest["classes"], title="Staged pictures")
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
    pixels = at_least(16)
    return pixels(width), pixels(height or width)


if __name__ == "__main__":
    sys.exit(main())
