"""Calculate what the workflow costs on AWS: `python -m operations.cost`; --write for docs/cost.md."""

import argparse
import math
import sys
from pathlib import Path

import jinja2
from rich.console import Console
from rich.markdown import Markdown

from common.arguments import positive_number, share
from common.command import run_command
from common.reports import write_text
from common.settings import ROOT
from common.waiting import make_console
from operations.cost import model
from operations.cost.inputs import Inputs, read_inputs
from operations.cost.model import MILLION, total

PAGE = ROOT / "docs" / "cost.md"
TEMPLATE = Path(__file__).with_name("cost.md.j2")
BATCH_LIMIT_USD = 15.0  # a million pictures by the batch path, without the endpoint
INSTANCES = ("ml.m5.large", "ml.c5.large")
DEFAULT_INSTANCE = INSTANCES[0]


def main(argv: list[str] | None = None) -> int:
    """Print or write the page; return the exit status."""
    return run_command("cost", lambda: estimate(parse_arguments(argv), make_console()))


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.cost",
        description="Calculate what the workflow costs on AWS, from prices, template and definitions. Calls nothing.",
    )
    add = parser.add_argument
    add("--write", action="store_true", help="write docs/cost.md, from operations/cost/assumptions.toml as it stands")
    requests_help = "requests per second that one instance of the endpoint answers"
    add("--requests-per-second", type=positive_number, metavar="N", help=requests_help)
    add("--review-share", type=share, metavar="SHARE", help="share of pictures that go to review, from 0 to 1")
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
    text = markdown(inputs)
    if not arguments.write:
        console.print(Markdown(text, hyperlinks=False))
        return
    write_text(PAGE, text)
    summary, _, _ = text.partition("\n## ")
    console.print(Markdown(summary, hyperlinks=False))
    console.print(f"Wrote {PAGE.relative_to(ROOT)}")


def markdown(inputs: Inputs) -> str:
    """Return the whole page."""
    standard_rows, batch_rows = model.standard_rows(inputs), model.batch_rows(inputs)
    fixed_rows = model.fixed_rows(inputs)
    # US dollars of one picture, of one month, and of one run of the batch machine.
    standard, batched = total(standard_rows) / MILLION, total(batch_rows) / MILLION
    month, fixed = model.endpoint_month_usd(inputs, DEFAULT_INSTANCE), total(fixed_rows)
    start = model.parent_usd(inputs)
    environment = jinja2.Environment(  # noqa: S701  Markdown of our own numbers, no HTML
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"usd": usd, "number": number, "unit_price": unit_price, "total": total}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        inputs=inputs,
        batch_limit=BATCH_LIMIT_USD,
        standard_rows=standard_rows,
        batch_rows=batch_rows,
        upload_rows=model.upload_rows(inputs),
        fixed_rows=fixed_rows,
        failure_rows=model.failure_rows(inputs, MILLION // 100),
        default_instance=DEFAULT_INSTANCE,
        month_usd={kind: model.endpoint_month_usd(inputs, kind) for kind in INSTANCES},
        hours=model.endpoint_busy_hours(inputs, MILLION),
        capture_gb=model.capture_gb(inputs),
        start=start,
        saved=standard - batched,
        pictures_needed=math.floor(start / (standard - batched)) + 1,
        one_child=batched * inputs.batch_size,
        endpoint_pictures=[month / standard, (month + fixed) / standard, month / batched, (month + fixed) / batched],
        most_pictures=model.endpoint_capacity(inputs) * 3600 * inputs.assume("hours_per_month"),
    )


def usd(value: float) -> str:
    """Format dollars with cents."""
    return f"{value:,.2f}"


def number(value: float) -> str:
    """Format a quantity: whole where it is large, with three significant digits where it is small."""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:,.3g}"


def unit_price(value: float) -> str:
    """Format the price of one unit without an exponent."""
    return f"{value:.13f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
