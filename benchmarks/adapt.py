"""Train on five drawn classes of 32x32 and on two as photos of 640x480: `python -m benchmarks.adapt`.

The pictures are staged with training.stage_data; each seed trains on the same ones, with train.py. The test pictures
are in neither training nor calibration.
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.runs import FOLDER, WORK, Task, TrainingRun, machine, spread, stage, train
from common.arguments import positive_integer
from common.command import run_command
from common.metrics import wilson_interval
from common.predictions import is_accepted
from common.reports import write_json
from common.tables import figures_table
from common.waiting import make_console
from training.evaluation.pictures import staged_pictures

TASKS = (
    Task("five-classes", ("bicycle", "bus", "car", "motorcycle", "truck"), "32", 300, 32),
    Task("photos", ("bicycle", "motorcycle"), "640x480", 200, 64),
)


def main(argv: list[str] | None = None) -> int:
    """Stage, train and measure; print a table and write the report."""
    return run_command("adapt", lambda: run(parse_arguments(argv), make_console()), "no report was written")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.adapt",
        description="Train on five drawn classes of 32x32 and on two as photos of 640x480; report"
        " accuracy and seconds.",
    )
    add = parser.add_argument
    seeds_help = "one training for each (default: 0 1 2)"
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED", help=seeds_help)
    add("--preset", help="passed to train.py (default: train.py's own)")
    add("--epochs", type=positive_integer, help="passed to train.py (default: train.py's own)")
    add("--work", type=Path, default=WORK, metavar="FOLDER", help="of pictures and models (default: %(default)s)")
    report_help = "the figures, as JSON; logs go into the folder adapt beside it (default: %(default)s)"
    add("--report", type=Path, default=FOLDER / "adapt.json", metavar="FILE", help=report_help)
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Measure both data sets, write the report and print the table. Raises ExpectedError."""
    chosen = {name: getattr(arguments, name) for name in ("preset", "epochs")}
    options = [text for name, value in chosen.items() if value is not None for text in (f"--{name}", str(value))]
    found = {}
    for task in TASKS:
        staged, staging_seconds = stage(task, arguments.work)
        runs = []
        for seed in arguments.seeds:
            model = arguments.work / task.name / f"model-{seed}"
            log = arguments.report.with_suffix("") / f"{task.name}-{seed}.log"
            training = TrainingRun(f"Training on {task.name}", staged / "train", staged / "validation", model, log)
            given = ["--input-size", str(task.input_size), "--seed", str(seed), *options]
            seconds = train(training, given, console=console)
            figures = {"seed": seed, "seconds": round(seconds, 2), **measure(model, staged)}
            runs.append(figures)
            console.print(
                f"{task.name}, seed {seed}: {figures['accuracy']:.1%} of {figures['test_pictures']} test pictures"
                f" right, trained in {seconds:.1f} s",
                markup=False,
            )
        found[task.name] = {
            "classes": task.classes,
            "picture_size": task.size,
            "input_size": task.input_size,
            "pictures_per_class": task.count,
            "staging_seconds": round(staging_seconds, 1),
            "accuracy": spread([run["accuracy"] for run in runs]),
            "seconds": spread([run["seconds"] for run in runs]),
            "runs": runs,
        }
    report = chosen | {"tasks": found, "machine": f"{machine()}, Python {platform.python_version()}"}
    write_json(arguments.report, report)
    show(found, console)


def measure(model: Path, staged: Path) -> dict[str, Any]:
    """Classify the staged test pictures as the endpoint does; shares in [0, 1]."""
    from benchmarks.classifier import load_model

    loaded = load_model(model)
    pictures = staged_pictures(staged, "test")
    answers = loaded.probabilities([data for _, _, data in pictures])
    correct = loaded.correct(answers, (truth for _, truth, _ in pictures))
    threshold = loaded.metadata["calibration"]["threshold"]
    accepted = [right for row, right in zip(answers, correct, strict=True) if is_accepted(row, threshold)]
    return {
        "test_pictures": len(correct),
        "accuracy": round(sum(correct) / len(correct), 4),
        "accuracy_interval_95": [round(limit, 4) for limit in wilson_interval(sum(correct), len(correct))],
        "model_bytes": (model / "model.pt").stat().st_size,
        "threshold": threshold,
        "accepted_share": round(len(accepted) / len(correct), 4),
        "accuracy_accepted": round(sum(accepted) / len(accepted), 4) if accepted else None,
    }


def show(found: dict[str, dict[str, Any]], console: Console) -> None:
    """Print a row for each data set."""
    headings = ("data", "classes", "pictures", "size", "input", "accuracy", "least to most", "seconds")
    table = figures_table(*headings, title="The same scripts on other data")
    for name, task in found.items():
        accuracy, seconds = task["accuracy"], task["seconds"]
        table.add_row(
            name,
            str(len(task["classes"])),
            str(task["pictures_per_class"] * len(task["classes"])),
            task["picture_size"],
            str(task["input_size"]),
            f"{accuracy['mean']:.3f} ± {accuracy['deviation']:.3f}",
            f"{accuracy['least']:.3f} to {accuracy['most']:.3f}",
            f"{seconds['mean']:.0f} ± {seconds['deviation']:.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
