"""Lay the calculation out: the same sections for the terminal and for docs/cost.md."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from operations.cost import model, tables
from operations.cost.inputs import Inputs
from operations.cost.model import MILLION, Batch, Row, total

BATCH_PROMISE_USD = 15.0  # a million pictures by the batch path, without the endpoint
INSTANCES = ("ml.m5.large", "ml.c5.large")
DEFAULT_INSTANCE = INSTANCES[0]


@dataclass(frozen=True)
class Section:
    """A heading, sentences, and perhaps a table whose first row is its header."""

    title: str
    text: str = ""
    table: Sequence[Sequence[str]] = field(default_factory=list)


def markdown(sections: Sequence[Section]) -> str:
    """Return the sections as a page."""
    parts = []
    for level, section in enumerate(sections):
        parts.append(f"{'#' if level == 0 else '##'} {section.title}")
        if section.text:
            parts.append(section.text)
        if section.table:
            header, *body = section.table
            lines = [header, ["---"] * len(header), *body]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts) + "\n"


def usd(value: float) -> str:
    """Write dollars with cents."""
    return f"{value:,.2f}"


def number(value: float) -> str:
    """Write a quantity: whole where it is large, with two digits where it is small."""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:,.3g}"


def unit_price(value: float) -> str:
    """Write the price of one unit without an exponent."""
    return f"{value:.13f}".rstrip("0").rstrip(".")


def cost_table(inputs: Inputs, rows: Sequence[Row], last: str = "") -> list[list[str]]:
    """Return a bill as table, with its sum as last line."""
    lines = [["component", "quantity", "unit", "USD per unit", "USD"]]
    for r in rows:
        price = inputs.prices[r.price]
        lines.append([r.component, number(r.quantity), price.unit, unit_price(price.usd), usd(r.usd)])
    return [*lines, [f"**{last or 'sum'}**", "", "", "", f"**{usd(total(list(rows)))}**"]]


def sections(inputs: Inputs) -> list[Section]:
    """Return the whole page."""
    batch = Batch.deployed(inputs)
    return [
        summary(inputs, batch),
        Section(
            "Standard path, a million pictures",
            "An upload's event starts MyStateMachine. States on the way, read from"
            f" statemachine/MyStateMachine.asl.json: {len(inputs.accepted.states)} for an accepted"
            f" picture, {len(inputs.review.states)} for one that goes to review.",
            cost_table(inputs, model.standard_rows(inputs)),
        ),
        Section(
            "Batch path, a million pictures",
            f"MyBatchStateMachine over pictures in the bucket: {batch.size} per child and {batch.children} concurrent"
            f" children, so at most {batch.pictures_at_once} concurrent pictures, without the endpoint. Each child is a"
            " transition of the parent, each picture an Express execution.",
            cost_table(inputs, model.batch_rows(inputs, batch)),
        ),
        Section(
            "Either path: upload of a million pictures",
            "Not in the sums above. The bucket sends an event for each object, whatever its prefix.",
            cost_table(inputs, model.upload_rows(inputs)),
        ),
        endpoint(inputs),
        Section(
            "Per month, without any picture",
            "Counted from template.yaml, but for the custom metrics: confidence,"
            " accepted and reviewed, for all pictures and for each class.",
            cost_table(inputs, model.fixed_rows(inputs), "a month"),
        ),
        Section(
            "If one picture in a hundred fails",
            "Of a million, with one e-mail subscriber. Retries before the failure are not counted.",
            cost_table(inputs, model.failure_rows(inputs, MILLION // 100)),
        ),
        break_even(inputs, batch),
        left_out(),
    ]


def summary(inputs: Inputs, batch: Batch) -> Section:
    """Return the figures that the rest explains."""
    standard = total(model.standard_rows(inputs))
    batched = total(model.batch_rows(inputs, batch))
    upload = total(model.upload_rows(inputs))
    hours = model.endpoint_busy_hours(inputs, MILLION)
    busy = hours * inputs.prices[DEFAULT_INSTANCE].usd
    month = model.endpoint_month_usd(inputs, DEFAULT_INSTANCE)
    return Section(
        "What it costs",
        "Made by `python -m operations.cost --write` from prices in us-east-1, the template and the state machines; a"
        " unit test fails when this page is out of date. Nothing here was billed. Each price in"
        f" [prices.toml](../operations/cost/prices.toml), read on {tables.read_on()}, has its source, and each"
        " assumption in [assumptions.toml](../operations/cost/assumptions.toml) its reason: change them there.\n\n"
        f"The batch path must cost at most {usd(BATCH_PROMISE_USD)} USD per million pictures without the endpoint; it"
        f" costs {usd(batched)} while the endpoint answers"
        f" {inputs.assume('endpoint_requests_per_second'):.0f} requests a second.",
        [
            ["USD per million pictures", "workflow", "with upload and a month's storage"],
            ["standard path", usd(standard), usd(standard + upload)],
            ["batch path", usd(batched), usd(batched + upload)],
            [f"endpoint, {DEFAULT_INSTANCE}, only while it works ({hours:.1f} h)", usd(busy), ""],
            [f"endpoint, {DEFAULT_INSTANCE}, always on: a month", usd(month), ""],
        ],
    )


def endpoint(inputs: Inputs) -> Section:
    """Return the endpoint's cost by instance type."""
    lines = [
        [
            "one instance",
            "USD an hour",
            "USD a month, always on",
            "used by a million a month",
            "USD per million at that",
            "USD per million, fully used",
        ]
    ]
    hours = model.endpoint_busy_hours(inputs, MILLION)
    for kind in INSTANCES:
        month = model.endpoint_month_usd(inputs, kind)
        lines.append(
            [
                kind,
                f"{inputs.prices[kind].usd:.3f}",
                usd(month),
                f"{hours / inputs.assume('hours_per_month'):.2%}",
                usd(month),
                usd(hours * inputs.prices[kind].usd),
            ]
        )
    capture = model.capture_gb(inputs)
    kept = capture * inputs.prices["s3_gb_month"].usd
    requests = inputs.assume("endpoint_requests_per_second")
    return Section(
        "The endpoint",
        f"Paid by the hour, used or not. Assumed: {requests:.0f} requests a second for each"
        f" instance, of which {inputs.assume('endpoint_utilisation'):.0%} are used. Capturing all"
        f" of a million pictures of {inputs.assume('picture_bytes'):,.0f} bytes writes"
        f" {capture:,.0f} GB to S3, {usd(kept)} USD for each month that it is kept. Batch Transform"
        " is billed as instance-hours too: if at the same rate, a million pictures cost what the"
        " last column says, without the workflow's ledger, threshold and review. Serverless"
        " inference excludes data capture, which this project needs, and no dated price of it was"
        " found.",
        lines,
    )


