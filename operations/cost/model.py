"""US dollars per million pictures, component by component. Retries and free tiers are left out."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from operations.cost.inputs import BATCH, SINGLE, Inputs
from operations.cost.workflow import EXECUTION_EVENTS, INLINE_MAP_EVENTS, ITERATION_EVENTS, Path

MILLION = 1_000_000
CLASSIFIER = "ImageClassificationFunction"  # the function that waits for a busy endpoint
FUNCTION_MS = {
    "SerializeImageDataFunction": "serialize_ms",
    CLASSIFIER: "classify_ms",
    "FilterLowConfidenceFunction": "filter_ms",
}
EXPRESS_BASE_MB = 50  # memory of an Express execution without its data, from AWS's pricing example
EXPRESS_STEP_MB = 64
EXPRESS_STEP_S = 0.1
LISTED_PER_REQUEST = 1000  # objects of one ListObjectsV2
GB = 1e9  # as CloudWatch and S3 bill
PAYLOAD_BYTES = 262_144  # a state's largest input, which AWS bills as memory


@dataclass(frozen=True)
class Row:
    """One component of a bill for a million pictures."""

    component: str
    quantity: float
    price: str  # name in prices.toml
    usd: float


@dataclass(frozen=True)
class Speed:
    """How fast a batch runs."""

    pictures_per_second: float
    child_s: float
    wait_s: float  # of each picture for the busy endpoint, paid as Lambda time


def expected(inputs: Inputs, value: Callable[[Path], float]) -> float:
    """Return the mean of a path's value over accepted pictures and those for review, by the review share."""
    share = inputs.assume("review_share")
    return (1 - share) * value(inputs.accepted) + share * value(inputs.review)


def row(inputs: Inputs, component: str, quantity: float, price: str) -> Row:
    """Return a component's row: its quantity at that price."""
    return Row(component, quantity, price, quantity * inputs.prices[price].usd)


def total(rows: Iterable[Row]) -> float:
    """Return the sum in US dollars."""
    return sum(r.usd for r in rows)


def path_seconds(inputs: Inputs, path: Path) -> float:
    """Return how long an execution on that path takes when nothing is busy."""
    functions = sum(inputs.assume(FUNCTION_MS[f]) for f in path.functions)
    calls = path.calls.total() * inputs.assume("call_ms")
    return (functions + calls + len(path.states) * inputs.assume("state_ms")) / 1000


def speed(inputs: Inputs) -> Speed:
    """Return a batch's speed, limited by its concurrency or by the endpoint, which has one instance.

    By Little's law, concurrent pictures = rate x time. Where the endpoint is the limit, the time grows until that
    holds, and the difference is spent waiting for the endpoint.
    """
    picture = expected(inputs, lambda path: path_seconds(inputs, path))
    slowest = picture * (inputs.assume("straggler_factor") if inputs.batch_size > 1 else 1)
    child = slowest + path_seconds(inputs, inputs.child) + path_seconds(inputs, inputs.iteration)
    concurrent_pictures = inputs.batch_size * inputs.concurrent_children
    rate = min(concurrent_pictures / child, endpoint_capacity(inputs))
    wait = max(0.0, concurrent_pictures / rate - child)
    return Speed(rate, child + wait, wait)


def endpoint_capacity(inputs: Inputs) -> float:
    """Return the requests per second of one instance, at the assumed utilisation."""
    return inputs.assume("endpoint_requests_per_second") * inputs.assume("endpoint_utilisation")


def shared_rows(inputs: Inputs, wait_s: float) -> list[Row]:
    """Return what a picture costs on either path but for Step Functions itself.

    `wait_s` is how long the classifier waits for a busy endpoint.
    """

    def gb_seconds(path: Path) -> float:
        waits = {CLASSIFIER: wait_s}
        return sum(
            inputs.memory_gb(f) * (inputs.assume(FUNCTION_MS[f]) / 1000 + waits.get(f, 0)) for f in path.functions
        )

    def calls(service: str, *names: str) -> float:
        return expected(inputs, lambda path: sum(path.calls[service, name] for name in names)) * MILLION

    invocations = expected(inputs, lambda path: len(path.functions))
    function_log = inputs.assume("function_log_bytes") + inputs.assume("platform_log_bytes") * invocations
    rows = [
        row(inputs, "Lambda, invocations", invocations * MILLION, "lambda_request"),
        row(inputs, "Lambda, time", expected(inputs, gb_seconds) * MILLION, "lambda_gb_second"),
        row(inputs, "S3, reading pictures", inputs.assume("gets_per_picture") * MILLION, "s3_get"),
        row(inputs, "DynamoDB, ledger", calls("dynamodb", "putItem", "updateItem", "deleteItem"), "dynamodb_write"),
        row(inputs, "DynamoDB, reads", calls("dynamodb", "getItem"), "dynamodb_read"),
        row(inputs, "SQS, review queue", calls("sqs", "sendMessage"), "sqs_request"),
        row(inputs, "Logs of the functions", function_log * MILLION / GB, "logs_gb"),
    ]
    return [r for r in rows if r.quantity]


def workflow_log_bytes(inputs: Inputs, level: str) -> float:
    """Return the bytes that Step Functions logs of one picture's own execution."""
    return expected(inputs, lambda path: path.logged_events(level)) * inputs.assume("event_log_bytes")


def trace_rows(inputs: Inputs, machine: str, per_second: float) -> list[Row]:
    """Return the cost of tracing a state machine's executions; none if it is not traced."""
    if not inputs.traced(machine):
        return []
    return [row(inputs, "X-Ray", traced_share(inputs, per_second) * MILLION, "trace")]


