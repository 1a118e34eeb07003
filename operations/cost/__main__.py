"""What the workflow costs on AWS: `python -m operations.cost`; --write for docs/cost.md."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from common.arguments import positive_number
from common.command import run_command
from common.reports import write_text
from common.waiting import make_console
from operations.cost import model, page
from operations.cost.inputs import ROOT, read_inputs

PAGE = ROOT / "docs" / "cost.md"


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
        "--review-share",
        type=positive_number,
        metavar="SHARE",
        help="share of pictures that go to review, above 0 and up to 1",
    )
    parsed = parser.parse_args(argv)
    if parsed.write and (parsed.requests_per_second or parsed.review_share):
        parser.error("--write takes its numbers from operations/cost/assumptions.toml alone")
    if parsed.review_share and parsed.review_share > 1:
        parser.error("--review-share is a share: at most 1")
    return parsed


def show(console: Console, section: page.Section) -> None:
    """Print a section."""
    console.print(f"\n[bold]{section.title}[/bold]")
    if section.text:
        console.print(section.text, markup=False)
    if section.table:
        header, *body = section.table
        table = Table(*header)
        for line in body:
            table.add_row(*(cell.replace("**", "") for cell in line))
        console.print(table)


def main(argv: list[str] | None = None) -> int:
    """Print the tables, or write the page."""
    return run_command("cost", lambda: estimate(parse_arguments(argv), make_console()))


def estimate(arguments: argparse.Namespace, console: Console) -> None:
    """Print the tables, or write the page and print its summary."""
    inputs = read_inputs()
    if arguments.requests_per_second:
        inputs = model.with_value(inputs, "endpoint_requests_per_second", arguments.requests_per_second)
    if arguments.review_share:
        inputs = model.with_value(inputs, "review_share", arguments.review_share)
    sections = page.sections(inputs)
    if not arguments.write:
        for section in sections:
            show(console, section)
        return
    write_text(PAGE, page.markdown(sections))
    show(console, sections[0])
    console.print(f"Wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
