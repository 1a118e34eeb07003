"""The demo's page: what a run did, to look at, from the files that the run wrote.

All figures are those of summary.json and evaluation.json, so the page cannot say anything else.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from common.pages.page import write_page
from demo.charts import charts
from demo.outcomes import Outcome
from demo.samples import groups
from demo.table import threshold_reason
from operations.workflow_drawing import draw, read_definition

# Files of a run that the page links to: where they are, seen from reports/, and what they are.
LINKS = [
    ("demo/monitor/monitor.html", "Monitoring report", "what the endpoint was asked and answered"),
    ("demo/summary.json", "summary.json", "all figures of this run, and each picture's outcome"),
    ("evaluate/evaluation.json", "evaluation.json", "each test picture's probabilities"),
    ("evaluate/risk_coverage.png", "risk_coverage.png", "with the held-out pictures that the threshold was chosen on"),
    ("evaluate/reliability.png", "reliability.png", "with the distribution of confidence"),
]

TEMPLATE = Path(__file__).with_name("demo.html.j2")


def write_demo_page(reports: Path, staged: Path, definition: Path) -> Path:
    """Write `demo/index.html` in the folder of reports; return where it is.

    `staged` is the folder of the staged data, whose test pictures were sent, and `definition` the
    state machine's file. Raises OSError for a file of the run that is not there.
    """
    summary = json.loads((reports / "demo" / "summary.json").read_text(encoding="utf-8"))
    evaluation = json.loads((reports / "evaluate" / "evaluation.json").read_text(encoding="utf-8"))
    pictures = [Outcome(**picture) for picture in summary["pictures"]]
    transitions = {(t["from"], t["to"]): t for t in summary["transitions"]}
    counts = {way: t["times"] for way, t in transitions.items()}
    errors = {way: t["after_errors"] for way, t in transitions.items()}
    page = reports / "demo" / "index.html"
    write_page(
        page,
        TEMPLATE,
        summary=summary,
        evaluation=evaluation,
        source=source_words(summary["source"]),
        began=datetime.fromisoformat(summary["began"]),
        threshold_reason=threshold_reason(summary),
        workflow=draw(read_definition(definition), counts=counts, after_errors=errors),
        results=results(pictures),
        pictures=sorted(pictures, key=lambda p: (p.truth, p.key)),
        groups=groups(pictures, staged / "test"),
        charts=charts(evaluation),
        links=[(os.path.relpath(reports / path, page.parent), name, words) for path, name, words in LINKS],
    )
    return page


def source_words(source: dict[str, Any]) -> str:
    """Say what the pictures are, by the `source` of the staged data's manifest."""
    if source["kind"] == "synthetic":
        return "drawn vehicles"
    return f"the {source['kind']} {source['name']}"


def results(pictures: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Count the outcomes of each class, and of all, the last row.

    Each row has `name`, and counts under `pictures`, `right`, `wrong` (both accepted),
    `below_threshold` and `failed`.
    """
    names = sorted({p.truth for p in pictures})
    rows = [(name, [p for p in pictures if p.truth == name]) for name in names]
    return [{"name": name, **_counts(members)} for name, members in [*rows, ("all", pictures)]]


def _counts(pictures: Sequence[Outcome]) -> dict[str, int]:
    places = Counter(p.place for p in pictures)
    right = sum(p.place == "accepted" and p.label == p.truth for p in pictures)
    return {
        "pictures": len(pictures),
        "right": right,
        "wrong": places["accepted"] - right,
        "below_threshold": places["below_threshold"],
        "failed": places["failed"],
    }
