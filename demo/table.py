"""The result of a demo run, as a table for the terminal."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.pages.formatting import percent


def show(report: dict[str, Any], folder: Path, console: Console) -> None:
    """Print the figures, and the path of the run's files."""
    table = Table(title="Result", show_header=False)
    for split, counts in report["data"].items():
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        table.add_row(f"{split} pictures", Text(listed))  # a class may be called [so]
    table.add_row("training", f"{report['training']['seconds']} s")
    table.add_row("validation accuracy", percent(report["training"]["validation_accuracy"]))
    table.add_section()
    executions = report["executions"]
    table.add_row("executions", str(executions["started"]))
    table.add_row("  accepted", f"{executions['accepted']} (recorded in the predictions table)")
    table.add_row("  review", f"{executions['review']} (sent to the review queue)")
    table.add_row("  failed", str(executions["failed"]))
    table.add_section()
    table.add_row("threshold", f"{report['threshold']:g} ({threshold_reason(report)})")
    table.add_row("accuracy, all test pictures", percent(report["accuracy"]))
    table.add_row("accuracy, accepted answers", percent(report["accuracy_accepted"]))
    table.add_row("coverage (share accepted)", percent(report["coverage"]))
    table.add_row("expected calibration error", percent(report["expected_calibration_error"]))
    monitor = report["monitor"]
    table.add_row("calls captured", f"{monitor['predictions']} ({monitor['damaged']} damaged)")
    table.add_row("drift", Text(monitor["drift_verdict"]))
    table.add_section()
    for stage, seconds in report["seconds"].items():
        table.add_row(stage.replace("_", " "), f"{seconds} s")
    if "resources_left" in report:
        table.add_section()
        table.add_row("resources left", str(report["resources_left"]))
    console.print(table)
    console.print(f"Figures: {folder / 'summary.json'}; logs beside it.", markup=False)


def threshold_reason(report: dict[str, Any]) -> str:
    """Return the source of the threshold."""
    recommendation = report["recommendation"]
    if recommendation is None or recommendation["threshold"] != report["threshold"]:
        return "samconfig.toml"
    rate = recommendation["max_error" if recommendation["met"] else "error_bound"]
    return f"recommended: at most {rate:.1%} errors"
