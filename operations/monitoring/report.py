"""The page of a monitoring report: charts, pictures and tables of the figures."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from common.pages.formatting import number, percent
from common.pages.page import write_page
from operations.monitoring import charts
from operations.monitoring.captured_pictures import ShownPicture
from operations.monitoring.comparison import Comparison
from operations.monitoring.feature_drift import feature_values
from operations.monitoring.predictions import Predictions
from operations.monitoring.sample import Sample

PAGE = "monitor.html"
TEMPLATE = Path(__file__).with_name("monitor.html.j2")
MOST_CLASSES_DRAWN = 12  # histograms; the figures of all are in the table
MOST_SHARES = 3  # of categories, in a cell of a table
MOST_CLASSES_STACKED = 6  # distinguishable colors, beside black and white

UNITS = {
    "brightness": "0 black to 1 white",
    "contrast": "0 to 0.5",
    "sharpness": "0 flat to 4.5 noise",
    "width": "pixels",
    "height": "pixels",
    "bytes": "of the file",
    "distance": "from the training pictures",
    "confidence": "",
}


def write_report(
    folder: Path,
    figures: Mapping[str, Any],
    pictures: Mapping[str, Sequence[ShownPicture]],
    comparison: Comparison,
    *,
    predictions: Predictions,
    seed: int,
) -> None:
    """Write monitor.html from the figures of monitor.json; `pictures` are those of "lowest" and "random"."""
    rows = _feature_rows(figures)
    write_page(
        folder / PAGE,
        TEMPLATE,
        figures=figures,
        first=figures["first"] and datetime.fromisoformat(figures["first"]),
        last=figures["last"] and datetime.fromisoformat(figures["last"]),
        generated=datetime.fromisoformat(figures["generated"]),
        pictures=pictures,
        timelines=_timelines(figures, predictions, seed),
        histograms=_histograms(figures),
        classes=_by_count(figures),
        features=rows,
        distributions=_distributions(rows, comparison.baseline.sample, comparison.compared),
    )


def _by_count(figures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(figures["class_figures"].items(), key=lambda item: -item[1]["predictions"])


def _timelines(figures: Mapping[str, Any], predictions: Predictions, seed: int) -> list[tuple[str, Any]]:
    """Return each chart over time with its caption."""
    if not len(predictions):
        return []
    periods, length, threshold = figures["periods"], figures["period"], figures["threshold"]
    common = [name for name, _ in _by_count(figures)[:MOST_CLASSES_STACKED]]
    left_out = len(figures["classes"]) - len(common)
    mix = f"Predicted classes by {length}"
    return [
        (
            f"Confidence: answers as dots, and each {length}'s median as a line with its middle 80 % as a band.",
            charts.confidence_over_time(predictions, periods, length, threshold, seed),
        ),
        (
            f"Coverage, the share of accepted answers, by {length}, with 95 % intervals.",
            charts.coverage_over_time(periods, length),
        ),
        (
            f"{mix}; {left_out} rarer classes are left empty." if left_out else f"{mix}.",
            charts.mix_over_time(periods, common, length),
        ),
        (f"Predictions by {length}.", charts.volume_over_time(periods, length)),
    ]


def _histograms(figures: Mapping[str, Any]) -> list[Any]:
    return [
        charts.class_histogram(name, facts["histogram"], figures["histogram_edges"], figures["threshold"], rank)
        for rank, (name, facts) in enumerate(_by_count(figures)[:MOST_CLASSES_DRAWN])
        if facts["predictions"]
    ]


def _feature_rows(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the drift table's rows, drifted features first, then by effect."""
    features = [
        feature | {"before": _typical(feature["baseline"]), "now": _typical(feature["observed"])}
        for feature in figures["drift"]["features"]
    ]
    return sorted(features, key=lambda f: (not f["drifted"], -(f["effect"] or 0.0)))


def _typical(values: Mapping[str, float]) -> list[str]:
    """Return the median of numbers, or the largest shares of categories, as text."""
    if "50%" in values:
        return [number(values["50%"])]
    shares = sorted(values.items(), key=lambda item: -item[1])
    largest = [f"{name} {percent(value, 0)}" for name, value in shares[:MOST_SHARES]]
    return [*largest, *["…"] * (len(shares) > MOST_SHARES)] or ["-"]


def _distributions(
    rows: Sequence[Mapping[str, Any]], baseline: Sample | None, observed: Sample
) -> list[tuple[str, Any]]:
    """Return a chart of each number that was tested, with its verdict."""
    if baseline is None:
        return []
    drawn = []
    for row in rows:
        name = row["name"]
        if name in UNITS and row["p"] is not None:
            before, now = (np.asarray(feature_values(sample, name)) for sample in (baseline, observed))
            drawn.append((row["verdict"], charts.distributions(name, UNITS[name], before, now)))
    return drawn
