"""Which pictures of a demo run its page shows: right, wrong, doubtful and failed ones."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from common.pages.thumbnails import thumbnail
from demo.outcomes import Outcome
from operations.workflow_drawing.text import shorten

SHOWN_AT_MOST = 12  # of a kind: two rows at a desk, and six of a phone
CAUSE_LENGTH = 200  # characters of an error under its picture; summary.json has all of it


@dataclass(frozen=True)
class Sample:
    """A picture as the page shows it: its address, what is to be seen in words, and a caption."""

    image: str
    alt: str
    answer: str
    verdict: str
    right: bool


@dataclass(frozen=True)
class Group:
    """Pictures that ended alike; `words` says how many there are and which are shown."""

    title: str
    words: str
    samples: list[Sample]


def groups(pictures: Sequence[Outcome], staged: Path, seed: int = 0) -> list[Group]:
    """Return the groups, with the pictures themselves from the folder of the staged test split.

    Raises OSError for a picture that cannot be read.
    """
    accepted = [p for p in pictures if p.place == "accepted"]
    right = [p for p in accepted if p.label == p.truth]
    random.Random(seed).shuffle(right)  # noqa: S311  a choice, not a secret
    wrong = sorted((p for p in accepted if p.label != p.truth), key=_confidence, reverse=True)
    doubtful = sorted((p for p in pictures if p.place == "below_threshold"), key=_confidence)
    failed = [p for p in pictures if p.place == "failed"]
    found = [
        ("Accepted and right", "drawn at random", right),
        ("Accepted but wrong", "those that the model was surest of", wrong),
        ("Doubtful: a person decides", "the most doubtful", doubtful),
    ]
    if failed:
        found.append(("Failed", "the first", failed))
    return [
        Group(
            title,
            _counted(len(members), len(pictures), which),
            [_sample(picture, staged) for picture in members[:SHOWN_AT_MOST]],
        )
        for title, which, members in found
    ]


def _counted(members: int, pictures: int, which: str) -> str:
    words = f"{members} of {pictures} pictures"
    return f"{words}; here are {SHOWN_AT_MOST}, {which}" if members > SHOWN_AT_MOST else words


def _confidence(picture: Outcome) -> float:
    return picture.confidence or 0.0


def _sample(picture: Outcome, staged: Path) -> Sample:
    name = PurePosixPath(picture.key).name
    with Image.open(staged / picture.truth / name) as opened:
        image = thumbnail(opened)
    right = picture.label == picture.truth
    if picture.place == "failed":
        answer, verdict = "no answer", shorten(f"{picture.error}", CAUSE_LENGTH)
    else:
        answer = f"{picture.label}, {picture.confidence:.4f}"
        verdict = "right" if right else f"wrong: {picture.truth}"
    alt = f"{name}, a picture of class {picture.truth}; the model says {answer}"
    return Sample(image, alt, answer, verdict, right)
