"""How well and how fast train.py trains: `python -m benchmarks.training`.

For each preset, on staged pictures:

- several seeds, each trained on all training and validation pictures and measured on the test
  pictures, which neither training nor calibration has seen;
- cross-validation: the pictures but the test pictures are dealt out into folds, the whole of
  train.py runs without one of them, and the model answers for that one. Pooled over the folds,
  every picture is answered once. A recipe is chosen by that, never by the test pictures.

A model is kept, and not trained again while scripts, pictures and options are the same: cross-
validating takes as many trainings as there are folds. What it answers is asked anew each time.
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

from benchmarks.machine import machine
from benchmarks.runs import TrainingRun, spread, train
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

REPORT = settings.REPORTS_FOLDER / "bench" / "training.json"
WORK = Path("data/bench/training")  # models and links to pictures, kept between calls
PRESETS = ("fast", "best")
NO_MATTER = {"inference.py", "checkpoint.py", "calibration.py"}  # scripts that change no weight

Picture = tuple[str, str, bytes]  # path below the staged folder, true class, PNG


def main(argv: list[str] | None = None) -> int:
    """Train and measure; print a table and write the report."""
    return run_command("training", lambda: run(parse_arguments(argv), make_console()), "finished trainings are kept")


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Do what the command line says. Raises ExpectedError."""
    report = measure(arguments, console)
    write_json(arguments.report, report)
    show(report, console)


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
    add(
        "--seeds",
        type=int,
        nargs="*",
        default=[0, 1, 2],
        metavar="SEED",
        help="a training for each, measured on the test pictures (default: 0 1 2)",
    )
    add(
        "--cross-validate",
        type=int,
        nargs="*",
        default=[],
        metavar="SEED",
        help="cross-validate from each of these seeds: as many trainings as folds (default: none)",
    )
    add("--folds", type=positive_integer, default=5, help="of the cross-validation (default: 5)")
    add(
        "--options",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help="more arguments of train.py, to try something, such as epochs=80",
    )
    add("--kept", action="store_true", help="train nothing: report the models that are there, whatever made them")
    add("--work", type=Path, default=WORK, metavar="FOLDER", help="where models are kept (default: %(default)s)")
    add(
        "--report",
        type=Path,
        default=REPORT,
        metavar="FILE",
        help="where the figures go, as JSON (default: %(default)s)",
    )
    return parser.parse_args(argv)


