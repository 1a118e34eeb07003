"""Dollars per million pictures, component by component. Retries and free tiers are left out."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from operations.cost.inputs import BATCH, SINGLE, Inputs
from operations.cost.workflow import (
    ERROR_EVENTS,
    INLINE_MAP_EVENTS,
    ITERATION_EVENTS,
    Path,
)

MILLION = 1_000_000
CLASSIFIER = "ImageClassificationFunction"  # the function that waits for a busy endpoint
FUNCTION_MS = {
    "SerializeImageDataFunction": "serialize_ms",
    CLASSIFIER: "classify_ms",
    "FilterLowConfidenceFunction": "filter_ms",
}
EXPRESS_BASE_MB = 50  # what AWS's pricing example takes for an Express execution as such
EXPRESS_STEP_MB = 64
EXPRESS_STEP_S = 0.1
LISTED_PER_REQUEST = 1000  # objects of one ListObjectsV2
GB = 1e9  # as CloudWatch and S3 bill
PAYLOAD_BYTES = 262_144  # a state's input at most: what AWS bills as memory


@dataclass(frozen=True)
class Row:
    """One component of a bill for a million pictures."""

    component: str
    quantity: float
    price: str  # name in prices.toml
    usd: float


@dataclass(frozen=True)
class Batch:
    """How a batch is run; `Batch.deployed` is what the template and the definitions say."""

    size: int  # pictures per child
    children: int  # at once
    instances: int  # of the endpoint
    traced: bool
    log_level: str  # of the Express executions

    @classmethod
    def deployed(cls, inputs: Inputs) -> "Batch":
        """Return what is deployed, with one instance behind the endpoint."""
        return cls(
            size=inputs.batch_size,
            children=inputs.children_at_once,
            instances=1,
            traced=inputs.traced("MyExpressStateMachine"),
            log_level=inputs.log_level("MyExpressStateMachine"),
        )

    @property
    def pictures_at_once(self) -> int:
        """Pictures in work at the same time."""
        return self.size * self.children


@dataclass(frozen=True)
class Speed:
    """What a batch does per second, and how long things take, in seconds."""

    pictures_per_second: float
    alone_per_second: float  # with an endpoint that is never busy
    capacity_per_second: float  # of the endpoint, at the utilisation that is allowed
    child_s: float
    wait_s: float  # of each picture for the busy endpoint, paid as Lambda time

    @property
    def bound_by(self) -> str:
        """What to raise for more speed."""
        return "the endpoint" if self.wait_s > 0 else "MaxConcurrency"


def expected(inputs: Inputs, of: Callable[[Path], float]) -> float:
    """Return the mean over accepted pictures and those for review, by the review share."""
    share = inputs.assume("review_share")
    return (1 - share) * of(inputs.accepted) + share * of(inputs.review)


def row(inputs: Inputs, component: str, quantity: float, price: str) -> Row:
    """Return a component's row: so many units at that price."""
    return Row(component, quantity, price, quantity * inputs.prices[price].usd)


def total(rows: list[Row]) -> float:
    """Return the sum in dollars."""
    return sum(r.usd for r in rows)


# ------------------------------------------------------------------------ how long it takes
def path_seconds(inputs: Inputs, path: Path) -> float:
    """Return how long an execution on that path takes when nothing is busy."""
    functions = sum(inputs.assume(FUNCTION_MS[f]) for f in path.functions)
    calls = path.calls.total() * inputs.assume("call_ms")
    return (functions + calls + len(path.states) * inputs.assume("state_ms")) / 1000


def speed(inputs: Inputs, batch: Batch) -> Speed:
    """Return a batch's speed: bound by its concurrency, or by the endpoint.

    By Little's law, pictures at once = rate x time. Where the endpoint is the bound, the time
    grows until that holds, and what it grows by is spent waiting for the endpoint.
    """
    picture = expected(inputs, lambda path: path_seconds(inputs, path))
    slowest = picture * (inputs.assume("straggler_factor") if batch.size > 1 else 1)
    around = path_seconds(inputs, inputs.child) + path_seconds(inputs, inputs.iteration)
    child = slowest + around
    alone = batch.pictures_at_once / child
    capacity = batch.instances * endpoint_capacity(inputs)
    rate = min(alone, capacity)
    wait = max(0.0, batch.pictures_at_once / rate - child)
    return Speed(rate, alone, capacity, child + wait, wait)


def endpoint_capacity(inputs: Inputs) -> float:
    """Return the requests per second that one instance is trusted with."""
    return inputs.assume("endpoint_requests_per_second") * inputs.assume("endpoint_utilisation")


