"""Read an archive with the layout of the CIFAR-100 python version, in memory.

Members train, test and meta are pickles of dictionaries; `data` has one row of 3,072 bytes per
picture: 1,024 red, 1,024 green, 1,024 blue, row by row of 32 x 32.
See https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.sources.safe_pickle import PickleRefusedError, load_pickle
from training.sources.source import LabelledPicture, Source, StageDataError, choose_classes, file_stem

SIDE = 32
MEMBERS = ("meta", "train", "test")
# The official train member has 155,249,918 bytes; a far larger one has another layout.
LARGEST_MEMBER = 400_000_000


class ArchiveError(StageDataError):
    """The archive is damaged, or has another layout than CIFAR-100."""


@dataclass(frozen=True)
class _Member:
    """One split: rows of `data` uint8 [n, 3072], `labels` and `names` of length n."""

    data: NDArray[np.uint8]
    labels: list[int]
    names: list[str]


def archive_source(path: Path, classes: Sequence[str]) -> Source:
    """Read the archive; its classes are its fine labels.

    Its test member becomes the test split; its train member is split further by the caller.
    Raises ArchiveError, ClassNameError.
    """
    pickles = _read_members(path)
    label_names = _label_names(path, pickles["meta"])
    chosen = choose_classes(classes, label_names)
    label_of = {label_names.index(name): name for name in chosen}
    members = {name: _member(path, name, pickles[name], len(label_names)) for name in MEMBERS[1:]}

    def pictures() -> Iterator[LabelledPicture]:
        for member_name, member in members.items():
            split = "test" if member_name == "test" else None
            counts = Counter(member.names)
            for row, (label, name) in enumerate(zip(member.labels, member.names, strict=True)):
                if label not in label_of:
                    continue
                stem = file_stem(name) if counts[name] == 1 else f"{file_stem(name)}-{row}"
                pixels = member.data[row].reshape(3, SIDE, SIDE).transpose(1, 2, 0)
                image = Image.fromarray(np.ascontiguousarray(pixels))
                yield LabelledPicture(label_of[label], f"{member_name}-{stem}", image, split)

    return Source(
        description={"kind": "archive", "name": path.name},
        classes=chosen,
        total=sum(label in label_of for m in members.values() for label in m.labels),
        has_test_split=True,
        pictures=pictures,
    )


def _read_members(path: Path) -> dict[str, dict[str, Any]]:
    """Unpickle meta, train and test, found by their base names in any folder."""
    found: dict[str, dict[str, Any]] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = Path(member.name).name
                if name not in MEMBERS or not member.isfile():
                    continue
                if member.size > LARGEST_MEMBER:
                    raise ArchiveError(f"{path}: member {name} has {member.size:,} bytes, more than CIFAR-100 has.")
                stream = archive.extractfile(member)
                assert stream is not None  # noqa: S101  it is a file: see above
                found[name] = load_pickle(stream.read())
    except FileNotFoundError as error:
        raise ArchiveError(f"{path} does not exist.") from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ArchiveError(f"{path} is not a whole tar archive ({error}): fetch it again.") from error
    except PickleRefusedError as error:
        raise ArchiveError(f"{path}: {error}") from error
    missing = [name for name in MEMBERS if name not in found]
    if missing:
        raise ArchiveError(
            f"{path} lacks {', '.join(missing)}: it must hold train, test and meta, like cifar-100-python.tar.gz."
        )
    return found


def _label_names(path: Path, meta: dict[str, Any]) -> list[str]:
    names = meta.get("fine_label_names")
    if not isinstance(names, list) or not all(isinstance(name, str | bytes) for name in names):
        raise ArchiveError(f"{path}: meta has no list fine_label_names.")
    return [_text(name) for name in names]


def _member(path: Path, name: str, fields: dict[str, Any], class_count: int) -> _Member:
    data, labels = fields.get("data"), fields.get("fine_labels")
    row = 3 * SIDE * SIDE
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (row,):
        raise ArchiveError(f"{path}: {name} has no data of uint8 [pictures, {row}].")
    if not isinstance(labels, list) or len(labels) != len(data):
        raise ArchiveError(f"{path}: {name} must have one fine label for each of its pictures.")
    if not all(isinstance(label, int) and 0 <= label < class_count for label in labels):
        raise ArchiveError(f"{path}: {name} has a label outside 0 to {class_count - 1}.")
    names = fields.get("filenames", [f"{number:05d}" for number in range(len(data))])
    if not isinstance(names, list) or not all(isinstance(text, str | bytes) for text in names):
        raise ArchiveError(f"{path}: {name} has file names that are not a list of texts.")
    if len(names) != len(data):
        raise ArchiveError(f"{path}: {name} must have one file name for each of its pictures.")
    return _Member(data, labels, [Path(_text(text)).stem for text in names])


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
