"""Which files a command names, and the pictures of a staged test split."""

from collections.abc import Iterable
from pathlib import Path

from common.errors import ExpectedError
from operations.sending.arrivals import INBOX, SourcePicture
from training.staging.folder import read_manifest

TEST = "test/"


class NoPicturesError(ExpectedError):
    """The folders and files that were named hold nothing to send."""


class SameKeyError(ExpectedError):
    """Two files would become one object."""


def pictures_of(paths: Iterable[Path]) -> list[SourcePicture]:
    """Return the files that the paths name: a folder's files keep their path below it as name.

    Raises NoPicturesError naming what is missing or empty.
    """
    pictures: list[SourcePicture] = []
    for path in paths:
        below = path.parent if path.is_file() else path
        files = [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if visible(p, path)]
        if not files:
            raise NoPicturesError(f"{path} is no file and no folder with files in it.")
        pictures += [SourcePicture(f.relative_to(below).as_posix(), f, None) for f in files]
    return pictures


def staged_test_pictures(root: Path) -> list[SourcePicture]:
    """Return the test pictures of a staged folder, with their class.

    Raises NotStagedError, NoPicturesError.
    """
    pictures = [
        SourcePicture(name.removeprefix(TEST), root / name, name.split("/")[1])
        for name in read_manifest(root)["files"]
        if name.startswith(TEST)
    ]
    if not pictures:
        raise NoPicturesError(f"{root} has no test pictures: run `python -m training.stage_data` again.")
    return pictures


def objects_of(pictures: Iterable[SourcePicture]) -> dict[str, SourcePicture]:
    """Return the pictures by the key that each goes under when sent once. Raises SameKeyError."""
    objects: dict[str, SourcePicture] = {}
    for picture in pictures:
        key = f"{INBOX}/{picture.name}"
        if key in objects:
            raise SameKeyError(f"{objects[key].path} and {picture.path} would both become {key}.")
        objects[key] = picture
    return objects


def visible(path: Path, folder: Path) -> bool:
    """Tell whether it is a file of the folder that neither it nor a folder above it hides."""
    parts = path.relative_to(folder).parts
    return path.is_file() and not any(part.startswith(".") for part in parts)