def break_even(inputs: Inputs, batch: Batch) -> Section:
    """Return from which number of pictures on one thing is cheaper than the other."""
    standard = total(model.standard_rows(inputs)) / MILLION
    batched = total(model.batch_rows(inputs, batch)) / MILLION
    month = model.endpoint_month_usd(inputs, DEFAULT_INSTANCE)
    fixed = total(model.fixed_rows(inputs))
    start = model.parent_usd(inputs)
    one_child = batched * batch.size
    most = model.endpoint_capacity(inputs) * 3600 * inputs.assume("hours_per_month")
    needed = start / (standard - batched)
    return Section(
        "Where the break-even lies",
        "",
        [
            ["question", "answer"],
            [
                "From how many pictures on is one batch run cheaper than as many uploads?",
                f"{math.floor(needed) + 1}: a run costs {start:.6f} USD to start, and each picture"
                f" saves {standard - batched:.6f} USD. A child with one picture instead of"
                f" {batch.size} costs at most {one_child:.6f} USD. So always, where the answer"
                " may wait until a batch is run",
            ],
            [
                "At how many pictures a month does an endpoint that is always on cost as much as the standard path?",
                f"{month / standard:,.0f}; with what a month costs without a picture"
                f" {(month + fixed) / standard:,.0f}. With fewer, the endpoint is the bill",
            ],
            ["The same for the batch path?", f"{month / batched:,.0f}, or {(month + fixed) / batched:,.0f}"],
            [
                "Up to how many pictures a month does it pay to make the endpoint for a batch and"
                " to delete it afterwards?",
                f"{most:,.0f}, all that one instance can answer in a month; making one takes minutes",
            ],
        ],
    )


def left_out() -> Section:
    """Return what the sums do not hold."""
    return Section(
        "Left out",
        "Free tiers (they would pay for small volumes whole), taxes, savings plans, retries, cold"
        " starts, storage of logs and of the ledger, people who review and"
        " the reading of their queue, training jobs, data leaving the region (there is none), and"
        " the objects that ResultWriter writes.",
    )
