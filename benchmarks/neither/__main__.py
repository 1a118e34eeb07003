"""Count how many pictures of neither class a model accepts: `python -m benchmarks.neither --model FOLDER`.

The pictures are noise, plain colours, text, drawn cars, faces and houses, and vehicles cut or blurred beyond
recognition. The serving code classifies them. Several models, such as one from before a change and one from after it,
can be compared.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from rich.console import Console
from rich.table import Table

from benchmarks.classifier import LoadedModel, decode_picture, load_model, png
from benchmarks.neither.pictures import KINDS, LIKE_TRAINING, neither_pictures
from benchmarks.runs import FOLDER
from common import settings
from common.arguments import positive_integer, share
from common.command import run_command
from common.errors import ExpectedError
from common.metrics import wilson_interval
from common.predictions import is_accepted
from common.progress import progress_bar
from common.reports import write_json
from common.waiting import make_console
from training.evaluation.pictures import staged_pictures

REPORT = FOLDER / "neither.json"
SIDE, FRAME = 64, 3  # pixels of a picture, and of the frame around it, on a contact sheet
COLUMNS, ROWS = 12, 5
ACCEPTED, NOT_ACCEPTED = (230, 20, 30), (255, 255, 255)


class ForeignClassError(ExpectedError):
    """The staged pictures are of classes that a model was not trained on."""


def main(argv: list[str] | None = None) -> int:
    """Classify every kind with every model; print a table, write the report and contact sheets."""
    return run_command("neither", lambda: run(parse_arguments(argv), make_console()), "no report was written")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.neither",
        description="Count how many pictures of none of its classes a model accepts, by kind.",
    )
    add = parser.add_argument
    model_help = "model folder of train.py, or model.tar.gz; several are compared"
    add("--model", type=Path, nargs="+", required=True, metavar="PATH", help=model_help)
    staged_help = "staged folder; its test split is cut and blurred (default: %(default)s)"
    add("--staged", type=Path, default=settings.STAGED_FOLDER, help=staged_help)
    threshold_help = (
        "least confidence that is accepted (default: each model's recommendation, or else samconfig.toml's)"
    )
    add("--threshold", type=share, help=threshold_help)
    add("--count", type=positive_integer, default=200, help="pictures per kind (default: 200)")
    add("--seed", type=int, default=0, help="of the drawn pictures (default: 0)")
    report_help = "the figures, as JSON; contact sheets go into the folder neither beside it (default: %(default)s)"
    add("--report", type=Path, default=REPORT, metavar="FILE", help=report_help)
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Classify, write the report and print the tables. Raises ExpectedError."""
    models = {str(path): load_model(path) for path in arguments.model}
    staged = staged_pictures(arguments.staged, "test")
    vehicles = [decode_picture(data) for _, _, data in staged]
    random.Random(arguments.seed).shuffle(vehicles)  # noqa: S311  they are sorted by class
    kinds = list(KINDS)
    if any("car" in model.classifier.classes for model in models.values()):
        kinds.remove("cars")
        console.print("cars are left out: a model knows them as a class.")
    sheets = arguments.report.with_suffix("")
    sheets.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, Any]] = {}
    with progress_bar(console, "Pictures") as report:
        for number, (name, model) in enumerate(models.items()):
            classes, size = model.classifier.classes, model.classifier.input_size
            threshold = choose_threshold(name, model, arguments.threshold, console)
            test_pictures = figures_of_known(model, staged, threshold)
            rows: dict[str, dict[str, Any]] = {}
            for kind in kinds:
                pictures = neither_pictures(kind, arguments.count, arguments.seed, size, vehicles)
                probabilities = model.probabilities([png(picture) for picture in pictures])
                rows[kind] = figures(probabilities, classes, threshold)
                file = kind if len(models) == 1 else f"{kind}-{number + 1}"
                contact_sheet(pictures, probabilities, threshold).save(sheets / f"{file}.png")
                report(number * len(kinds) + len(rows), len(models) * len(kinds))
            unlike_training = [row["accepted_share"] for kind, row in rows.items() if kind not in LIKE_TRAINING]
            found[name] = {
                "threshold": threshold,
                "input_size": size,
                "classes": classes,
                "kinds": rows,
                "accepted_share": mean([row["accepted_share"] for row in rows.values()]),
                "accepted_share_unlike_training": mean(unlike_training),
                "test_pictures": test_pictures,
            }
    drawn = {"count": arguments.count, "seed": arguments.seed, "like_training": LIKE_TRAINING}
    write_json(arguments.report, drawn | {"models": found})
    show(found, console)
    console.print(f"Contact sheets: {sheets}/, highest confidence first, accepted pictures framed in red.")


