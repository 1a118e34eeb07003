"""What a model makes of pictures of neither class: `python -m benchmarks.neither --model FOLDER`.

A model that accepts a face as a bicycle sends out a courier who does not exist. Noise, plain
colours, text, drawn cars, faces and houses, and vehicles cut or blurred beyond recognition go
through the very code that the endpoint runs. With several models, such as one from before a change
and one from after it, each gets a column.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.classifier import LoadedModel, decode_picture, load_model, png
from benchmarks.neither.contact_sheet import contact_sheet
from benchmarks.neither.pictures import KINDS, LIKE_TRAINING, neither_pictures
from common import settings
from common.arguments import positive_integer
from common.arguments import share as share_argument
from common.command import run_command
from common.errors import ExpectedError
from common.metrics import wilson_interval
from common.predictions import is_accepted
from common.progress import progress_bar
from common.reports import write_json
from common.waiting import make_console
from training.evaluation.pictures import staged_pictures

FOLDER = settings.REPORTS_FOLDER / "bench"
SPLIT = "test"
SUBJECTS = {"cars": "car"}  # kinds that are a class themselves, for a model that knows it


class ForeignClassError(ExpectedError):
    """The staged pictures are of classes that a model was not trained on."""


def main(argv: list[str] | None = None) -> int:
    """Ask every model about every kind; print a table, write the report and contact sheets."""
    return run_command("neither", lambda: run(parse_arguments(argv), make_console()), "no report was written")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.neither",
        description="Count how many pictures of none of its classes a model accepts, by kind.",
    )
    add = parser.add_argument
    add(
        "--model",
        type=Path,
        nargs="+",
        required=True,
        metavar="PATH",
        help="model folder of train.py, or model.tar.gz; several are compared",
    )
    add(
        "--staged",
        type=Path,
        default=settings.STAGED_FOLDER,
        help="staged folder; its test split is cut and blurred (default: %(default)s)",
    )
    add(
        "--threshold",
        type=share_argument,
        help="probability from which on an answer is accepted (default: what each model recommends,"
        " or else samconfig.toml's)",
    )
    add("--count", type=positive_integer, default=200, help="pictures per kind (default: 200)")
    add("--seed", type=int, default=0, help="other pictures for another seed (default: 0)")
    add(
        "--report",
        type=Path,
        default=FOLDER / "neither.json",
        metavar="FILE",
        help="where the figures go, as JSON; contact sheets go into the folder neither beside it"
        " (default: %(default)s)",
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Do what the command line says. Raises ExpectedError."""
    models = {str(path): load_model(path) for path in arguments.model}
    thresholds = {name: choose_threshold(name, model, arguments.threshold, console) for name, model in models.items()}
    staged = staged_pictures(arguments.staged, SPLIT)
    vehicles = [decode_picture(data) for _, _, data in staged]
    random.Random(arguments.seed).shuffle(vehicles)  # noqa: S311  they lie class by class
    rows: dict[str, dict[str, Any]] = {name: {} for name in models}
    sheets = arguments.report.with_suffix("")
    asked = kinds_for(list(models.values()), console)
    with progress_bar(console, "Pictures") as report:
        for done, kind in enumerate(asked, start=1):
            for number, (name, model) in enumerate(models.items()):
                size = model.classifier.input_size
                pictures = neither_pictures(kind, arguments.count, arguments.seed, size, vehicles)
                answers = model.probabilities([png(picture) for picture in pictures])
                rows[name][kind] = figures(answers, model.classifier.classes, thresholds[name])
                sheets.mkdir(parents=True, exist_ok=True)
                file = kind if len(models) == 1 else f"{kind}-{number + 1}"
                contact_sheet(pictures, answers, thresholds[name]).save(sheets / f"{file}.png")
            report(done, len(asked))
    found = {
        name: {
            "threshold": thresholds[name],
            "input_size": model.classifier.input_size,
            "classes": model.classifier.classes,
            "kinds": rows[name],
            "accepted_share": mean([row["accepted_share"] for row in rows[name].values()]),
            "accepted_share_unlike_training": mean(
                [r["accepted_share"] for k, r in rows[name].items() if k not in LIKE_TRAINING]
            ),
            "test_pictures": known(model, staged, thresholds[name]),
        }
        for name, model in models.items()
    }
    write_json(
        arguments.report,
        {"count": arguments.count, "seed": arguments.seed, "like_training": LIKE_TRAINING, "models": found},
    )
    show(found, console)
    console.print(f"Pictures to look at: {sheets}/, the surest first, accepted ones framed in red.")


