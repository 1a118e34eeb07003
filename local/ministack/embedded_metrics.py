"""Metrics in the functions' log lines: CloudWatch's embedded metric format.

On AWS a log line that is a JSON object with `_aws.CloudWatchMetrics` becomes data points of the
metrics that it names. MiniStack 1.5.33 keeps the line and leaves CloudWatch without them; here they
are read where the log of a call passes. What AWS would not take as metrics stays a mere log line.
tests/integration/test_ministack_gaps.py fails when MiniStack closes the gap.
"""

import functools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

from ministack.services import lambda_svc

from local.ministack import metrics
from local.ministack.ministack_source import check_source

_MARK = '"_aws"'
_MOST_DIMENSIONS = 30  # in one set; CloudWatch refuses more
_MOST_VALUES = 100  # of one metric in one line


@dataclass(frozen=True)
class DataPoints:
    """What one log line says of one metric under one set of dimensions.

    Attributes:
        namespace: of the metric.
        name: of the metric.
        values: one or more, in `unit`.
        unit: as the line gives it, `None` without one.
        dimensions: name to value; empty for the metric as a whole.
        timestamp: seconds since 1970, or None where the line has none.
    """

    namespace: str
    name: str
    values: list[float]
    unit: str
    dimensions: dict[str, str]
    timestamp: float | None


def metrics_in(line: str) -> list[DataPoints]:
    """Return the data points that a log line asks for, none for an ordinary line."""
    if _MARK not in line:
        return []
    try:
        members = json.loads(line)
    except ValueError:
        return []
    about = members.get("_aws") if isinstance(members, dict) else None
    if not isinstance(about, dict):
        return []
    directives = about.get("CloudWatchMetrics")
    if not isinstance(directives, list):
        return []
    time = about.get("Timestamp")
    timestamp = time / 1000 if _is_number(time) else None
    return [
        points
        for directive in directives
        if isinstance(directive, dict)
        for points in _points(directive, members, timestamp)
    ]


def install() -> None:
    """Change MiniStack's Lambda in this process; call once, before the first call of a function.

    Raises:
        MiniStackChangedError: when MiniStack's version has changed.
    """
    emit = lambda_svc._emit_lambda_logs
    check_source(emit, "111efbf0", "local/ministack/embedded_metrics.py")

    @functools.wraps(emit)
    def emit_lambda_logs(func: dict[str, Any], request_id: str, log_text: str, *arguments: Any, **named: Any) -> None:
        emit(func, request_id, log_text, *arguments, **named)
        for line in (log_text or "").splitlines():
            for found in metrics_in(line):
                metrics.record(
                    found.namespace,
                    found.name,
                    found.values,
                    found.unit,
                    dimensions=found.dimensions,
                    timestamp=found.timestamp,
                )

    lambda_svc._emit_lambda_logs = emit_lambda_logs


def _points(directive: dict[str, Any], members: dict[str, Any], timestamp: float | None) -> Iterator[DataPoints]:
    namespace = directive.get("Namespace")
    definitions = directive.get("Metrics", [])
    if not isinstance(namespace, str) or not namespace or not isinstance(definitions, list):
        return
    for definition in definitions:
        name = definition.get("Name") if isinstance(definition, dict) else None
        values = _values(members.get(name)) if isinstance(name, str) else []
        if not values:
            continue
        unit = definition.get("Unit") or "None"
        for dimensions in _dimension_sets(directive.get("Dimensions", [[]]), members):
            yield DataPoints(namespace, str(name), values, unit, dimensions, timestamp)


def _values(target: Any) -> list[float]:
    """Return a metric's values, none for what is no number or no short list of numbers."""
    targets = target if isinstance(target, list) else [target]
    if len(targets) > _MOST_VALUES or not all(_is_number(value) for value in targets):
        return []
    return [float(value) for value in targets]


def _dimension_sets(sets: Any, members: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the sets whose names all have a text in the line, as CloudWatch takes them."""
    for names in sets if isinstance(sets, list) else []:
        if not isinstance(names, list) or len(names) > _MOST_DIMENSIONS:
            continue
        found = {name: members.get(name) for name in names if isinstance(name, str)}
        if len(found) == len(names) and all(isinstance(v, str) and v for v in found.values()):
            yield {name: str(value) for name, value in found.items()}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