def choose_threshold(name: str, model: LoadedModel, requested: float | None, console: Console) -> float:
    """Return the requested threshold, the model's recommendation, or samconfig.toml's."""
    if requested is not None:
        return requested
    calibration = model.metadata.get("calibration")
    if isinstance(calibration, dict) and "threshold" in calibration:
        return float(calibration["threshold"])
    threshold = settings.project().confidence_threshold
    console.print(f"{name} recommends no threshold: {threshold}, samconfig.toml's, is used.", markup=False)
    return threshold


def figures(probabilities: Sequence[Sequence[float]], classes: Sequence[str], threshold: float) -> dict[str, Any]:
    """Count what is accepted, given a row of probabilities for each picture; shares in [0, 1]."""
    accepted = sum(is_accepted(row, threshold) for row in probabilities)
    predicted = Counter(classes[list(row).index(max(row))] for row in probabilities)
    return {
        "pictures": len(probabilities),
        "accepted": accepted,
        "accepted_share": accepted / len(probabilities),
        "accepted_interval_95": [round(end, 4) for end in wilson_interval(accepted, len(probabilities))],
        "mean_confidence": mean([max(row) for row in probabilities]),
        "answers": dict(sorted(predicted.items())),
    }


def figures_of_known(model: LoadedModel, staged: Sequence[tuple[str, str, bytes]], threshold: float) -> dict[str, Any]:
    """Return the figures and the accuracy of the staged pictures. Raises ForeignClassError."""
    classes = model.classifier.classes
    if foreign := sorted({truth for _, truth, _ in staged} - set(classes)):
        raise ForeignClassError(
            f"The staged pictures are of {', '.join(foreign)}, which the model does not know: give"
            " the folder that it was trained from as --staged."
        )
    probabilities = model.probabilities([data for _, _, data in staged])
    correct = model.correct(probabilities, (truth for _, truth, _ in staged))
    correct_accepted = [right for right, row in zip(correct, probabilities, strict=True) if is_accepted(row, threshold)]
    return {
        **figures(probabilities, classes, threshold),
        "accuracy": mean(correct),
        "accuracy_accepted": mean(correct_accepted),
    }


def contact_sheet(
    pictures: Sequence[Image.Image], probabilities: Sequence[Sequence[float]], threshold: float
) -> Image.Image:
    """Return up to COLUMNS * ROWS of the pictures, the highest confidence first, accepted ones framed in red."""
    numbers = sorted(range(len(pictures)), key=lambda number: -max(probabilities[number]))[: COLUMNS * ROWS]
    cell = SIDE + 2 * FRAME
    rows = -(-len(numbers) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell, rows * cell), NOT_ACCEPTED)
    for position, number in enumerate(numbers):
        row, column = divmod(position, COLUMNS)
        # Nearest, to show the pixels that the network gets.
        enlarged = pictures[number].resize((SIDE, SIDE), Image.Resampling.NEAREST)
        color = ACCEPTED if is_accepted(probabilities[number], threshold) else NOT_ACCEPTED
        sheet.paste(ImageOps.expand(enlarged, FRAME, color), (column * cell, row * cell))
    return sheet


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, rounded to 4 decimals; None without values."""
    return round(sum(values) / len(values), 4) if values else None


def show(found: dict[str, dict[str, Any]], console: Console) -> None:
    """Print a table per model."""
    for name, model in found.items():
        table = Table(title=f"{name}: accepted from a confidence of {model['threshold']:.4f} on")
        table.add_column("pictures of")
        for column in ("pictures", "accepted", "95 % interval", "mean confidence"):
            table.add_column(column, justify="right")
        table.add_column("most frequent class")
        test = model["test_pictures"]
        for kind, row in model["kinds"].items():
            table.add_row(kind, *_cells(row))
        table.add_section()
        table.add_row("neither, all kinds", "", percent(model["accepted_share"]))
        table.add_row("kinds unlike training's", "", percent(model["accepted_share_unlike_training"]), end_section=True)
        table.add_row("its classes (test)", *_cells(test))
        console.print(table)
        accuracy, accuracy_accepted = percent(test["accuracy"]), percent(test["accuracy_accepted"])
        console.print(f"Test pictures: {accuracy} right, {accuracy_accepted} of the accepted ones.")


def percent(value: float | None) -> str:
    """Write a share as a percentage."""
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