# ---------------------------------------------------------------------- what both paths pay
def lambda_rows(inputs: Inputs, wait_s: float) -> list[Row]:
    """Return the functions' requests and time; they do the same on every path so far."""

    def gb_seconds(path: Path) -> float:
        waits = {CLASSIFIER: wait_s}
        return sum(
            inputs.memory_gb(f) * (inputs.assume(FUNCTION_MS[f]) / 1000 + waits.get(f, 0)) for f in path.functions
        )

    requests = expected(inputs, lambda path: len(path.functions))
    seconds = expected(inputs, gb_seconds)
    return [
        row(inputs, "Lambda, invocations", requests * MILLION, "lambda_request"),
        row(inputs, "Lambda, time", seconds * MILLION, "lambda_gb_second"),
    ]


def shared_rows(inputs: Inputs, wait_s: float) -> list[Row]:
    """Return what a picture costs on either path but for Step Functions itself."""

    def writes(path: Path) -> float:
        return sum(path.calls["dynamodb", call] for call in ("putItem", "updateItem", "deleteItem"))

    def reads(path: Path) -> float:
        return path.calls["dynamodb", "getItem"]

    def messages(path: Path) -> float:
        return path.calls["sqs", "sendMessage"]

    function_log = inputs.assume("function_log_bytes") + inputs.assume("platform_log_bytes") * (
        expected(inputs, lambda path: len(path.functions))
    )
    gets = inputs.assume("gets_per_picture")
    rows = [
        *lambda_rows(inputs, wait_s),
        row(inputs, "S3, reading pictures", gets * MILLION, "s3_get"),
        row(inputs, "DynamoDB, ledger", expected(inputs, writes) * MILLION, "dynamodb_write"),
        row(inputs, "DynamoDB, reads", expected(inputs, reads) * MILLION, "dynamodb_read"),
        row(inputs, "SQS, review queue", expected(inputs, messages) * MILLION, "sqs_request"),
        row(inputs, "Logs of the functions", function_log * MILLION / GB, "logs_gb"),
    ]
    return [r for r in rows if r.quantity]


def workflow_log_bytes(inputs: Inputs, level: str) -> float:
    """Return the bytes that Step Functions logs of one picture's own execution."""
    events: dict[str, Callable[[Path], float]] = {
        "ALL": lambda path: path.events,
        "ERROR": lambda path: ERROR_EVENTS if path.fails else 0,
        "FATAL": lambda path: 1 if path.fails else 0,
        "OFF": lambda _: 0,
    }
    return expected(inputs, events[level]) * inputs.assume("event_log_bytes")


def traced_share(inputs: Inputs, per_second: float) -> float:
    """Return which share of requests X-Ray records: the first of a second, and 5 % of the rest."""
    if per_second <= 1:
        return 1.0
    return (1 + inputs.assume("xray_fixed_rate") * (per_second - 1)) / per_second


# ------------------------------------------------------------------------------- the paths
def upload_rows(inputs: Inputs) -> list[Row]:
    """Return what it costs to put a million pictures into the bucket and keep them a month."""
    stored = inputs.assume("picture_bytes") * MILLION / GB
    return [
        row(inputs, "S3, upload", MILLION, "s3_put"),
        row(inputs, "EventBridge, the upload's event", MILLION, "eventbridge_event"),
        row(inputs, "S3, pictures kept for a month", stored, "s3_gb_month"),
    ]


def standard_rows(inputs: Inputs, *, traced: bool | None = None, level: str = "") -> list[Row]:
    """Return the standard path: an upload's event starts MyStateMachine."""
    beyond = inputs.assume("transitions_beyond_states")
    transitions = expected(inputs, lambda path: len(path.states) + beyond)
    level = level or inputs.log_level("MyStateMachine")
    log = workflow_log_bytes(inputs, level)
    rows = [
        row(inputs, "Step Functions, transitions", transitions * MILLION, "transition"),
        *shared_rows(inputs, wait_s=0),
        row(inputs, f"Logs of the workflow ({level})", log * MILLION / GB, "logs_gb"),
    ]
    if inputs.traced("MyStateMachine") if traced is None else traced:
        share = traced_share(inputs, inputs.assume("standard_pictures_per_second"))
        rows.append(row(inputs, "X-Ray", share * MILLION, "trace"))
    return rows


def batch_rows(inputs: Inputs, batch: Batch) -> list[Row]:
    """Return the batch path for a million of a large batch's pictures, without the endpoint."""
    pace = speed(inputs, batch)
    children = MILLION / batch.size
    picture_s = expected(inputs, lambda path: billed_express_seconds(path_seconds(inputs, path) + pace.wait_s))
    nested_gb = express_gb(inputs.definition_bytes[SINGLE], PAYLOAD_BYTES)
    child_gb = express_gb(inputs.definition_bytes[BATCH], batch_input_bytes(inputs, batch) * batch.size)
    child_s = billed_express_seconds(pace.child_s)
    gb_hours = (MILLION * picture_s * nested_gb + children * child_s * child_gb) / 3600
    child_log = child_events(inputs, batch.size) * inputs.assume("event_log_bytes")
    log = workflow_log_bytes(inputs, batch.log_level) * MILLION + (
        child_log * children if batch.log_level == "ALL" else 0
    )
    rows = [
        row(inputs, "Step Functions, starting children", children, "transition"),
        row(inputs, "Step Functions, Express starts", children + MILLION, "express_request"),
        row(inputs, "Step Functions, Express time", gb_hours, "express_gb_hour"),
        row(inputs, "S3, listing", MILLION / LISTED_PER_REQUEST, "s3_put"),
        *shared_rows(inputs, pace.wait_s),
        row(inputs, "DynamoDB, counts", children * count_units(inputs, batch), "dynamodb_write"),
        row(inputs, f"Logs of the workflow ({batch.log_level})", log / GB, "logs_gb"),
    ]
    if batch.traced:
        share = traced_share(inputs, pace.pictures_per_second)
        rows.append(row(inputs, "X-Ray", share * MILLION, "trace"))
    return rows


