"""Report what the endpoint has been doing, from its captured calls: `python -m operations.monitor`.

Reads SageMaker data capture from S3 or a folder, and writes monitor.html and monitor.json: how sure
the answers are over time, which classes, which pictures, and whether anything has drifted away from
what the model was trained on. Every line is accounted for.
"""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from common import settings
from common.arguments import positive_integer, share
from common.command import run_command
from common.waiting import make_console
from training.evaluate import default_class_names

FILES = "monitor.html and monitor.json"
SHOWN_PICTURES = 24


def main(argv: list[str] | None = None) -> int:
    """Write the report; return 0, also where nothing has been captured yet."""
    written: list[str] = []
    publishes = False

    def work() -> None:
        nonlocal publishes
        arguments = parse_arguments(argv)
        publishes = arguments.publish
        from operations.monitoring.run import monitor  # imports PyTorch

        monitor(arguments, make_console(), written)

    def interrupted() -> str:
        were = "were" if len(written) > 1 else "was"
        left = f"{' and '.join(written) or 'nothing'} {were} written"
        if written and publishes:
            left += "; metrics may not be published: run it again, it adds none twice"
        return left

    return run_command("monitor", work, interrupted)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.monitor",
        description="Read an endpoint's captured calls; write a page and a JSON file of how sure"
        " its answers are, which classes and pictures, and whether anything has drifted.",
    )
    add = parser.add_argument
    add(
        "--captures",
        metavar="S3_URI_OR_FOLDER",
        help="where SageMaker's data capture is, s3://BUCKET/PREFIX or a folder (default: where the endpoint's goes)",
    )
    add(
        "--out",
        type=Path,
        default=settings.REPORTS_FOLDER / "monitor",
        metavar="FOLDER",
        help=f"for {FILES} (default: %(default)s)",
    )
    add("--endpoint", default=settings.project().endpoint_name, help="its name (default: %(default)s)")
    add(
        "--stack-name",
        default=settings.project().stack_name,
        help="of the workflow: its threshold, and the namespace of its metrics (default: %(default)s)",
    )
    add(
        "--threshold",
        type=share,
        help="confidence from which an answer is accepted, 0 to 1 (default: the deployed stack's;"
        " without one what the endpoint's model recommends, or else"
        f" {settings.project().confidence_threshold:g}, as in samconfig.toml)",
    )
    add(
        "--class-names",
        type=_names,
        default=default_class_names(settings.project().parameters),
        metavar="NAME,NAME",
        help="classes of an endpoint that answers a bare list, in its order (default: ClassNames"
        " of samconfig.toml, or else class 0, class 1 and so on)",
    )
    baseline = parser.add_mutually_exclusive_group()
    baseline.add_argument(
        "--baseline",
        metavar="PLACE",
        help="what to compare with: a model.tar.gz in S3 or on disk, a model folder, the"
        " monitor.json of a time that was fine, or none (default: the endpoint's model)",
    )
    baseline.add_argument(
        "--baseline-captures",
        metavar="S3_URI_OR_FOLDER",
        help="compare with the captures of a time that was fine",
    )
    add(
        "--from",
        dest="since",
        type=_moment,
        metavar="TIME",
        help="leave earlier calls out: ISO 8601, UTC without a time zone, such as 2026-11-23 or"
        " 2026-11-23T14:00 (default: none are)",
    )
    add(
        "--to", dest="until", type=_moment, metavar="TIME", help="leave calls from this time on out (default: none are)"
    )
    add(
        "--sample",
        type=positive_integer,
        default=SHOWN_PICTURES,
        metavar="N",
        help="pictures to show: N of the lowest confidence, N at random (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="of the random samples (default: %(default)s)")
    add(
        "--publish",
        action="store_true",
        help="also publish the newest full hour's figures as CloudWatch metrics, and the drift of"
        " the day that ends with it",
    )
    add(
        "--processes",
        type=positive_integer,
        default=_cores(),
        metavar="N",
        help="that read at a time (default: one for each core, %(default)s)",
    )
    arguments = parser.parse_args(argv)
    if arguments.since and arguments.until and arguments.since >= arguments.until:
        parser.error("--to must be later than --from")
    return arguments


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not different names with commas between")
    return names


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-11-23 or 2026-11-23T14:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
