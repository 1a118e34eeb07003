"""CloudWatch's embedded metric format (EMF): metrics in the log lines of functions.

MiniStack only keeps a log line with `_aws.CloudWatchMetrics`; the patch records its metrics. A line that AWS would
not accept as metrics stays a log line.
"""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import lambda_svc

from local.ministack import metrics
from local.ministack.patches import Patches

patches = Patches(__name__)
_MAX_DIMENSIONS = 30  # in one set; CloudWatch refuses more
_MAX_VALUES = 100  # of one metric in one line


def metrics_in(line: str) -> list[dict[str, Any]]:
    """Return the metrics in a log line as arguments of `metrics.record`; an ordinary line has none."""
    if '"_aws"' not in line:
        return []
    try:
        return list(_metrics(json.loads(line)))
    except (ValueError, TypeError, KeyError, AttributeError):  # not JSON, or not of the format
        return []


@patches.wrap(lambda_svc, "_emit_lambda_logs", "111efbf0")
def _record_metrics(emit: Callable[..., None]) -> Callable[..., None]:
    def emit_lambda_logs(func: dict[str, Any], request_id: str, log_text: str, *arguments: Any, **named: Any) -> None:
        emit(func, request_id, log_text, *arguments, **named)
        for line in (log_text or "").splitlines():
            for found in metrics_in(line):
                metrics.record(**found)

    return emit_lambda_logs


def _metrics(members: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for directive in members["_aws"]["CloudWatchMetrics"]:
        namespace = directive["Namespace"]
        for definition in directive["Metrics"]:
            values = members.get(definition["Name"])
            values = values if isinstance(values, list) else [values]
            valid = len(values) <= _MAX_VALUES and all(map(_is_number, values))
            if not valid or not namespace or not isinstance(namespace, str):
                continue
            for names in directive.get("Dimensions", [[]]):
                dimensions = {name: members.get(name) for name in names}
                # CloudWatch drops a set with a name that has no text in the line.
                if len(names) <= _MAX_DIMENSIONS and all(isinstance(v, str) and v for v in dimensions.values()):
                    yield {
                        "namespace": namespace,
                        "name": definition["Name"],
                        "values": [float(value) for value in values],
                        "unit": definition.get("Unit") or "None",
                        "dimensions": dimensions,
                        "timestamp": members["_aws"]["Timestamp"] / 1000,
                    }


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
