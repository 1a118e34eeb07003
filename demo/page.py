"""The page of a demo run, from its summary.json and evaluation.json."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from common.pages.page import write_page
from common.predictions import ACCEPTED, FAILED, REVIEW
from demo.charts import charts
from demo.outcomes import PictureOutcome
from demo.samples import groups
from demo.table import threshold_reason
from operations.workflow_drawing import draw, read_definition

# Files of a run that the page links to: path below reports/, name and description.
LINKS = [
    ("demo/monitor/monitor.html", "Monitoring report", "the endpoint's captured calls"),
    ("demo/summary.json", "summary.json", "all figures of this run, and the outcome of each picture"),
    ("evaluate/evaluation.json", "evaluation.json", "each test picture's probabilities"),
    ("evaluate/risk_coverage.png", "risk_coverage.png", "with the held-out set that the threshold was chosen on"),
    ("evaluate/reliability.png", "reliability.png", "with the distribution of confidence"),
]

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
