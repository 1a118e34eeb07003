"""Choose the pictures that the page of a demo run shows: right, wrong, in review and failed."""

import random
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from common.pages.thumbnails import thumbnail
from common.predictions import ACCEPTED, FAILED, REVIEW
from demo.outcomes import PictureOutcome
from operations.workflow_drawing.text import shorten

SHOWN_AT_MOST = 12  # of a group
CAUSE_LENGTH = 200  # characters of an error under its picture; summary.json has all of it


class SamplePicture(NamedTuple):
    """A picture of the page: its data URL, its text alternative and its caption."""

    image: str
    alt: str
    answer: str
    verdict: str
    right: bool


class Group(NamedTuple):
    """Pictures of the same outcome; `summary` says how many there are and which are shown."""

    title: str
    summary: str
    samples: list[SamplePicture]


def groups(pictures: Sequence[PictureOutcome], staged: Path) -> list[Group]:
    """Return the groups, with the pictures from the folder of the staged test split.

    Raises OSError for a picture that cannot be read.
    """
    accepted = [p for p in pictures if p.outcome == ACCEPTED]
    right = [p for p in accepted if p.label == p.truth]
    random.Random(0).shuffle(right)  # noqa: S311  a choice, not a secret
    wrong = sorted((p for p in accepted if p.label != p.truth), key=_confidence, reverse=True)
    review = sorted((p for p in pictures if p.outcome == REVIEW), key=_confidence)
    failed = [p for p in pictures if p.outcome == FAILED]
    found = []
    for title, chosen, members in (
        ("Accepted and right", "drawn at random", right),
        ("Accepted but wrong", "with the highest confidence", wrong),
        ("Review: a person decides", "with the lowest confidence", review),
        ("Failed", "the first", failed),
    ):
        summary = f"{len(members)} of {len(pictures)} pictures"
        if len(members) > SHOWN_AT_MOST:
            summary += f"; here are {SHOWN_AT_MOST}, {chosen}"
        found.append(Group(title, summary, [_sample(picture, staged) for picture in members[:SHOWN_AT_MOST]]))
    return found if failed else found[:-1]


def _confidence(picture: PictureOutcome) -> float:
    return picture.confidence or 0.0


def _sample(picture: PictureOutcome, staged: Path) -> SamplePicture:
    name = PurePosixPath(picture.key).name
    with Image.open(staged / picture.truth / name) as opened:
        image = thumbnail(opened)
    right = picture.label == picture.truth
    if picture.outcome == FAILED:
        answer, verdict = "no answer", shorten(f"{picture.error}", CAUSE_LENGTH)
    else:
        answer = f"{picture.label}, {picture.confidence:.4f}"
        verdict = "right" if right else f"wrong: {picture.truth}"
    alt = f"{name}, a picture of class {picture.truth}; the model says {answer}"
    return SamplePicture(image, alt, answer, verdict, right)