def measure(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Train and answer; return the report. Raises ExpectedError."""
    test = staged_pictures(arguments.staged, "test")
    known = [picture for split in ("train", "validation") for picture in staged_pictures(arguments.staged, split)]
    presets = {}
    for preset in arguments.presets:
        options = ["--preset", preset]
        for option in arguments.options:
            name, _, value = option.partition("=")
            options += [f"--{name}", value]
        work = arguments.work / preset
        bench = Bench(preset, arguments.staged, options, work, arguments.kept, console)
        presets[preset] = {
            "test": [
                {"seed": seed, **figures([bench.run(f"seed {seed}", known, test, seed)])} for seed in arguments.seeds
            ],
            "cross_validation": [
                {"seed": seed, **figures(bench.cross_validate(known, arguments.folds, seed))}
                for seed in arguments.cross_validate
            ],
            "folds": arguments.folds,
        }
    return {
        "options": arguments.options,
        "machine": machine(),
        "pictures": {"training_and_validation": len(known), "test": len(test)},
        "presets": presets,
    }


def deal_out(pictures: Sequence[Picture], folds: int, seed: int) -> list[list[Picture]]:
    """Deal out the pictures of each class into folds, in an order that the seed decides."""

    def place(picture: Picture) -> tuple[str, str]:
        return picture[1], hashlib.sha256(f"{seed} {picture[0]}".encode()).hexdigest()

    ordered = sorted(pictures, key=place)
    return [ordered[number::folds] for number in range(folds)]


class NotTrainedError(ExpectedError):
    """A kept model was asked for, and there is none."""


@dataclass(frozen=True)
class Bench:
    """Trainings with the same options; `work` keeps them, and `kept` takes them as they are."""

    preset: str
    staged: Path
    options: list[str]
    work: Path
    kept: bool
    console: Console

    def cross_validate(self, known: list[Picture], folds: int, seed: int) -> list[dict[str, Any]]:
        """Train once without each fold, and answer for it; return the runs."""
        dealt = deal_out(known, folds, seed)
        return [
            self.run(
                f"seed {seed}, without fold {number + 1} of {folds}",
                [picture for other in dealt if other is not fold for picture in other],
                fold,
                seed,
            )
            for number, fold in enumerate(dealt)
        ]

    def run(self, name: str, known: list[Picture], asked: list[Picture], seed: int) -> dict[str, Any]:
        """Train on the known pictures and answer the asked ones, unless that was done already."""
        told = f"{self.preset}, {name}"
        about = (machine(), version("torch"))
        digest = hashlib.sha256(" ".join([str(seed), *self.options, *about]).encode())
        for script in sorted(SOURCE_DIR.rglob("*.py")):
            if script.name not in NO_MATTER:
                digest.update(script.read_bytes())
        for path, _, data in [*known, *asked]:
            digest.update(path.encode() + hashlib.sha256(data).digest())
        work = self.work / re.sub(r"\W+", "-", name)
        file = work / "run.json"
        made: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        if made and (self.kept or made["made_from"] == digest.hexdigest()):
            words = f"trained before, in {made['seconds']:.1f} s"
        elif self.kept:
            raise NotTrainedError(f"{work} has no model: run this once without --kept")
        else:
            file.unlink(missing_ok=True)
            channel = work / "pictures"
            link(self.staged, [path for path, _, _ in known], channel)
            seconds = train(
                TrainingRun(told, channel, None, work / "model", work / "train.log"),
                ["--seed", str(seed), *self.options],
                console=self.console,
            )
            made = {"made_from": digest.hexdigest(), "seconds": round(seconds, 2)}
            write_json(file, made)
            words = f"{seconds:.1f} s"
        answered = answers(work / "model", asked)
        right = answered["correct"].count(True)
        self.console.print(f"{told}: {words}, {right} of {len(asked)} right", markup=False)
        return {**made, **answered}


def link(staged: Path, paths: Sequence[str], channel: Path) -> None:
    """Make a training channel of links to staged pictures: <class>/<split>-<name>."""
    shutil.rmtree(channel, ignore_errors=True)
    for path in paths:
        split, name, file = path.split("/")
        new = channel / name / f"{split}-{file}"
        new.parent.mkdir(parents=True, exist_ok=True)
        new.symlink_to((staged / path).resolve())


def answers(model: Path, asked: Sequence[Picture]) -> dict[str, Any]:
    """Answer the pictures as the endpoint does; shares in [0, 1]."""
    from benchmarks.classifier import load_model

    loaded = load_model(model)
    held_out = HeldOut(**json.loads((model / HELD_OUT).read_text("utf-8")))
    recommended = ModelArtifact(loaded.metadata, held_out).recommendation()
    threshold = chosen_threshold(recommended)
    rows = loaded.probabilities([data for _, _, data in asked])
    return {
        "model_bytes": (model / "model.pt").stat().st_size,
        "held_out_accuracy": loaded.metadata["metrics"]["validation_accuracy"],
        "threshold": threshold,
        "threshold_met": recommended.met,
        "confidence": [max(row) for row in rows],
        "accepted": [is_accepted(row, threshold) for row in rows],
        "correct": loaded.correct(rows, (truth for _, truth, _ in asked)),
    }


def figures(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Pool the answers of some runs and count; shares in [0, 1]."""
    confidence = [value for run in runs for value in run["confidence"]]
    correct = [value for run in runs for value in run["correct"]]
    accepted = [value for run in runs for value in run["accepted"]]
    right = sum(r for r, a in zip(correct, accepted, strict=True) if a)
    return {
        "accuracy": share(sum(correct), len(correct)),
        "accuracy_interval_95": wilson_interval(sum(correct), len(correct)),
        "expected_calibration_error": expected_calibration_error(confidence, correct),
        "coverage": share(sum(accepted), len(accepted)),
        "accuracy_accepted": share(right, sum(accepted)),
        "accepted_wrong": sum(accepted) - right,
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
        kinds = {"test": "test", "cross_validation": f"{found['folds']}-fold, pooled"}
        for kind, words in kinds.items():
            if runs := found[kind]:
                table.add_row(f"{preset}, {words}", str(len(runs)), *(cell(runs, key) for key in COLUMNS))
    console.print(table)


def cell(runs: Sequence[dict[str, Any]], key: str) -> str:
    """Write mean and deviation of one figure."""
    values = [run[key] for run in runs if run[key] is not None]
    if not values:
        return "none"
    found = spread(values)
    digits = 1 if key == "seconds" else 3
    return f"{found['mean']:.{digits}f} ± {found['deviation']:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
