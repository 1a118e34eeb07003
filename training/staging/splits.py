"""Assign each picture to one split, with near-duplicates in the same split."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from PIL import Image

from training.container.picture_model.near_duplicates import near_groups
from training.sources.source import StageDataError

SPLITS = ("train", "validation", "test")


class TooFewPicturesError(StageDataError):
    """A class has too few different pictures for every split to have some."""


def pixel_hash(image: Image.Image) -> str:
    """Return the SHA-256 of size and pixels: equal only for identical pictures."""
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


@dataclass(frozen=True)
class Candidate:
    """A picture to assign to a split. `split` is "test" if the source says so."""

    class_name: str
    name: str
    pixel_hash: str
    difference_hash: int
    split: str | None = None


@dataclass
class Assignment:
    """The split of each candidate, by position, None if it is left out; and why pictures are left out."""

    splits: list[str | None]
    repeats_of_test: list[Candidate] = field(default_factory=list)
    contradictions: list[Candidate] = field(default_factory=list)

    def left_out(self) -> list[tuple[str, list[Candidate]]]:
        """Return each reason, always in the same order, with its pictures."""
        return [
            ("left out of training, since they repeat a test picture", self.repeats_of_test),
            ("left out, since the same picture stands in two classes", self.contradictions),
        ]


def assign_splits(
    candidates: Sequence[Candidate],
    classes: Sequence[str],
    *,
    seed: int,
    validation_share: float,
    test_share: float,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Assignment:
    """Split each class by shares in [0, 1), the same way for the same seed and pictures.

    A test split given by the source is kept, `test_share` does not apply to it, and pictures that
    repeat one of its pictures are left out of training. Identical pictures and near-duplicates of
    a class stay together. Pictures in two classes are left out, since one label is wrong.
    `report` gets how many pictures were compared, and their total. Raises TooFewPicturesError.
    """
    assignment = Assignment([candidate.split for candidate in candidates])
    contradicted = _in_two_classes(candidates)
    by_class: dict[str, list[int]] = defaultdict(list)
    for position, candidate in enumerate(candidates):
        if candidate.pixel_hash in contradicted and candidate.split is None:
            assignment.contradictions.append(candidate)
        else:
            by_class[candidate.class_name].append(position)
    compared = 0
    for class_name in classes:
        positions = by_class[class_name]

        def compare(done: int, before: int = compared) -> None:
            report(before + done, len(candidates))

        hashes = [candidates[position].difference_hash for position in positions]
        groups = [[positions[i] for i in group] for group in near_groups(hashes, report=compare)]
        compared += len(positions)
        shuffler = random.Random(f"{seed} {class_name}")  # noqa: S311  a split, not a secret
        shares = {"test": test_share, "validation": validation_share}
        _split_class(candidates, groups, assignment, shuffler, shares)
        _require_every_split(class_name, groups, assignment)
    return assignment


def admit_to_training(
    more: Sequence[Candidate], candidates: Sequence[Candidate], splits: Sequence[str | None]
) -> Assignment:
    """Choose which further pictures join the training split; the splits of `candidates` do not change.

    A near-duplicate of a test picture of any class is left out, and so is a picture that is also,
    among the candidates or among `more`, in another class.
    """
    tested = [c for c, split in zip(candidates, splits, strict=True) if split == "test"]
    hashes = [candidate.difference_hash for candidate in (*tested, *more)]
    repeats = {
        position - len(tested)
        for group in near_groups(hashes)
        if group[0] < len(tested)  # groups are sorted
        for position in group
    }
    contradicted = _in_two_classes([*candidates, *more])
    admission = Assignment([])
    for position, candidate in enumerate(more):
        if position in repeats:
            admission.repeats_of_test.append(candidate)
        elif candidate.pixel_hash in contradicted:
            admission.contradictions.append(candidate)
        is_admitted = position not in repeats and candidate.pixel_hash not in contradicted
        admission.splits.append("train" if is_admitted else None)
    return admission


def _split_class(
    candidates: Sequence[Candidate],
    groups: Sequence[list[int]],
    assignment: Assignment,
    shuffler: random.Random,
    shares: dict[str, float],
) -> None:
    """Assign the groups of positions of one class."""
    free: list[list[int]] = []
    for members in groups:
        undecided = [position for position in members if assignment.splits[position] is None]
        if len(undecided) < len(members):  # the group has a test picture
            assignment.repeats_of_test += [candidates[position] for position in undecided]
        else:
            free.append(members)
    free.sort(key=lambda members: candidates[members[0]].name)
    shuffler.shuffle(free)
    count = sum(map(len, free))
    wanted = {split: round(share * count) for split, share in shares.items()}
    if any(candidates[position].split == "test" for members in groups for position in members):
        wanted["test"] = 0
    for members in free:
        split = next((s for s, room in wanted.items() if len(members) <= room), "train")
        if split != "train":
            wanted[split] -= len(members)
        for position in members:
            assignment.splits[position] = split


def _in_two_classes(candidates: Iterable[Candidate]) -> set[str]:
    classes: dict[str, set[str]] = defaultdict(set)
    for candidate in candidates:
        classes[candidate.pixel_hash].add(candidate.class_name)
    return {pixels for pixels, names in classes.items() if len(names) > 1}


def _require_every_split(class_name: str, groups: Sequence[list[int]], assignment: Assignment) -> None:
    found = [assignment.splits[position] for members in groups for position in members]
    empty = [split for split in SPLITS if split not in found]
    if empty:
        used = sum(split is not None for split in found)
        joined = len(found) - len(groups)
        alike = f" ({joined} of all {len(found)} nearly repeat another)" if joined else ""
        raise TooFewPicturesError(
            f"Class {class_name} has {used} usable pictures{alike}, too few to have some in"
            f" {' and '.join(empty)}: add different pictures of it, or give a larger share."
        )
