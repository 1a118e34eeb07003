"""Measure how often drift is found: `python -m benchmarks.drift`.

Trains on drawn pictures, or takes a model that was trained on them, and classifies new drawings with its ensemble
members: unchanged, darker, blurred, and with a different class mix. Each scenario is compared with other new drawings,
a different random sample each time, and with the model's own baseline, which is a single sample.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.adapt import FOLDER, WORK, Task, stage
from benchmarks.drift_rates import CLASSES, SCENARIOS, SIZE, Pool, draw_pool, measure
from benchmarks.machine import machine
from benchmarks.runs import TrainingRun, train
from common.arguments import positive_integer
from common.command import run_command
from common.pages.formatting import percent
from common.progress import progress_bar
from common.reports import write_json
from common.waiting import make_console
from operations.monitoring.distances import load_observer
from operations.monitoring.drift import ALPHA, MIN_EFFECT, compare
from operations.monitoring.sample import Sample, read_baseline
from training.container.picture_model.picture_features import NUMBERS

SEED = 1  # of drawings that training, which draws with seed 0, has not seen


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table and write the report."""
    arguments = parse_arguments(argv)
    console = make_console()
    return run_command("drift", lambda: run(arguments, console), "no report was written")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drift",
        description="Measure how often drift is found in drawn pictures, with and without a shift.",
    )
    add = parser.add_argument
    add(
        "--model",
        type=Path,
        metavar="FOLDER",
        help="model folder of train.py, trained on drawn bicycles and motorcycles of 32x32"
        " (default: train one, in minutes)",
    )
    add("--repetitions", type=positive_integer, default=200, help="of each scenario (default: %(default)s)")
    add(
        "--pictures",
        type=positive_integer,
        default=400,
        help="new drawings per class to take samples from; at least 400 (default: %(default)s)",
    )
    add("--count", type=positive_integer, default=300, help="pictures per class to train on (default: %(default)s)")
    add("--epochs", type=positive_integer, help="passed to train.py (default: train.py's own)")
    add("--work", type=Path, default=WORK, metavar="FOLDER", help="where pictures and model go (default: %(default)s)")
    add(
        "--report",
        type=Path,
        default=FOLDER / "drift.json",
        metavar="FILE",
        help="where the figures go, as JSON (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    if arguments.pictures < 400:
        parser.error("--pictures: a baseline of 400 and 150 pictures of one class need at least 400 per class")
    return arguments


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Do what the command line says. Raises ExpectedError."""
    model = arguments.model or trained(arguments, console)
    baseline, observer = read_baseline(model), load_observer(model)
    started = time.perf_counter()
    with progress_bar(console, "Classify new drawings") as report:
        pool = draw_pool(arguments.pictures, observer.observe, seed=SEED, report=report)
    seconds = time.perf_counter() - started
    found = {
        "model": {
            "networks": observer.members,
            "baseline_pictures": baseline.pictures,
            "held_out_pictures": len(baseline.labels),
            "accuracy_on_new_drawings": accuracy(pool),
        },
        "alpha": ALPHA,
        "min_effect": MIN_EFFECT,
        "seconds_to_draw_and_look": round(seconds, 1),
        "seconds_to_compare": compare_seconds(),
        "scenarios": scenarios(pool, baseline, arguments.repetitions, console),
        "machine": machine(),
    }
    write_json(arguments.report, found)
    show(found, console)
    console.print(f"Figures: {arguments.report}")


def trained(arguments: argparse.Namespace, console: Console) -> Path:
    """Train on drawn pictures and return the model's folder. Raises ExpectedError."""
    task = Task("drift", CLASSES, str(SIZE[0]), arguments.count, SIZE[0])
    staged, _ = stage(task, arguments.work)
    model: Path = arguments.work / task.name / "model"
    log = arguments.report.with_suffix("") / "training.log"
    options = ["--epochs", str(arguments.epochs)] if arguments.epochs else []
    train(TrainingRun("Training", staged / "train", staged / "validation", model, log), options, console=console)
    return model


def scenarios(pool: Pool, baseline: Sample, repetitions: int, console: Console) -> dict[str, dict[str, Any]]:
    """Measure each scenario, against baselines of the pool and against the model's own."""
    found: dict[str, dict[str, Any]] = {}
    with progress_bar(console, "Compare") as report:
        for number, (name, scenario) in enumerate(SCENARIOS.items(), 1):
            found[name] = {
                "against_new_drawings": measure(pool, scenario, repetitions=repetitions),
                "against_the_models_own": measure(pool, scenario, repetitions=repetitions, baseline=baseline),
            }
            report(number, len(SCENARIOS))
    return found


def accuracy(pool: Pool) -> float:
    """Return the share of right answers about the unchanged drawings."""
    labels = pool.samples["none"].labels
    right = sum(label == true for label, true in zip(labels, pool.truth, strict=True))
    return right / len(labels)


def compare_seconds() -> dict[str, float]:
    """Return the seconds of a comparison, by the number of pictures on each side."""
    generator = np.random.default_rng(0)
    seconds = {}
    for count in (30, 200, 1_000, 5_000, 100_000):
        before, now = (
            Sample(
                labels=generator.choice(CLASSES, count).tolist(),
                confidences=generator.random(count),
                features={name: generator.normal(size=count) for name in NUMBERS},
                formats=["PNG"] * count,
                distances=generator.random(count),
            )
            for _ in range(2)
        )
        started = time.perf_counter()
        compare(before, now)
        seconds[str(count)] = round(time.perf_counter() - started, 4)
    return seconds


def show(found: dict[str, Any], console: Console) -> None:
    """Print the rates as a table."""
    table = Table(title="Drift found", title_justify="left")
    for column in ("scenario", "pictures", "to be named"):
        table.add_column(column)
    for column in ("any drift", "named", "any, own baseline", "named, own baseline"):
        table.add_column(column, justify="right")
    for name, measured in found["scenarios"].items():
        fresh, own = measured["against_new_drawings"], measured["against_the_models_own"]
        table.add_row(
            name,
            str(fresh["pictures"]),
            fresh["feature"] or "nothing",
            percent(fresh["alarms"]),
            percent(fresh["named"]),
            percent(own["alarms"]),
            percent(own["named"]),
        )
    console.print(table)
    console.print(
        f"{fresh['repetitions']} repetitions each; accuracy on new drawings:"
        f" {found['model']['accuracy_on_new_drawings']:.1%}; a comparison of 5,000 pictures with 5,000 takes"
        f" {found['seconds_to_compare']['5000']} s.",
        markup=False,
    )


if __name__ == "__main__":
    sys.exit(main())
