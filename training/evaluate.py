"""Measure the endpoint on a staged split: `python -m training.evaluate`.

Writes evaluation.json and plots. A picture without an answer counts as wrong, is listed, and makes
the exit status 1.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from common import settings
from common.account import check_credentials, check_region
from common.arguments import add_endpoint_argument, inner_share, positive_integer
from common.arguments import share as share_argument
from common.command import run_command
from common.progress import progress_bar
from common.waiting import make_console
from training.evaluation.pictures import staged_pictures
from training.evaluation.predictions import predict_all, runtime_client
from training.evaluation.result import FILES, show, write
from training.evaluation.summary import summarise
from training.evaluation.threshold import choose_threshold
from training.staging.splits import SPLITS


def main(argv: list[str] | None = None) -> int:
    """Evaluate; return 0, or 1 if a picture got no answer."""
    return run_command("evaluate", lambda: bool(evaluate(parse_arguments(argv), make_console())), "nothing was written")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description="Send a staged split to the endpoint and write accuracy, confusion matrix and"
        " per-class figures, the calibration of the confidence, and the error and coverage of a threshold.",
    )
    add = parser.add_argument
    add_endpoint_argument(parser)
    staged_help = "folder of staged pictures (default: %(default)s)"
    add("--staged", type=Path, default=settings.STAGED_FOLDER, help=staged_help)
    add("--split", choices=SPLITS, default="test", help="pictures to send (default: %(default)s)")
    threshold_help = (
        "confidence from which an answer is accepted, 0 to 1 (default: the recommendation of the endpoint's model, or"
        f" {settings.project().confidence_threshold:g}, as in samconfig.toml, without one)"
    )
    add("--threshold", type=share_argument, help=threshold_help)
    max_error_help = (
        "highest share of wrong answers among accepted ones for the recommended threshold, between 0 and 1 (default:"
        " that of the training, 0.01 unless given there)"
    )
    add("--max-error", type=inner_share, help=max_error_help)
    names_help = "classes of an endpoint that answers a bare list, in its order (default: ClassNames of samconfig.toml)"
    class_names = default_class_names(settings.project().parameters)
    add("--class-names", nargs="+", metavar="NAME", default=class_names, help=names_help)
    add("--concurrency", type=positive_integer, default=8, help="requests at a time (default: %(default)s)")
    out_help = f"folder for {FILES} (default: %(default)s)"
    add("--out", type=Path, default=settings.REPORTS_FOLDER / "evaluate", help=out_help)
    return parser.parse_args(argv)


def default_class_names(parameters: Mapping[str, str]) -> list[str] | None:
    """Return the stack's parameter ClassNames as a list, None if it is empty."""
    return [name for name in parameters.get("ClassNames", "").split(",") if name] or None


def evaluate(arguments: argparse.Namespace, console: Console) -> int:
    """Evaluate the endpoint; return the number of pictures without an answer. Raises ExpectedError."""
    import boto3

    pictures = staged_pictures(arguments.staged, arguments.split)
    session: Any = boto3.Session()
    check_region(session)
    check_credentials(session.client("sts"))
    threshold = choose_threshold(session, arguments.endpoint, arguments.threshold, arguments.max_error)
    if arguments.split != "test":
        console.print(f"Training learns from the {arguments.split} pictures: these figures say little about new ones.")
    with progress_bar(console, "Pictures") as report:
        predictions = predict_all(
            runtime_client(session, arguments.concurrency),
            arguments.endpoint,
            pictures,
            class_names=arguments.class_names,
            concurrency=arguments.concurrency,
            report=report,
        )
    evaluation = {
        "endpoint": arguments.endpoint,
        "split": arguments.split,
        "threshold_source": threshold.source,
        "recommendation": threshold.model.recommendation and asdict(threshold.model.recommendation),
        **summarise(predictions, threshold.value),
    }
    write(arguments.out, evaluation, predictions, threshold)
    show(console, evaluation, threshold)
    console.print(f"Wrote {FILES} to {arguments.out}", markup=False, soft_wrap=True)
    return int(evaluation["errors"])


if __name__ == "__main__":
    sys.exit(main())
