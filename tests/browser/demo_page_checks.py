"""Checks of the demo's page against the JSON of its run."""

from typing import Any

from common.pages.formatting import duration
from demo.page import threshold_reason
from tests.browser.conftest import PICTURES, Watched

# A tile's figure is the first line of its <dd>, and the note below it a <small>.
TILES = """() => Object.fromEntries([...document.querySelectorAll('.tiles > div')].map(tile => [
    tile.querySelector('dt').innerText,
    [tile.querySelector('dd').firstChild.textContent, tile.querySelector('small').innerText]]))"""
ROWS = """id => [...document.querySelectorAll(`#${id} tbody tr`)].map(
    row => [...row.children].map(cell => cell.textContent.trim()))"""
# The numbers of the drawing, each with the states that its arrow is between.
ARROWS = """() => [...document.querySelectorAll('svg.wf .wf-number')].map(number => {
    const of = number.closest('[data-from]').dataset
    return [of.from, of.to, number.textContent]})"""


def check_figures(watched: Watched, summary: dict[str, Any], evaluation: dict[str, Any]) -> None:
    """Assert that all tiles and tables show the figures of the JSON."""
    page = watched.page
    assert page.evaluate(TILES) == expected_tiles(summary)
    assert page.evaluate(ROWS, "transitions") == [
        [step["from"], step["to"], f"{step['times']:,}"] for step in summary["transitions"]
    ]
    assert sorted(page.evaluate(ARROWS)) == sorted(page.evaluate(ROWS, "transitions"))
    assert page.evaluate(ROWS, "results") == expected_results(summary)
    assert sorted(page.evaluate(ROWS, "pictures")) == sorted(map(picture_row, summary["pictures"]))
    assert page.evaluate(ROWS, "classes") == [
        [name, *(share(row[key]) for key in ("precision", "recall", "f1"))]
        for name, row in evaluation["classes"].items()
    ]
    stages = page.evaluate(ROWS, "stages")
    assert [row[1] for row in stages] == [duration(s) for s in summary["seconds"].values()]
    quality = page.locator("h2:has-text('Quality') + p").inner_text()
    assert f"{evaluation['correct']} of {evaluation['pictures']}" in quality
    assert share(evaluation["accuracy"]) in quality
    captured = page.locator("h2:has-text('Captured calls') + p").inner_text()
    assert captured.startswith(f"{summary['monitor']['predictions']:,} calls were captured")
    assert f"coverage {share(summary['monitor']['coverage'])}" in captured
    assert f"confidence {summary['monitor']['mean_confidence']:.4g}" in captured
    assert page.get_by_text(summary["monitor"]["drift_verdict"], exact=True).count() == 1
    check_charts([alt for alt, _, chart in page.evaluate(PICTURES) if chart], evaluation)


def check_charts(alts: list[str], evaluation: dict[str, Any]) -> None:
    """Assert that the charts' text alternatives have the evaluation's figures."""
    confusion, risk, reliability = alts
    matrix = evaluation["confusion_matrix"]
    for number, (name, row) in enumerate(zip(matrix["true_rows_predicted_columns"], matrix["counts"], strict=True)):
        assert f"{row[number]} of {sum(row)} {name} right" in confusion
    assert f"{evaluation['accepted']} are accepted ({share(evaluation['coverage'])})" in risk
    assert f"at the threshold {evaluation['threshold']:g}" in risk
    assert reliability.startswith("Accuracy by confidence: confidence ")


def expected_tiles(summary: dict[str, Any]) -> dict[str, list[str]]:
    """Return figure and note of each tile, by its name."""
    executions, monitor, training = (summary[n] for n in ("executions", "monitor", "training"))
    tiles = {
        "Executions": [str(executions["started"]), "one per test picture"],
        "Accepted": [str(executions["accepted"]), f"coverage {share(summary['coverage'])}"],
        "Review": [str(executions["review"]), "below the threshold, sent to the review queue"],
        "Failed": [str(executions["failed"]), "each sends a notification"],
        "Accuracy, accepted": [share(summary["accuracy_accepted"]), "of the accepted answers"],
        "Accuracy, all": [share(summary["accuracy"]), "review by the model's guess"],
        "Threshold": [f"{summary['threshold']:g}", threshold_reason(summary)],
        "Calibration error": [share(summary["expected_calibration_error"]), "0 % is perfect"],
        "Captured calls": [
            f"{monitor['predictions']:,}",
            f"{monitor['damaged']} damaged of {monitor['lines']:,} lines",
        ],
        "Training": [duration(training["seconds"]), f"validation accuracy {share(training['validation_accuracy'])}"],
        "Whole run": [duration(summary["seconds"]["total"]), "from pictures to answers"],
    }
    if "resources_left" in summary:
        tiles["Resources left"] = [str(summary["resources_left"]), "after the clean-up"]
    return tiles


def expected_results(summary: dict[str, Any]) -> list[list[str]]:
    """Count the outcomes of each class, and then of all, from the pictures."""
    pictures = summary["pictures"]
    rows = []
    for name in [*sorted(summary["data"]["test"]), "all"]:
        own = [p for p in pictures if name in ("all", p["truth"])]
        accepted = [p["label"] == p["truth"] for p in own if p["outcome"] == "accepted"]
        rest = [sum(p["outcome"] == outcome for p in own) for outcome in ("review", "failed")]
        counts = (len(own), sum(accepted), accepted.count(False), *rest)
        rows.append([name, *map(str, counts)])
    return rows


def picture_row(picture: dict[str, Any]) -> list[str]:
    """Return the cells of one picture."""
    outcome, confidence = picture["outcome"], picture["confidence"]
    if outcome == "accepted":
        outcome += ", right" if picture["label"] == picture["truth"] else ", wrong"
    shown = "-" if confidence is None else f"{confidence:.4f}"
    return [picture["key"], picture["truth"], picture["label"] or "-", shown, outcome]


def share(value: float | None) -> str:
    """Write a share in [0, 1] as the page must."""
    return "-" if value is None else f"{100 * value:.1f}%"