def parent_usd(inputs: Inputs) -> float:
    """Return what one run of the batch machine costs, however few pictures there are."""
    transitions = len(inputs.parent.states) + inputs.assume("transitions_beyond_states")
    listing = inputs.prices["s3_put"].usd
    return transitions * inputs.prices["transition"].usd + listing


def billed_express_seconds(seconds: float) -> float:
    """Round up to what Express bills."""
    return math.ceil(round(seconds / EXPRESS_STEP_S, 6)) * EXPRESS_STEP_S


def express_gb(definition_bytes: float, payload_bytes: float) -> float:
    """Return the memory that an Express execution is billed for, in GB."""
    used = EXPRESS_BASE_MB + (definition_bytes + payload_bytes) / 1024**2
    return math.ceil(used / EXPRESS_STEP_MB) * EXPRESS_STEP_MB / 1024


def count_units(inputs: Inputs, batch: Batch) -> float:
    """Return the write units of a child's count: at worst a row per class and one for the rest."""
    return min(batch.size, inputs.assume("classes") + 1) * 2  # a transaction costs twice


def child_events(inputs: Inputs, size: int) -> int:
    """Return the events in a child's history."""
    inner = inputs.iteration.events - 2  # its start and end are the iteration's
    return inputs.child.events + INLINE_MAP_EVENTS + size * (ITERATION_EVENTS + inner)


def batch_input_bytes(inputs: Inputs, batch: Batch) -> int:
    """Return the longest input that a child can get: every byte of each key escaped in JSON."""
    bucket, arn = 63, 300
    item = len('{"s3_bucket":"","s3_key":""},') + bucket + 6 * int(inputs.assume("key_bytes"))
    return len('{"BatchInput":{"batch":""},"Items":[]}') + arn + batch.size * item


def fixed_rows(inputs: Inputs) -> list[Row]:
    """Return what a month costs without a single picture, but for the endpoint."""
    alarms = sum(alarm_metrics(a) for a in inputs.of_type("AWS::CloudWatch::Alarm"))
    dashboards = len(inputs.of_type("AWS::CloudWatch::Dashboard"))
    # Confidence, Accepted, Reviewed: for all pictures and for each class
    metrics = 3 * (1 + inputs.assume("classes"))
    keys = len(inputs.of_type("AWS::KMS::Key"))
    return [
        row(inputs, "Alarms of the template", alarms, "alarm_month"),
        row(inputs, "Dashboards of the template", dashboards, "dashboard_month"),
        row(inputs, "Custom metrics", metrics, "metric_month"),
        row(inputs, "KMS keys of the template", keys, "kms_key_month"),
    ]


def alarm_metrics(alarm: dict[str, Any]) -> int:
    """Return how many metrics an alarm reads, each of which is charged."""
    return sum("MetricStat" in metric for metric in alarm.get("Metrics", [])) or 1


def failure_rows(inputs: Inputs, failed: float) -> list[Row]:
    """Return what telling of that many failed pictures costs, with one subscriber by e-mail."""
    return [
        row(inputs, "SNS, failure topic", failed, "sns_publish"),
        row(inputs, "SNS, e-mails", failed, "sns_email"),
        # Encrypting and decrypting each message; SNS keeps data keys for a while, so at most.
        row(inputs, "KMS, at most", 2 * failed, "kms_request"),
    ]


def endpoint_month_usd(inputs: Inputs, kind: str) -> float:
    """Return what one instance costs in a month, used or not."""
    return inputs.prices[kind].usd * inputs.assume("hours_per_month")


def endpoint_busy_hours(inputs: Inputs, pictures: float) -> float:
    """Return the hours that one instance needs for that many pictures."""
    return pictures / endpoint_capacity(inputs) / 3600


def capture_gb(inputs: Inputs) -> float:
    """Return the GB of captured requests and answers of a million pictures, as base64 in JSON."""
    answer_and_envelope = 1000
    return (inputs.assume("picture_bytes") * 4 / 3 + answer_and_envelope) * MILLION / GB


def with_value(inputs: Inputs, name: str, value: float) -> Inputs:
    """Return the inputs with another value for one assumption."""
    changed = replace(inputs.assumptions[name], value=value)
    return replace(inputs, assumptions=inputs.assumptions | {name: changed})