def traced_share(inputs: Inputs, per_second: float) -> float:
    """Return which share of requests X-Ray records: the first of a second, and 5 % of the rest."""
    if per_second <= 1:
        return 1.0
    return (1 + inputs.assume("xray_fixed_rate") * (per_second - 1)) / per_second


def upload_rows(inputs: Inputs) -> list[Row]:
    """Return what it costs to put a million pictures into the bucket and keep them a month."""
    stored = inputs.assume("picture_bytes") * MILLION / GB
    return [
        row(inputs, "S3, upload", MILLION, "s3_put"),
        row(inputs, "EventBridge, the upload's event", MILLION, "eventbridge_event"),
        row(inputs, "S3, pictures kept for a month", stored, "s3_gb_month"),
    ]


def standard_rows(inputs: Inputs) -> list[Row]:
    """Return the standard path: an upload's event starts MyStateMachine."""
    transitions = expected(inputs, lambda path: len(path.states)) + inputs.assume("transitions_beyond_states")
    level = inputs.log_level("MyStateMachine")
    log = workflow_log_bytes(inputs, level)
    return [
        row(inputs, "Step Functions, transitions", transitions * MILLION, "transition"),
        *shared_rows(inputs, wait_s=0),
        row(inputs, f"Logs of the workflow ({level})", log * MILLION / GB, "logs_gb"),
        *trace_rows(inputs, "MyStateMachine", inputs.assume("standard_pictures_per_second")),
    ]


def batch_rows(inputs: Inputs) -> list[Row]:
    """Return the batch path for a million of a large batch's pictures, without the endpoint."""
    pace = speed(inputs)
    size = inputs.batch_size
    children = MILLION / size
    picture_s = expected(inputs, lambda path: billed_express_seconds(path_seconds(inputs, path) + pace.wait_s))
    nested_gb = express_gb(inputs.definition_bytes[SINGLE], PAYLOAD_BYTES)
    # At worst, each iteration of the Map over the pictures holds the child's whole input.
    child_gb = express_gb(inputs.definition_bytes[BATCH], longest_child_input_bytes(inputs) * size)
    child_s = billed_express_seconds(pace.child_s)
    gb_hours = (MILLION * picture_s * nested_gb + children * child_s * child_gb) / 3600
    level = inputs.log_level("MyExpressStateMachine")
    log = workflow_log_bytes(inputs, level) * MILLION
    if level == "ALL":
        log += child_events(inputs) * inputs.assume("event_log_bytes") * children
    # At worst a row per class and one for the rest; a transaction costs twice.
    count_units = min(size, inputs.assume("classes") + 1) * 2
    return [
        row(inputs, "Step Functions, starting children", children, "transition"),
        row(inputs, "Step Functions, Express starts", children + MILLION, "express_request"),
        row(inputs, "Step Functions, Express time", gb_hours, "express_gb_hour"),
        row(inputs, "S3, listing", MILLION / LISTED_PER_REQUEST, "s3_put"),
        *shared_rows(inputs, pace.wait_s),
        row(inputs, "DynamoDB, counts", children * count_units, "dynamodb_write"),
        row(inputs, f"Logs of the workflow ({level})", log / GB, "logs_gb"),
        *trace_rows(inputs, "MyExpressStateMachine", pace.pictures_per_second),
    ]


def parent_usd(inputs: Inputs) -> float:
    """Return what one run of the batch machine costs, without its children."""
    transitions = len(inputs.parent.states) + inputs.assume("transitions_beyond_states")
    return transitions * inputs.prices["transition"].usd + inputs.prices["s3_put"].usd  # and one listing


def billed_express_seconds(seconds: float) -> float:
    """Round up to what Express bills."""
    return math.ceil(round(seconds / EXPRESS_STEP_S, 6)) * EXPRESS_STEP_S


def express_gb(definition_bytes: float, payload_bytes: float) -> float:
    """Return the memory that an Express execution is billed for, in GB."""
    used = EXPRESS_BASE_MB + (definition_bytes + payload_bytes) / 1024**2
    return math.ceil(used / EXPRESS_STEP_MB) * EXPRESS_STEP_MB / 1024


def child_events(inputs: Inputs) -> int:
    """Return the events in the history of a child."""
    inner = inputs.iteration.events - EXECUTION_EVENTS  # an iteration starts and ends instead of an execution
    return inputs.child.events + INLINE_MAP_EVENTS + inputs.batch_size * (ITERATION_EVENTS + inner)


def longest_child_input_bytes(inputs: Inputs) -> int:
    """Return the size of a child's longest possible input, in which JSON escapes every byte of each key."""
    bucket, arn = 63, 300
    item = len('{"s3_bucket":"","s3_key":""},') + bucket + 6 * int(inputs.assume("key_bytes"))
    return len('{"BatchInput":{"batch":""},"Items":[]}') + arn + inputs.batch_size * item


def fixed_rows(inputs: Inputs) -> list[Row]:
    """Return what a month costs without any picture, but for the endpoint."""
    alarms = sum(alarm_metrics(a) for a in inputs.of_type("AWS::CloudWatch::Alarm"))
    dashboards = len(inputs.of_type("AWS::CloudWatch::Dashboard"))
    metrics = 3 * (1 + inputs.assume("classes"))  # Confidence, Accepted, Reviewed: of all pictures and of each class
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
    """Return what the notifications of that many failed pictures cost, with one e-mail subscriber."""
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
