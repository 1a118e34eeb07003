"""CloudWatch's embedded metric format (EMF): metrics in the log lines of functions.

On AWS a log line that is a JSON object with `_aws.CloudWatchMetrics` becomes data points of the
metrics that it names. MiniStack only keeps the line; the patch records its metrics. A line that AWS
would not accept as metrics stays a log line.
"""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

from ministack.services import lambda_svc

from local.ministack import metrics
from local.ministack.patches import Patches

_MARK = '"_aws"'
patches = Patches(__name__)
_MAX_DIMENSIONS = 30  # in one set; CloudWatch refuses more
_MAX_VALUES = 100  # of one metric in one line


def metrics_in(line: str) -> list[dict[str, Any]]:
    """Return the metrics in a log line as arguments of `metrics.record`; an ordinary line has none."""
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


@patches.wrap(lambda_svc, "_emit_lambda_logs", "111efbf0")
def _record_metrics(emit: Callable[..., None]) -> Callable[..., None]:
    def emit_lambda_logs(func: dict[str, Any], request_id: str, log_text: str, *arguments: Any, **named: Any) -> None:
        emit(func, request_id, log_text, *arguments, **named)
        for line in (log_text or "").splitlines():
            for found in metrics_in(line):
                metrics.record(**found)

    return emit_lambda_logs


def _points(directive: dict[str, Any], members: dict[str, Any], timestamp: float | None) -> Iterator[dict[str, Any]]:
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
            yield {
                "namespace": namespace,
                "name": name,
                "values": values,
                "unit": unit,
                "dimensions": dimensions,
                "timestamp": timestamp,
            }


def _values(target: Any) -> list[float]:
    """Return the values of a metric; empty unless they are numbers, at most 100."""
    targets = target if isinstance(target, list) else [target]
    if len(targets) > _MAX_VALUES or not all(_is_number(value) for value in targets):
        return []
    return [float(value) for value in targets]


def _dimension_sets(sets: Any, members: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the sets of dimensions of which every name has a text in the line; CloudWatch drops the others."""
    for names in sets if isinstance(sets, list) else []:
        if not isinstance(names, list) or len(names) > _MAX_DIMENSIONS:
            continue
        found = {name: members.get(name) for name in names if isinstance(name, str)}
        if len(found) == len(names) and all(isinstance(v, str) and v for v in found.values()):
            yield {name: str(value) for name, value in found.items()}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
