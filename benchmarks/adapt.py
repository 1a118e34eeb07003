"""The same scripts on other data: `python -m benchmarks.adapt`.

Five drawn classes of 32x32, and two as photos of 640x480: staged with training.stage_data, trained
with train.py as a training job starts it, measured on the staged test pictures, which neither
training nor calibration has seen. Each training starts from another seed, on the same pictures.
"""

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.runs import TrainingRun, spread, train
from common import settings
from common.arguments import positive_integer
from common.command import run_command
from common.errors import ExpectedError
from common.metrics import wilson_interval
from common.predictions import is_accepted
from common.reports import write_json
from common.waiting import make_console
from training.evaluation.pictures import staged_pictures

FOLDER = settings.REPORTS_FOLDER / "bench"
WORK = Path("data/bench")  # staged pictures and models; large, and made again in minutes


class StagingFailedError(ExpectedError):
    """The pictures could not be staged; stage_data has said why."""


@dataclass(frozen=True)
class Task:
    """A data set to draw and to train on."""

    name: str
    classes: tuple[str, ...]
    size: str  # of the pictures, as --size of stage_data takes it
    count: int  # pictures per class
    input_size: int  # pixels, of the network


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
    add(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED", help="one training for each (default: 0 1 2)"
    )
    add("--only", choices=[task.name for task in tasks(1, 1, 1)], help="one of the two data sets")
    add("--preset", help="passed to train.py (default: train.py's own)")
    add("--epochs", type=positive_integer, help="passed to train.py (default: train.py's own)")
    add(
        "--input-size",
        type=positive_integer,
        default=64,
        help="side that the network gets the photos in, pixels (default: 64)",
    )
    add("--count", type=positive_integer, default=300, help="pictures per class of the five classes (default: 300)")
    add("--photos", type=positive_integer, default=200, help="photos per class; one has 0.6 MB (default: 200)")
    add("--work", type=Path, default=WORK, metavar="FOLDER", help="where pictures and models go (default: %(default)s)")
    add(
        "--report",
        type=Path,
        default=FOLDER / "adapt.json",
        metavar="FILE",
        help="where the figures go, as JSON; logs go into the folder adapt beside it (default: %(default)s)",
    )
    return parser.parse_args(argv)


def tasks(count: int, photos: int, input_size: int) -> list[Task]:
    """Return both data sets, given pictures per class of each and the photos' input size."""
    five = ("bicycle", "bus", "car", "motorcycle", "truck")
    return [
        Task("five-classes", five, "32", count, 32),
        Task("photos", ("bicycle", "motorcycle"), "640x480", photos, input_size),
    ]


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Do what the command line says. Raises ExpectedError."""
    options = []
    for name in ("preset", "epochs"):
        if getattr(arguments, name) is not None:
            options += [f"--{name}", str(getattr(arguments, name))]
    found: dict[str, dict[str, Any]] = {}
    for task in tasks(arguments.count, arguments.photos, arguments.input_size):
        if arguments.only not in (None, task.name):
            continue
        staged, staging_seconds = stage(task, arguments.work)
        runs = []
        for seed in arguments.seeds:
            model = arguments.work / task.name / f"model-{seed}"
            log = arguments.report.with_suffix("") / f"{task.name}-{seed}.log"
            given = ["--input-size", str(task.input_size), "--seed", str(seed), *options]
            seconds = train(
                TrainingRun(f"Training on {task.name}", staged / "train", staged / "validation", model, log),
                given,
                console=console,
            )
            runs.append({"seed": seed, "seconds": round(seconds, 2), **measure(model, staged)})
            console.print(line(task, runs[-1]), markup=False)
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
    write_json(
        arguments.report,
        {
            "preset": arguments.preset,
            "epochs": arguments.epochs,
            "tasks": found,
            "machine": f"{machine()}, Python {platform.python_version()}",
        },
    )
    show(found, console)


def stage(task: Task, work: Path) -> tuple[Path, float]:
    """Draw the pictures and give their folder and the seconds that took. A second run keeps them.

    Raises StagingFailedError.
    """
    staged = work / task.name / "staged"
    options = ["--count", str(task.count), "--size", task.size, "--classes", *task.classes]
    command = ["-m", "training.stage_data", "synthetic", "--no-upload", "--out", str(staged)]
    start = time.monotonic()
    # With the terminal's own output, for its bar.
    ended = subprocess.run([sys.executable, *command, *options], check=False)  # noqa: S603  our own
    if ended.returncode:
        raise StagingFailedError(f"The pictures of {task.name} could not be staged: see above.")
    return staged, time.monotonic() - start


def measure(model: Path, staged: Path) -> dict[str, Any]:
    """Answer the staged test pictures as the endpoint does; shares in [0, 1]."""
    from benchmarks.classifier import load_model

    loaded = load_model(model)
    pictures = staged_pictures(staged, "test")
    answers = loaded.probabilities([data for _, _, data in pictures])
    right = loaded.correct(answers, (truth for _, truth, _ in pictures))
    low, high = wilson_interval(sum(right), len(right))
    figures = {
        "test_pictures": len(right),
        "accuracy": round(sum(right) / len(right), 4),
        "accuracy_interval_95": [round(low, 4), round(high, 4)],
        "model_bytes": (model / "model.pt").stat().st_size,
    }
    calibration = loaded.metadata.get("calibration")
    if isinstance(calibration, dict):
        threshold = calibration["threshold"]
        taken = [r for row, r in zip(answers, right, strict=True) if is_accepted(row, threshold)]
        figures |= {
            "threshold": threshold,
            "accepted_share": round(len(taken) / len(right), 4),
            "accuracy_accepted": round(sum(taken) / len(taken), 4) if taken else None,
        }
    return figures


def line(task: Task, figures: dict[str, Any]) -> str:
    """Put one training in words."""
    return (
        f"{task.name}, seed {figures['seed']}: {100 * figures['accuracy']:.1f} % of"
        f" {figures['test_pictures']} test pictures right, trained in {figures['seconds']:.1f} s"
    )


def show(found: dict[str, dict[str, Any]], console: Console) -> None:
    """Print the table: a row for each data set."""
    table = Table(title="The same scripts on other data")
    table.add_column("data")
    for column in ("classes", "pictures", "size", "input", "accuracy", "least to most", "seconds"):
        table.add_column(column, justify="right")
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