def kinds_for(models: Sequence[LoadedModel], console: Console) -> list[str]:
    """Return the kinds that none of the models has as a class, and say which are left out."""
    known = {name for model in models for name in model.classifier.classes}
    left_out = [kind for kind, subject in SUBJECTS.items() if subject in known]
    for kind in left_out:
        console.print(f"{kind} are left out: a model knows them as a class.")
    return [kind for kind in KINDS if kind not in left_out]


def choose_threshold(name: str, model: LoadedModel, asked: float | None, console: Console) -> float:
    """Return what was asked for, what the model recommends, or samconfig.toml's threshold."""
    if asked is not None:
        return asked
    calibration = model.metadata.get("calibration")
    if isinstance(calibration, dict) and "threshold" in calibration:
        return float(calibration["threshold"])
    console.print(
        f"{name} recommends no threshold: {settings.project().confidence_threshold}, samconfig.toml's, is used.",
        markup=False,
    )
    return settings.project().confidence_threshold


def figures(answers: Sequence[Sequence[float]], classes: Sequence[str], threshold: float) -> dict[str, Any]:
    """Return what became of pictures, given a row of probabilities for each; shares in [0, 1]."""
    accepted = sum(is_accepted(row, threshold) for row in answers)
    low, high = wilson_interval(accepted, len(answers))
    named = Counter(classes[list(row).index(max(row))] for row in answers)
    return {
        "pictures": len(answers),
        "accepted": accepted,
        "accepted_share": accepted / len(answers),
        "accepted_interval_95": [round(low, 4), round(high, 4)],
        "mean_confidence": mean([max(row) for row in answers]),
        "answers": dict(sorted(named.items())),
    }


def known(model: LoadedModel, staged: Sequence[tuple[str, str, bytes]], threshold: float) -> dict[str, Any]:
    """Return what the same threshold does to the staged pictures, which are of the classes.

    Raises ForeignClassError where the model does not know theirs.
    """
    classes = model.classifier.classes
    if foreign := sorted({truth for _, truth, _ in staged} - set(classes)):
        raise ForeignClassError(
            f"The staged pictures are of {', '.join(foreign)}, which the model does not know: give"
            " the folder that it was trained from as --staged."
        )
    answers = model.probabilities([data for _, _, data in staged])
    right = model.correct(answers, (truth for _, truth, _ in staged))
    taken = [is_accepted(row, threshold) for row in answers]
    return {
        **figures(answers, classes, threshold),
        "accuracy": mean([float(r) for r in right]),
        "accuracy_accepted": mean([float(r) for r, t in zip(right, taken, strict=True) if t]),
    }


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, rounded to 4 decimals; None of nothing."""
    return round(sum(values) / len(values), 4) if values else None


def show(found: dict[str, dict[str, Any]], console: Console) -> None:
    """Print a table per model."""
    for name, model in found.items():
        table = Table(title=f"{name}: accepted from a confidence of {model['threshold']:.4f} on")
        table.add_column("pictures of")
        for column in ("pictures", "accepted", "95 % interval", "mean confidence"):
            table.add_column(column, justify="right")
        table.add_column("mostly called")
        for kind, row in model["kinds"].items():
            table.add_row(kind, *_cells(row))
        table.add_section()
        table.add_row("neither, all kinds", "", percent(model["accepted_share"]))
        table.add_row("kinds unlike training's", "", percent(model["accepted_share_unlike_training"]))
        table.add_section()
        test = model["test_pictures"]
        table.add_row("its classes (test)", *_cells(test))
        console.print(table)
        console.print(
            f"Test pictures: {percent(test['accuracy'])} right,"
            f" {percent(test['accuracy_accepted'])} of the accepted ones."
        )


def percent(value: float | None) -> str:
    """Put a share in words."""
    return "-" if value is None else f"{100 * value:.1f} %"


def _cells(row: dict[str, Any]) -> list[str]:
    low, high = row["accepted_interval_95"]
    name, count = max(row["answers"].items(), key=lambda item: item[1])
    return [
        str(row["pictures"]),
        percent(row["accepted_share"]),
        f"{percent(low)} to {percent(high)}",
        f"{row['mean_confidence']:.3f}",
        f"{name} ({percent(count / row['pictures'])})",
    ]


if __name__ == "__main__":
    sys.exit(main())
