"""Calculate what the workflow costs on AWS: `python -m operations.cost`; --write for docs/cost.md."""

import argparse
import sys

from rich.console import Console
from rich.markdown import Markdown

from common.arguments import positive_number, share
from common.command import run_command
from common.reports import write_text
from common.settings import ROOT
from common.waiting import make_console
from operations.cost import page
from operations.cost.inputs import read_inputs

PAGE = ROOT / "docs" / "cost.md"


def main(argv: list[str] | None = None) -> int:
    """Print or write the page; return the exit status."""
    return run_command("cost", lambda: estimate(parse_arguments(argv), make_console()))


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.cost",
        description="Calculate what the workflow costs on AWS, from prices, template and definitions. Calls nothing.",
    )
    parser.add_argument(
        "--write", action="store_true", help="write docs/cost.md, from operations/cost/assumptions.toml as it stands"
    )
    parser.add_argument(
        "--requests-per-second",
        type=positive_number,
        metavar="N",
        help="requests per second that one instance of the endpoint answers",
    )
    parser.add_argument(
        "--review-share", type=share, metavar="SHARE", help="share of pictures that go to review, from 0 to 1"
    )
    parsed = parser.parse_args(argv)
    if parsed.write and (parsed.requests_per_second is not None or parsed.review_share is not None):
        parser.error("--write takes its numbers from operations/cost/assumptions.toml alone")
    return parsed


def estimate(arguments: argparse.Namespace, console: Console) -> None:
    """Print the page, or write it and print its summary."""
    inputs = read_inputs()
    if arguments.requests_per_second is not None:
        inputs = inputs.with_assumption("endpoint_requests_per_second", arguments.requests_per_second)
    if arguments.review_share is not None:
        inputs = inputs.with_assumption("review_share", arguments.review_share)
    text = page.markdown(inputs)
    if not arguments.write:
        console.print(Markdown(text, hyperlinks=False))
        return
    write_text(PAGE, text)
    summary, _, _ = text.partition("\n## ")
    console.print(Markdown(summary, hyperlinks=False))
    console.print(f"Wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
