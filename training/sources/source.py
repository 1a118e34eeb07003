"""The interface of every source of pictures: its classes, and the pictures one by one."""

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from common.errors import ExpectedError
from training.container.picture_model.original_file import OriginalFile


class StageDataError(ExpectedError):
    """Staging failed for a reason that the user can fix."""


class ClassNameError(StageDataError):
    """Classes are unknown, too few, or have names that cannot be used."""


@dataclass(frozen=True)
class LabelledPicture:
    """One picture: RGB of any size. `split` is set if the source itself assigns it.

    `original` describes the file that it was read from; None for a drawn or unpacked picture.
    """

    class_name: str
    name: str  # of the file, without suffix
    image: Image.Image
    split: str | None = None
    original: OriginalFile | None = None


@dataclass(frozen=True)
class Unreadable:
    """A file of a class that cannot be read as a picture, and the reason."""

    class_name: str
    path: str
    reason: str


@dataclass(frozen=True)
class Source:
    """Pictures to stage. `total` counts what `pictures()` yields, for the progress bar."""

    description: dict[str, object]  # the manifest's entry `source`
    classes: list[str]  # sorted
    total: int
    has_test_split: bool
    pictures: Callable[[], Iterator[LabelledPicture | Unreadable]]


def choose_classes(wanted: Sequence[str], available: Sequence[str]) -> list[str]:
    """Return the wanted classes as the source spells them, sorted, each once.

    Case and spaces do not matter ("Pickup Truck" is pickup_truck). Raises ClassNameError, which names the nearest ones.
    """
    spelled: dict[str, str] = {}
    for name in available:
        other = spelled.setdefault(folded_class_name(name), name)
        if other != name and folded_class_name(name) in map(folded_class_name, wanted):
            raise ClassNameError(
                f"The classes {other!r} and {name!r} differ only in case or spaces, which some"
                " disks do not tell apart: rename or join them."
            )
    unknown = [name for name in wanted if folded_class_name(name) not in spelled]
    if unknown:
        raise ClassNameError(" ".join(_unknown_message(name, spelled) for name in unknown))
    chosen = sorted({spelled[folded_class_name(name)] for name in wanted})
    if len(chosen) < 2:
        raise ClassNameError(f"Only {', '.join(chosen) or 'no class'} was chosen: a classifier needs at least two.")
    for name in chosen:
        if not re.fullmatch(r"\w[\w .-]*", name):
            # A class is a folder, a part of S3 keys, and an entry of the comma-separated parameter ClassNames.
            raise ClassNameError(
                f"The class name {name!r} cannot be used: rename it to letters, digits, spaces,"
                " hyphens, dots and underscores."
            )
    return chosen


def file_stem(text: str) -> str:
    """Return the text as the stem of a file name that is valid on any disk and in any S3 key."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_") or "picture"


def folded_class_name(name: str) -> str:
    """Return a class name without differences of case and spaces."""
    return name.strip().lower().replace(" ", "_")


def _unknown_message(name: str, spelled: dict[str, str]) -> str:
    near = difflib.get_close_matches(folded_class_name(name), spelled, n=4, cutoff=0.5)
    near += [key for key in spelled if folded_class_name(name) in key and key not in near]
    if near:
        return f"There is no class {name!r}: did you mean {', '.join(spelled[n] for n in near)}?"
    return f"There is no class {name!r}: there are {', '.join(sorted(spelled.values()))}."
