"""Lay the calculation out: the same sections for the terminal and for docs/cost.md."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from operations.cost import model, tables
from operations.cost.inputs import Inputs
from operations.cost.model import MILLION, Batch, Row, total

BATCH_PROMISE_USD = 15.0  # a million pictures by the batch path, without the endpoint
LARGE = 10 * MILLION
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
            "MyBatchStateMachine over pictures that are in the bucket already:"
            f" {batch.size} to a child, {batch.children} children at a time, so at most"
            f" {batch.pictures_at_once} pictures at once, and one {DEFAULT_INSTANCE} behind the"
            " endpoint, which is not in this sum. Each child that starts is a transition of the"
            " parent, each picture an Express execution of its own.",
            cost_table(inputs, model.batch_rows(inputs, batch)),
        ),
        Section(
            "Either path: a million pictures get into the bucket",
            "In neither of the sums above. The bucket tells EventBridge of each object, whatever its prefix.",
            cost_table(inputs, model.upload_rows(inputs)),
        ),
        endpoint(inputs),
        Section(
            "By the month, without a picture",
            "Counted from template.yaml, but for the custom metrics: confidence,"
            " accepted and reviewed, for all pictures and for each class.",
            cost_table(inputs, model.fixed_rows(inputs), "a month"),
        ),
        Section(
            "If one picture in a hundred fails",
            "Of a million, told to one e-mail subscriber. Retries before that are not counted.",
            cost_table(inputs, model.failure_rows(inputs, MILLION // 100)),
        ),
        break_even(inputs, batch),
        changes(inputs, batch),
        capacity(inputs, batch),
        ten_million(inputs, batch),
        limits(inputs, batch),
        prices(inputs),
        assumptions(inputs),
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
        "Made by `python -m operations.cost --write` from AWS's prices in us-east-1, the template"
        " and the state machines' definitions; a unit test fails when this page is not what the"
        " calculator says today. It is paper: nothing here was billed. Prices were read on"
        f" {tables.read_on()} from stored copies of the pages named below, not from AWS"
        " itself. Free tiers, taxes, discounts and retries are left out.\n\n"
        f"The batch path is to cost at most {usd(BATCH_PROMISE_USD)} USD per million pictures"
        f" without the endpoint: it costs {usd(batched)}, as long as the endpoint answers at least"
        f" {slowest_endpoint(inputs, batch):.0f} requests a second (assumed:"
        f" {inputs.assume('endpoint_requests_per_second'):.0f}; see below).",
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


def changes(inputs: Inputs, batch: Batch) -> Section:
    """Return what the deployed settings save."""
    alone = replace(batch, size=1, children=batch.pictures_at_once)
    base = total(model.batch_rows(inputs, batch))
    standard = total(model.standard_rows(inputs))
    traces = inputs.prices["trace"].usd * MILLION
    cases = [
        ("as deployed", batch),
        ("no ItemBatcher, as many pictures at once", alone),
        ("without X-Ray", replace(batch, traced=False)),
        ("with X-Ray at its default sampling", replace(batch, traced=True)),
        ("the workflow's log at level ALL", replace(batch, log_level="ALL")),
        ("the workflow's log at level ERROR", replace(batch, log_level="ERROR")),
        ("the workflow's log OFF", replace(batch, log_level="OFF")),
    ]
    lines = [["path", "setting", "USD per million", "difference"]]
    for name, setting in cases:
        cost = total(model.batch_rows(inputs, setting))
        lines.append(["batch", name, usd(cost), f"{cost - base:+.2f}"])
    others = [
        ("as deployed", standard),
        ("without X-Ray", total(model.standard_rows(inputs, traced=False))),
        ("the workflow's log at level ALL", total(model.standard_rows(inputs, level="ALL"))),
        ("the workflow's log at level ERROR", total(model.standard_rows(inputs, level="ERROR"))),
    ]
    lines += [["standard", name, usd(cost), f"{cost - standard:+.2f}"] for name, cost in others]
    return Section(
        "What changes it",
        "X-Ray records the first request of each second and 5 % of the rest: nearly nothing of a"
        f" fast batch, but all of a slow stream ({usd(traces)} USD per million).",
        lines,
    )


def capacity(inputs: Inputs, batch: Batch) -> Section:
    """Return how the endpoint's speed changes the batch path's cost."""
    lines = [
        ["endpoint, requests/s", "MaxConcurrency", "pictures/s", "bound by", "wait for the endpoint", "USD per million"]
    ]
    for requests in (25, 50, 100, 200):
        for children in sorted({1, 2, batch.children}):
            slower = model.with_value(inputs, "endpoint_requests_per_second", requests)
            setting = replace(batch, children=children)
            pace = model.speed(slower, setting)
            lines.append(
                [
                    str(requests),
                    str(children),
                    f"{pace.pictures_per_second:.1f}",
                    pace.bound_by,
                    f"{pace.wait_s:.2f} s",
                    usd(total(model.batch_rows(slower, setting))),
                ]
            )
    return Section(
        "An endpoint too slow for its batch costs Lambda time",
        "Every picture in work that waits for the endpoint is a function that waits, and is paid"
        f" for. With MaxConcurrency {batch.children} the batch path keeps to"
        f" {usd(BATCH_PROMISE_USD)} USD as long as the endpoint answers at least"
        f" {slowest_endpoint(inputs, batch):.0f} requests a second, at an assumed"
        f" {inputs.assume('endpoint_requests_per_second'):.0f}. Where it is slower, more instances"
        " or a lower MaxConcurrency bring the cost back; lowering it costs no speed as long as"
        " the endpoint is the bound.",
        lines,
    )


def slowest_endpoint(inputs: Inputs, batch: Batch) -> float:
    """Return the fewest whole requests per second at which the batch path keeps its promise."""
    assumed = int(inputs.assume("endpoint_requests_per_second"))
    for requests in range(assumed, 0, -1):
        slower = model.with_value(inputs, "endpoint_requests_per_second", requests)
        if total(model.batch_rows(slower, batch)) > BATCH_PROMISE_USD:
            return requests + 1
    return 1


def ten_million(inputs: Inputs, batch: Batch) -> Section:
    """Return what the batch machine does with ten million pictures, by instances."""
    lines = [
        [
            "instances behind the endpoint",
            "MaxConcurrency",
            "pictures/s",
            "bound by",
            "hours",
            "workflow, USD",
            "endpoint, USD",
        ]
    ]
    hour = inputs.prices[DEFAULT_INSTANCE].usd
    for instances, factor in ((1, 1), (2, 1), (2, 2), (4, 4), (10, 10)):
        setting = replace(batch, instances=instances, children=batch.children * factor)
        pace = model.speed(inputs, setting)
        hours = LARGE / pace.pictures_per_second / 3600
        cost = total(model.batch_rows(inputs, setting)) * LARGE / MILLION
        lines.append(
            [
                str(instances),
                str(setting.children),
                f"{pace.pictures_per_second:,.0f}",
                pace.bound_by,
                f"{hours:,.1f}",
                usd(cost + model.parent_usd(inputs)),
                usd(hours * hour * instances),
            ]
        )
    return Section(
        f"The batch machine with {LARGE:,} pictures",
        f"{LARGE / model.LISTED_PER_REQUEST:,.0f} requests list them, {LARGE / batch.size:,.0f}"
        " children classify them. The parent's history has"
        f" {model.parent_events(inputs)} events however many pictures there are, since each child"
        f" keeps its own ({model.child_events(inputs, batch.size)} events for {batch.size}"
        f" pictures). The first line is what is deployed, on {DEFAULT_INSTANCE}; for more speed,"
        " raise instances and MaxConcurrency together. Wanting it done sooner costs next to"
        " nothing: the same hours of instances are only used side by side.",
        lines,
    )


def needs(inputs: Inputs, batch: Batch) -> dict[str, tuple[float, str]]:
    """Return what a batch of ten million needs of each limit: a number, and words about it."""
    pace = model.speed(inputs, batch)
    children = pace.pictures_per_second / batch.size
    waits = inputs.iteration.states[0].get("TimeoutSeconds", 0)
    return {
        "history_parent": (model.parent_events(inputs), "however many pictures"),
        "payload": (
            model.batch_input_bytes(inputs, batch),
            "for a child's input at worst: longest keys, every byte escaped",
        ),
        "express_seconds": (pace.child_s, f"for a child; it waits at most {waits} for a picture"),
        "sync_express": (batch.pictures_at_once, "pictures at once"),
        "express_starts": (children, "children"),
        "map_concurrency": (batch.children, ""),
        "map_runs": (1, "for each batch that runs"),
        "standard_hours": (LARGE / pace.pictures_per_second / 3600, ""),
        "lambda_concurrency": (
            batch.pictures_at_once,
            "at most: a picture is in one function at a time",
        ),
        "partition_writes": (children * model.count_units(inputs, batch), ""),
    }


def limits(inputs: Inputs, batch: Batch) -> Section:
    """Return AWS's limits beside what a batch of ten million needs of them."""
    ours = needs(inputs, batch)
    lines = [["AWS's limit", "limit", f"needed for {LARGE:,} pictures", "source"]]
    for name, quota in inputs.quotas.items():
        needed, words = ours[name]
        amount = f"{number(needed)} {words}".strip()
        lines.append([quota.what, number(quota.limit), amount, f"<{quota.source}> ({quota.copy})"])
    return Section(
        "Limits",
        "An Express execution's history has no limit. Not found in writing, and so to be watched on"
        " AWS: how long the listing takes, and how ResultWriter splits its files.",
        lines,
    )


def prices(inputs: Inputs) -> Section:
    """Return every price with its source."""
    lines = [["what", "USD", "per", "source", "copy that was read"]]
    for price in inputs.prices.values():
        source = f"<{price.source}>"
        lines.append([price.what, unit_price(price.usd), price.unit, source, price.copy])
    return Section(f"Prices, us-east-1, read on {tables.read_on()}", "", lines)


def assumptions(inputs: Inputs) -> Section:
    """Return every assumption with its reason."""
    lines = [["assumption", "value", "unit", "why"]]
    for name, assumed in inputs.assumptions.items():
        lines.append([name.replace("_", " "), f"{assumed.value:,g}", assumed.unit, assumed.why])
    return Section("Assumptions", "Change them in operations/cost/assumptions.toml.", lines)


def left_out() -> Section:
    """Return what the sums do not hold."""
    return Section(
        "Left out",
        "Free tiers (they would pay for small volumes whole), taxes, savings plans, retries, cold"
        " starts, storage of logs and of the ledger, people who review and"
        " the reading of their queue, training jobs, data leaving the region (there is none), and"
        " the objects that ResultWriter writes.",
    )
