"""Measure how often drift is found: `python -m benchmarks.drift`.

Trains on drawn pictures, or takes a model that was trained on them, and classifies new drawings with its ensemble
members: unchanged, darker, blurred, and with a different class mix. Each scenario is compared with other new drawings,
a different random sample each time, and with the model's own baseline, which is a single sample.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

from benchmarks.classifier import png
from benchmarks.runs import FOLDER, WORK, Task, TrainingRun, machine, stage, train
from common.arguments import positive_integer
from common.command import run_command
from common.pages.formatting import percent
from common.progress import progress_bar
from common.reports import write_json
from common.waiting import make_console
from operations.monitoring.distances import Observation, load_observer
from operations.monitoring.drift import MIN_EFFECT, compare
from operations.monitoring.feature_drift import ALPHA
from operations.monitoring.sample import Sample, read_baseline
from training.container.picture_model.picture_features import NUMBERS, picture_features
from training.sources.synthetic import draw_picture

SEED = 1  # of drawings that training, which draws with seed 0, has not seen
CLASSES = ("bicycle", "motorcycle")
SIZE = (32, 32)
BASELINE_PICTURES = 400

CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none": lambda picture: picture,
    "darker": lambda picture: picture.point(lambda level: round(level * 0.7)),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
}


class Scenario(NamedTuple):
    """What an endpoint receives.

    Attributes:
        pictures: their number.
        change: one of CHANGES.
        share: of one class, at random either; None for the share in the pool.
        feature: that has drifted and must be named; None if none has.
    """

    pictures: int
    change: str = "none"
    share: float | None = None
    feature: str | None = None


SCENARIOS = {
    "same": Scenario(200),
    "same, 30 pictures": Scenario(30),
    "darker (x 0.7)": Scenario(200, change="darker", feature="brightness"),
    "blurred (radius 1)": Scenario(200, change="blurred", feature="sharpness"),
    "class mix (75/25)": Scenario(200, share=0.75, feature="class mix"),
    "darker, 30 pictures": Scenario(30, change="darker", feature="brightness"),
    "blurred, 30 pictures": Scenario(30, change="blurred", feature="sharpness"),
    "class mix, 30 pictures": Scenario(30, share=0.75, feature="class mix"),
}


@dataclass(frozen=True)
class Pool:
    """Drawn pictures: their true classes, and a Sample of all of them for each change."""

    truth: list[str]
    samples: dict[str, Sample]

    def sample(self, change: str, positions: NDArray[np.int64]) -> Sample:
        """Return the changed pictures at these positions."""
        whole = self.samples[change]
        return Sample(
            labels=[whole.labels[position] for position in positions],
            confidences=whole.confidences[positions],
            features={name: values[positions] for name, values in whole.features.items()},
            formats=[whole.formats[position] for position in positions],
            distances=None if whole.distances is None else whole.distances[positions],
        )


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table and write the report."""
    return run_command("drift", lambda: run(parse_arguments(argv), make_console()), "no report was written")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drift",
        description="Measure how often drift is found in drawn pictures, with and without a shift.",
    )
    add = parser.add_argument
    model_help = "model folder of train.py, trained on drawn bicycles and motorcycles of 32x32 (default: train one)"
    add("--model", type=Path, metavar="FOLDER", help=model_help)
    add("--repetitions", type=positive_integer, default=200, help="of each scenario (default: %(default)s)")
    pictures_help = "new drawings per class to take samples from; at least 400 (default: %(default)s)"
    add("--pictures", type=positive_integer, default=400, help=pictures_help)
    add("--count", type=positive_integer, default=300, help="pictures per class to train on (default: %(default)s)")
    add("--epochs", type=positive_integer, help="passed to train.py (default: train.py's own)")
    add("--work", type=Path, default=WORK, metavar="FOLDER", help="of pictures and model (default: %(default)s)")
    report_help = "the figures, as JSON (default: %(default)s)"
    add("--report", type=Path, default=FOLDER / "drift.json", metavar="FILE", help=report_help)
    arguments = parser.parse_args(argv)
    if arguments.pictures < 400:
        parser.error("--pictures: a baseline of 400 and 150 pictures of one class need at least 400 per class")
    return arguments


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Measure and report. Raises ExpectedError."""
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
            "accuracy_on_new_drawings": float(np.mean(np.array(pool.samples["none"].labels) == np.array(pool.truth))),
        },
        "alpha": ALPHA,
        "min_effect": MIN_EFFECT,
        "drawing_and_classification_seconds": round(seconds, 1),
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
                "against_model_baseline": measure(pool, scenario, repetitions=repetitions, baseline=baseline),
            }
            report(number, len(SCENARIOS))
    return found


def draw_pool(
    count: int,
    observe: Callable[[list[Image.Image]], Observation],
    *,
    seed: int,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Pool:
    """Draw `count` pictures per class and observe them, unchanged and changed; `report` gets progress in changes."""
    truth = [name for name in CLASSES for _ in range(count)]
    drawn = [draw_picture(name, i, SIZE, seed) for name in CLASSES for i in range(count)]
    samples = {}
    for name, change in CHANGES.items():
        pictures = [change(picture) for picture in drawn]
        observation = observe(pictures)
        features = [picture_features(png(picture), picture) for picture in pictures]
        samples[name] = Sample(
            labels=observation.labels,
            confidences=observation.confidences,
            features={number: np.array([float(found[number]) for found in features]) for number in NUMBERS},
            formats=[str(found["format"]) for found in features],
            distances=observation.distances,
        )
        report(len(samples), len(CHANGES))
    return Pool(truth, samples)


def measure(pool: Pool, scenario: Scenario, *, repetitions: int, baseline: Sample | None = None) -> dict[str, Any]:
    """Return how often there is an alarm, and how often the verdict names the right feature in its own sentence.

    The baseline is another random sample each time, unless one is given.
    """
    generator = np.random.default_rng(0)
    alarms, named, features = 0, 0, Counter[str]()
    for repetition in range(repetitions):
        positions = generator.permutation(len(pool.truth))
        before = baseline or pool.sample("none", positions[:BASELINE_PICTURES])
        if baseline is None:
            positions = positions[BASELINE_PICTURES:]
        observed = pool.sample(scenario.change, _choose(pool, scenario, positions, generator))
        drift = compare(before, observed, seed=repetition)
        drifted = {feature.name: feature for feature in drift.features if feature.drifted}
        features.update(drifted.keys())
        alarms += drift.drifted
        # The verdict lists the names of all drifted features, and has the sentence of one.
        named += scenario.feature in drifted and drifted[scenario.feature].verdict in drift.verdict
    return {
        "pictures": scenario.pictures,
        "repetitions": repetitions,
        "feature": scenario.feature,
        "alarms": alarms / repetitions,
        "named": named / repetitions if scenario.feature else None,
        "features": {name: count / repetitions for name, count in features.most_common()},
    }


def _choose(pool: Pool, scenario: Scenario, positions: NDArray[np.int64], generator: Generator) -> NDArray[np.int64]:
    """Take the first pictures, with the scenario's share of one class."""
    if scenario.share is None:
        return positions[: scenario.pictures]
    count = round(scenario.share * scenario.pictures)
    is_class = np.array(pool.truth)[positions] == CLASSES[generator.integers(2)]
    chosen = [positions[is_class][:count], positions[~is_class][: scenario.pictures - count]]
    if sum(map(len, chosen)) < scenario.pictures:
        raise ValueError(f"too few drawings for {scenario}: {sum(map(len, chosen))} are left")
    return np.concatenate(chosen)


def show(found: dict[str, Any], console: Console) -> None:
    """Print the rates as a table."""
    table = Table(title="Drift found", title_justify="left")
    for column in ("scenario", "pictures", "to be named"):
        table.add_column(column)
    for column in ("any drift", "named", "any, own baseline", "named, own baseline"):
        table.add_column(column, justify="right")
    for name, measured in found["scenarios"].items():
        fresh, own = measured["against_new_drawings"], measured["against_model_baseline"]
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
        f" {found['model']['accuracy_on_new_drawings']:.1%}.",
        markup=False,
    )


if __name__ == "__main__":
    sys.exit(main())
