"""CloudWatch metrics of services that MiniStack leaves without them.

`record` is the one way in which the laptop's AWS itself adds a data point. MiniStack keeps its
points in lists that it makes and replaces without a lock, while here many threads add to them, so
`install` changes the two functions that do it.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ministack.services import cloudwatch

from local.ministack.ministack_source import check_source

_KEPT_SECONDS = cloudwatch.TWO_WEEKS_SECONDS


def record(
    namespace: str,
    name: str,
    values: float | Sequence[float],
    unit: str = "None",
    *,
    dimensions: Mapping[str, str] | None = None,
    timestamp: float | None = None,
) -> None:
    """Add one data point, or several of one metric at one time.

    Args:
        namespace: for example `AWS/SageMaker`.
        name: the metric's name.
        values: in `unit`.
        unit: one of CloudWatch's, for example `Count`, `Milliseconds`.
        dimensions: name to value; another set is another metric.
        timestamp: seconds since 1970, now without one.
    """
    named = dict(dimensions or {})
    points = cloudwatch._metric_bucket((namespace, name, cloudwatch._dims_key(named)))
    when = time.time() if timestamp is None else timestamp
    for value in values if isinstance(values, Sequence) else [values]:
        points.append({"Timestamp": when, "Value": float(value), "Unit": unit, "Dimensions": named})


def install() -> None:
    """Change MiniStack's CloudWatch in this process; call once, before the first data point.

    Raises:
        MiniStackChangedError: when MiniStack's version has changed.
    """
    check_source(cloudwatch._metric_bucket, "be62c5f1", "local/ministack/metrics.py")
    check_source(cloudwatch._evict_old_metrics, "cf47bc15", "local/ministack/metrics.py")
    cloudwatch._metric_bucket = _points
    cloudwatch._evict_old_metrics = _forget_old_points


def _points(key: tuple[str, str, str]) -> list[dict[str, Any]]:
    """Return the list of a metric's points, made in one step if there is none."""
    points: list[dict[str, Any]] = cloudwatch._metrics.setdefault(key, [])
    return points


def _forget_old_points() -> None:
    """Drop what is older than two weeks, in the lists themselves: others are adding to them."""
    cutoff = time.time() - _KEPT_SECONDS
    for _, points in cloudwatch._metrics.items():
        while points and points[0]["Timestamp"] < cutoff:
            points.pop(0)
