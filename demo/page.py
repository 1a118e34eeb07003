"""The page of a demo run, from its summary.json and evaluation.json."""

import json
import os
import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from PIL import Image

from common.pages.page import write_page
from common.pages.thumbnails import thumbnail
from common.predictions import ACCEPTED, FAILED, REVIEW
from demo.charts import charts
from demo.outcomes import PictureOutcome
from operations.workflow_drawing import draw, read_definition
from operations.workflow_drawing.text import shorten

# Files of a run that the page links to: path below reports/, name and description.
LINKS = [
    ("demo/monitor/monitor.html", "Monitoring report", "the endpoint's captured calls"),
    ("demo/summary.json", "summary.json", "all figures of this run, and the outcome of each picture"),
    ("evaluate/evaluation.json", "evaluation.json", "each test picture's probabilities"),
    ("evaluate/risk_coverage.png", "risk_coverage.png", "with the held-out set that the threshold was chosen on"),
    ("evaluate/reliability.png", "reliability.png", "with the distribution of confidence"),
]

SHOWN_AT_MOST = 12  # of a group
CAUSE_LENGTH = 200  # characters of an error under its picture; summary.json has all of it
TEMPLATE = Path(__file__).with_name("demo.html.j2")


def write_demo_page(reports: Path, staged: Path, definition: Path) -> Path:
    """Write `demo/index.html` in the folder of reports; return its path.

    `staged` is the staged folder, whose test split was sent, and `definition` the state machine's file. Raises OSError
    for a missing file of the run.
    """
    summary = json.loads((reports / "demo" / "summary.json").read_text(encoding="utf-8"))
    evaluation = json.loads((reports / "evaluate" / "evaluation.json").read_text(encoding="utf-8"))
    pictures = [PictureOutcome(**picture) for picture in summary["pictures"]]
    transitions = {(t["from"], t["to"]): t for t in summary["transitions"]}
    counts = {edge: t["times"] for edge, t in transitions.items()}
    errors = {edge: t["after_errors"] for edge, t in transitions.items()}
    source = summary["source"]
    page = reports / "demo" / "index.html"
    write_page(
        page,
        TEMPLATE,
        summary=summary,
        evaluation=evaluation,
        source="drawn vehicles" if source["kind"] == "synthetic" else f"the {source['kind']} {source['name']}",
        began=datetime.fromisoformat(summary["began"]),
        threshold_reason=threshold_reason(summary),
        workflow=draw(read_definition(definition), counts=counts, after_errors=errors),
        results=results(pictures),
        pictures=sorted(pictures, key=lambda p: (p.truth, p.key)),
        groups=groups(pictures, staged / "test"),
        charts=charts(evaluation),
        links=[(os.path.relpath(reports / path, page.parent), name, description) for path, name, description in LINKS],
    )
    return page


def results(pictures: Sequence[PictureOutcome]) -> list[dict[str, Any]]:
    """Count the outcomes of each class, and of all, the last row.

    Each row has `name`, and counts under `pictures`, `right`, `wrong` (both accepted), `review` and `failed`.
    """
    rows = []
    classes = [(name, [p for p in pictures if p.truth == name]) for name in sorted({p.truth for p in pictures})]
    for name, members in [*classes, ("all", pictures)]:
        outcomes = Counter(p.outcome for p in members)
        right = sum(p.outcome == ACCEPTED and p.label == p.truth for p in members)
        counts = {"right": right, "wrong": outcomes[ACCEPTED] - right}
        counts |= {outcome: outcomes[outcome] for outcome in (REVIEW, FAILED)}
        rows.append({"name": name, "pictures": len(members), **counts})
    return rows


def threshold_reason(report: dict[str, Any]) -> str:
    """Return the source of the threshold."""
    recommendation = report["recommendation"]
    if recommendation is None or recommendation["threshold"] != report["threshold"]:
        return "samconfig.toml"
    rate = recommendation["max_error" if recommendation["met"] else "error_bound"]
    return f"recommended: at most {rate:.1%} errors"


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
