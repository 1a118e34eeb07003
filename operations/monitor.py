"""Report what the endpoint was asked and answered, from its captured calls: `python -m operations.monitor`.

Reads SageMaker data capture from S3 or a folder, and writes monitor.html and monitor.json.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from common import settings
from common.arguments import add_endpoint_argument, positive_integer, share
from common.command import run_command
from common.parallel import usable_cores
from common.stack import add_stack_argument
from common.waiting import make_console
from training.evaluate import default_class_names


def main(argv: list[str] | None = None) -> int:
    """Write the report; return 0, also where nothing has been captured yet."""
    written: list[str] = []
    publishes = False

    def work() -> None:
        nonlocal publishes
        arguments = parse_arguments(argv)
        publishes = arguments.publish
        # Not at the top: each process that reads captures imports this module.
        from operations.monitoring.run import monitor

        monitor(arguments, make_console(), written)

    def interrupted() -> str:
        left = f"{' and '.join(written) or 'nothing'} {'were' if len(written) > 1 else 'was'} written"
        if written and publishes:
            left += "; metrics may not be published: run it again, it adds none twice"
        return left

    return run_command("monitor", work, interrupted)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    project = settings.project()
    parser = argparse.ArgumentParser(
        prog="python -m operations.monitor",
        description="Write a page and a JSON file about an endpoint's captured calls: confidence, coverage, classes,"
        " pictures and drift.",
    )
    add = parser.add_argument
    captures_help = "where SageMaker's data capture is: s3://BUCKET/PREFIX or a folder (default: the endpoint's)"
    add("--captures", metavar="S3_URI_OR_FOLDER", help=captures_help)
    out_help = "for monitor.html and monitor.json (default: %(default)s)"
    add("--out", type=Path, default=settings.REPORTS_FOLDER / "monitor", metavar="FOLDER", help=out_help)
    add_endpoint_argument(parser)
    add_stack_argument(parser, ": its threshold, and the namespace of its metrics")
    threshold_help = (
        "lowest confidence of an accepted answer, 0 to 1 (default: the deployed stack's; without a stack, what the"
        f" endpoint's model recommends, or {project.confidence_threshold:g} as in samconfig.toml)"
    )
    add("--threshold", type=share, help=threshold_help)
    class_names_help = (
        "classes of an endpoint that answers a bare list, in its order (default: ClassNames of samconfig.toml, or"
        " class 0, class 1 and so on)"
    )
    class_names = default_class_names(project.parameters)
    add("--class-names", type=_names, default=class_names, metavar="NAME,NAME", help=class_names_help)
    baseline = parser.add_mutually_exclusive_group()
    baseline_help = (
        "what to compare with: a model.tar.gz in S3 or on disk, a model folder, the monitor.json of a good time, or"
        " none (default: the endpoint's model)"
    )
    baseline.add_argument("--baseline", metavar="LOCATION", help=baseline_help)
    baseline_captures_help = "compare with the captures of a good time"
    baseline.add_argument("--baseline-captures", metavar="S3_URI_OR_FOLDER", help=baseline_captures_help)
    since_help = "leave out earlier calls: ISO 8601, UTC without a time zone, such as 2026-11-23 or 2026-11-23T14:00"
    add("--from", dest="since", type=_time, metavar="TIME", help=since_help)
    add("--to", dest="until", type=_time, metavar="TIME", help="leave out calls from this time on")
    sample_help = "pictures to show: N of the lowest confidence, N at random (default: %(default)s)"
    add("--sample", type=positive_integer, default=24, metavar="N", help=sample_help)
    add("--seed", type=int, default=0, help="of the random samples (default: %(default)s)")
    publish_help = (
        "also publish metrics of the newest full hour to CloudWatch, and the drift of the day that ends with it"
    )
    add("--publish", action="store_true", help=publish_help)
    processes_help = "that read at a time (default: one for each core, %(default)s)"
    add("--processes", type=positive_integer, default=usable_cores(), metavar="N", help=processes_help)
    arguments = parser.parse_args(argv)
    if arguments.since and arguments.until and arguments.since >= arguments.until:
        parser.error("--to must be later than --from")
    return arguments


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not a comma-separated list of different names")
    return names


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-11-23 or 2026-11-23T14:00") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
