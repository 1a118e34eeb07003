"""Measure how well and how fast train.py trains, per preset, on staged pictures: `python -m benchmarks.training`.

- Seeds: each trains on all training and validation pictures and is measured on the test pictures, which neither
  training nor calibration has seen.
- Cross-validation: the training and validation pictures are dealt out into folds, and the whole of train.py runs
  without each fold and classifies it. Recipes are chosen by the pooled figures, never by the test pictures.

A model is kept, and not trained again while scripts, pictures, options and machine are the same; it classifies the
pictures anew each time.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.runs import FOLDER, WORK, TrainingRun, machine, spread, train
from common import settings
from common.arguments import positive_integer
from common.command import run_command
from common.errors import ExpectedError
from common.metrics import share, wilson_interval
from common.predictions import is_accepted
from common.reports import write_json
from common.waiting import make_console
from training.container.picture_model.calibration import expected_calibration_error
from training.endpoint.deployment import chosen_threshold
from training.endpoint.model_artifact import HELD_OUT, HeldOut, ModelArtifact
from training.endpoint.training_job import SOURCE_DIR
from training.evaluation.pictures import staged_pictures

REPORT = FOLDER / "training.json"
MODELS = WORK / "training"  # and links to pictures, kept between calls
PRESETS = ("fast", "best")
WITHOUT_EFFECT = {"inference.py", "checkpoint.py", "calibration.py"}  # scripts that change no weight

Picture = tuple[str, str, bytes]  # path below the staged folder, true class, PNG


def main(argv: list[str] | None = None) -> int:
    """Train and measure; print a table and write the report."""
    return run_command("training", lambda: run(parse_arguments(argv), make_console()), "finished trainings are kept")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description="Train with each preset from several seeds; report accuracy, calibration,"
        " coverage and seconds on the test pictures, and pooled over cross-validation.",
    )
    add = parser.add_argument
    add("--staged", type=Path, default=settings.STAGED_FOLDER, help="folder of staged pictures (default: %(default)s)")
    add("--presets", nargs="+", choices=PRESETS, default=list(PRESETS), help="(default: all)")
    seeds_help = "a training for each, measured on the test pictures (default: 0 1 2)"
    add("--seeds", type=int, nargs="*", default=[0, 1, 2], metavar="SEED", help=seeds_help)
    cross_validate_help = "cross-validate from each of these seeds: as many trainings as folds (default: none)"
    add("--cross-validate", type=int, nargs="*", default=[], metavar="SEED", help=cross_validate_help)
    add("--folds", type=positive_integer, default=5, help="of the cross-validation (default: 5)")
    options_help = "more arguments of train.py, to try something, such as epochs=80"
    add("--options", nargs="*", default=[], metavar="NAME=VALUE", help=options_help)
    add("--kept", action="store_true", help="train nothing: report the kept models, whatever they were trained with")
    add("--work", type=Path, default=MODELS, metavar="FOLDER", help="of pictures and models (default: %(default)s)")
    add("--report", type=Path, default=REPORT, metavar="FILE", help="the figures, as JSON (default: %(default)s)")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Train, classify, write the report and print the table. Raises ExpectedError."""
    test = staged_pictures(arguments.staged, "test")
    known = [picture for split in ("train", "validation") for picture in staged_pictures(arguments.staged, split)]
    presets = {}
    for preset in arguments.presets:
        bench = Bench(preset, arguments, console)
        presets[preset] = {
            "test": [
                {"seed": seed, **figures([bench.train_and_classify(f"seed {seed}", known, test, seed)])}
                for seed in arguments.seeds
            ],
            "cross_validation": [
                {"seed": seed, **figures(bench.cross_validate(known, arguments.folds, seed))}
                for seed in arguments.cross_validate
            ],
            "folds": arguments.folds,
        }
    report = {
        "options": arguments.options,
        "machine": machine(),
        "pictures": {"training_and_validation": len(known), "test": len(test)},
        "presets": presets,
    }
    write_json(arguments.report, report)
    show(report, console)


def deal_out(pictures: Sequence[Picture], folds: int, seed: int) -> list[list[Picture]]:
    """Deal out the pictures of each class into folds, in an order that depends on the seed."""
    ordered = sorted(pictures, key=lambda p: (p[1], hashlib.sha256(f"{seed} {p[0]}".encode()).hexdigest()))
    return [ordered[number::folds] for number in range(folds)]


class NotTrainedError(ExpectedError):
    """--kept was given, and there is no model."""


