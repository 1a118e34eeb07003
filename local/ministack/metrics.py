"""CloudWatch metrics of services for which MiniStack has none.

MiniStack replaces its lists of data points without a lock, while many threads add to them; the patched functions only
ever change a list in place.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ministack.services import cloudwatch

from local.ministack.patches import Patches

patches = Patches(__name__)


def record(
    namespace: str,
    name: str,
    values: float | Sequence[float],
    unit: str = "None",
    *,
    dimensions: Mapping[str, str] | None = None,
    timestamp: float | None = None,
) -> None:
    """Add one or more data points with the same timestamp to a metric.

    The unit is one of CloudWatch, such as `Count`, the timestamp in seconds since 1970, by default now. Each set of
    dimensions, name to value, is a separate metric.
    """
    named = dict(dimensions or {})
    points = cloudwatch._metric_bucket((namespace, name, cloudwatch._dims_key(named)))
    when = time.time() if timestamp is None else timestamp
    for value in values if isinstance(values, Sequence) else [values]:
        points.append({"Timestamp": when, "Value": float(value), "Unit": unit, "Dimensions": named})


@patches.replace(cloudwatch, "_metric_bucket", "be62c5f1")
def _data_points(key: tuple[str, str, str]) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = cloudwatch._metrics.setdefault(key, [])
    return points


@patches.replace(cloudwatch, "_evict_old_metrics", "cf47bc15")
def _drop_old_data_points() -> None:
    cutoff = time.time() - cloudwatch.TWO_WEEKS_SECONDS
    for _, points in cloudwatch._metrics.items():
        while points and points[0]["Timestamp"] < cutoff:
            points.pop(0)
