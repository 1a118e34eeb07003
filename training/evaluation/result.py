"""Print an evaluation, and write evaluation.json and the plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from common.reports import write_json
from common.tables import decimal, figures_table, print_first
from training.endpoint.deployment import threshold_words
from training.evaluation.plots.confusion import plot_confusion
from training.evaluation.plots.reliability import plot_reliability
from training.evaluation.plots.risk_coverage import Answers, plot_risk_coverage
from training.evaluation.predictions import EndpointPrediction
from training.evaluation.summary import acceptable, answered
from training.evaluation.threshold import EvaluationThreshold

FILES = "evaluation.json, confusion_matrix.png, risk_coverage.png and reliability.png"


def write(
    folder: Path, evaluation: dict[str, Any], predictions: Sequence[EndpointPrediction], threshold: EvaluationThreshold
) -> None:
    """Write evaluation.json and the plots, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix = evaluation["confusion_matrix"]
    plot_confusion(
        matrix["counts"],
        matrix["true_rows_predicted_columns"],
        f"{evaluation['endpoint']}: {evaluation['correct']} of {evaluation['pictures']}"
        f" {evaluation['split']} pictures right",
        folder / "confusion_matrix.png",
    )
    held_out = threshold.model.held_out
    plot_risk_coverage(
        Answers(f"{held_out.source} (held out)", *held_out.answers()) if held_out else None,
        Answers(f"{evaluation['split']} split", *acceptable(predictions)),
        threshold.value,
        threshold.model.recommendation,
        folder / "risk_coverage.png",
    )
    plot_reliability(
        *answered(predictions),
        f"{evaluation['endpoint']} on the {evaluation['split']} split",
        evaluation.get("expected_calibration_error_interval_95"),
        folder / "reliability.png",
    )
    write_json(folder / "evaluation.json", evaluation)


def show(console: Console, evaluation: dict[str, Any], threshold: EvaluationThreshold) -> None:
    """Print the table of classes, the figures, and the pictures without an answer."""
    console.print(class_table(evaluation))
    latency = evaluation["latency_s"]
    for name, text in (
        ("Accuracy", _share(evaluation, "accuracy", f" of {evaluation['pictures']} pictures")),
        (
            "Accepted",
            f"{evaluation['accepted']} at threshold {threshold.value:g}: coverage {_share(evaluation, 'coverage')},"
            f" accuracy {_share(evaluation, 'accuracy_accepted')}",
        ),
        ("Threshold", _threshold_text(threshold)),
        ("Calibration", _calibration_text(evaluation)),
        ("Latency", f"{decimal(latency['median'])} s median, {decimal(latency['p90'])} s p90"),
        ("Errors", f"{evaluation['errors']} pictures without an answer"),
    ):
        console.print(f"{name:11} {text}", markup=False, soft_wrap=True)
    failed = [f"{p['path']}: {p['error']}" for p in evaluation["predictions"] if p["error"]]
    print_first(console, failed, ", in evaluation.json")


def class_table(evaluation: dict[str, Any]) -> Table:
    """Lay out the figures of each class and the confusion matrix."""
    matrix = evaluation["confusion_matrix"]
    names = matrix["true_rows_predicted_columns"]
    headings = ("true class", "precision", "recall", "F1", "pictures", *(f"as {name}" for name in names))
    table = figures_table(*headings, title=f"{evaluation['endpoint']} on the {evaluation['split']} split")
    for name, counts in zip(names, matrix["counts"], strict=True):
        facts = evaluation["classes"][name]
        table.add_row(
            name,
            *(decimal(facts[key]) for key in ("precision", "recall", "f1")),
            str(facts["support"]),
            *map(str, counts),
        )
    return table


def _threshold_text(threshold: EvaluationThreshold) -> str:
    reason = threshold_words(threshold.model.recommendation, threshold.model.missing)
    if threshold.source == "--threshold":
        return f"{threshold.value:g}, given with --threshold. Otherwise: {reason}"
    return f"{threshold.value:g}. {reason}"


def _calibration_text(evaluation: dict[str, Any]) -> str:
    if evaluation["expected_calibration_error"] is None:
        return "unknown without an answer"
    return (
        f"expected calibration error {_share(evaluation, 'expected_calibration_error')}; perfectly calibrated answers"
        f" would show {decimal(evaluation['expected_calibration_error_of_luck'])} on as many pictures"
    )


def _share(evaluation: dict[str, Any], name: str, whole: str = "") -> str:
    """Return a figure with its 95 % interval."""
    if evaluation[name] is None:
        return "-"
    low, high = evaluation[f"{name}_interval_95"]
    return f"{evaluation[name]:.3f}{whole} (95 %: {low:.3f} to {high:.3f})"