@dataclass(frozen=True)
class Bench:
    """Trainings with one preset and the command line's options."""

    preset: str
    arguments: argparse.Namespace
    console: Console

    def cross_validate(self, known: list[Picture], folds: int, seed: int) -> list[dict[str, Any]]:
        """Train once without each fold, and classify it; return the runs."""
        parts = deal_out(known, folds, seed)
        runs = []
        for number, fold in enumerate(parts, start=1):
            others = [picture for part in parts if part is not fold for picture in part]
            runs.append(self.train_and_classify(f"seed {seed}, without fold {number} of {folds}", others, fold, seed))
        return runs

    def train_and_classify(self, name: str, known: list[Picture], unseen: list[Picture], seed: int) -> dict[str, Any]:
        """Train on the known pictures, unless the model is kept already, and classify the unseen ones."""
        title = f"{self.preset}, {name}"
        options = ["--preset", self.preset, *(f"--{option}" for option in self.arguments.options)]
        work = self.arguments.work / self.preset / re.sub(r"\W+", "-", name)
        file = work / "run.json"
        made_from = digest_of([str(seed), *options, machine(), version("torch")], [*known, *unseen])
        made: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        if made and (self.arguments.kept or made["made_from"] == made_from):
            duration = f"trained before, in {made['seconds']:.1f} s"
        elif self.arguments.kept:
            raise NotTrainedError(f"{work} has no model: run this once without --kept")
        else:
            file.unlink(missing_ok=True)
            channel = work / "pictures"
            link(self.arguments.staged, [path for path, _, _ in known], channel)
            training = TrainingRun(title, channel, None, work / "model", work / "train.log")
            seconds = train(training, ["--seed", str(seed), *options], console=self.console)
            made = {"made_from": made_from, "seconds": round(seconds, 2)}
            write_json(file, made)
            duration = f"{seconds:.1f} s"
        results = classify(work / "model", unseen)
        right = results["correct"].count(True)
        self.console.print(f"{title}: {duration}, {right} of {len(unseen)} right", markup=False)
        return {**made, **results}


def digest_of(conditions: Sequence[str], pictures: Sequence[Picture]) -> str:
    """Return the SHA-256 of what a training depends on: options and machine, scripts and pictures."""
    digest = hashlib.sha256(" ".join(conditions).encode())
    for script in sorted(SOURCE_DIR.rglob("*.py")):
        if script.name not in WITHOUT_EFFECT:
            digest.update(script.read_bytes())
    for path, _, data in pictures:
        digest.update(path.encode() + hashlib.sha256(data).digest())
    return digest.hexdigest()


def link(staged: Path, paths: Sequence[str], channel: Path) -> None:
    """Make a training channel of links to staged pictures: <class>/<split>-<name>."""
    shutil.rmtree(channel, ignore_errors=True)
    for path in paths:
        split, name, file = path.split("/")
        new = channel / name / f"{split}-{file}"
        new.parent.mkdir(parents=True, exist_ok=True)
        new.symlink_to((staged / path).resolve())


def classify(model: Path, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Classify the pictures as the endpoint does; return facts of the model and a value per picture."""
    from benchmarks.classifier import load_model

    loaded = load_model(model)
    held_out = HeldOut(**json.loads((model / HELD_OUT).read_text("utf-8")))
    recommended = ModelArtifact(loaded.metadata, held_out).recommendation()
    threshold = chosen_threshold(recommended)
    rows = loaded.probabilities([data for _, _, data in pictures])
    return {
        "model_bytes": (model / "model.pt").stat().st_size,
        "held_out_accuracy": loaded.metadata["metrics"]["validation_accuracy"],
        "threshold": threshold,
        "threshold_met": recommended.met,
        "confidence": [max(row) for row in rows],
        "accepted": [is_accepted(row, threshold) for row in rows],
        "correct": loaded.correct(rows, (truth for _, truth, _ in pictures)),
    }


def figures(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Pool the results of some runs; shares in [0, 1]."""
    confidence, correct, accepted = (
        [value for run in runs for value in run[key]] for key in ("confidence", "correct", "accepted")
    )
    accepted_right = sum(right for right, used in zip(correct, accepted, strict=True) if used)
    return {
        "accuracy": share(sum(correct), len(correct)),
        "accuracy_interval_95": wilson_interval(sum(correct), len(correct)),
        "expected_calibration_error": expected_calibration_error(confidence, correct),
        "coverage": share(sum(accepted), len(accepted)),
        "accuracy_accepted": share(accepted_right, sum(accepted)),
        "accepted_wrong": sum(accepted) - accepted_right,
        "threshold": [run["threshold"] for run in runs],
        "threshold_met": [run["threshold_met"] for run in runs],
        "held_out_accuracy": sum(run["held_out_accuracy"] for run in runs) / len(runs),
        "seconds": max(run["seconds"] for run in runs),
        "model_bytes": max(run["model_bytes"] for run in runs),
    }


COLUMNS = {
    "accuracy": "accuracy",
    "expected_calibration_error": "calibration error",
    "coverage": "coverage",
    "accuracy_accepted": "accepted right",
    "held_out_accuracy": "held out",
    "seconds": "seconds",
}


def show(report: dict[str, Any], console: Console) -> None:
    """Print a row for each preset and kind of pictures: mean ± deviation over the seeds."""
    options = " ".join(["Training", *report["options"]])
    table = Table(title=f"{options}; {report['machine']}")
    table.add_column("preset, pictures")
    for heading in ("seeds", *COLUMNS.values()):
        table.add_column(heading, justify="right")
    for preset, found in report["presets"].items():
        for key, kind in (("test", "test"), ("cross_validation", f"{found['folds']}-fold, pooled")):
            if runs := found[key]:
                table.add_row(f"{preset}, {kind}", str(len(runs)), *(cell(runs, column) for column in COLUMNS))
    console.print(table)


def cell(runs: Sequence[dict[str, Any]], key: str) -> str:
    """Write mean and deviation of one figure."""
    values = [run[key] for run in runs if run[key] is not None]
    if not values:
        return "none"
    statistics = spread(values)
    digits = 1 if key == "seconds" else 3
    return f"{statistics['mean']:.{digits}f} ± {statistics['deviation']:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
