"""Evaluation of CloudWatch's alarms on one metric.

MiniStack evaluates an alarm only at PutMetricData, over the metrics of every dimension, and ignores `DatapointsToAlarm`
and `TreatMissingData`. The patch evaluates every alarm every two seconds, over its own metric, period by period. The
periods end now, while AWS's end with the minutes of the clock.
"""

import operator
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.services import cloudwatch

from local.ministack.patches import Patches

EVALUATION_SECONDS = 2.0
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
# With no data point in any period; `ignore` keeps the state.
_WITHOUT_DATA = {"notBreaching": "OK", "breaching": "ALARM", "missing": "INSUFFICIENT_DATA"}
_lock = threading.Lock()  # two evaluations at once would send two notifications of one change
patches = Patches(__name__)


def state_of(alarm: dict[str, Any], values: list[float | None]) -> str:
    """Return the state that follows from a metric's values.

    Args:
        alarm: as DescribeAlarms shows it.
        values: the statistic for each of the `EvaluationPeriods`, None for one without points.
    """
    treated = alarm.get("TreatMissingData") or "missing"
    found = [value for value in values if value is not None]
    if not found:
        return _WITHOUT_DATA.get(treated, str(alarm["StateValue"]))
    is_breaching = _OPERATORS[alarm["ComparisonOperator"]]
    breaching = sum(is_breaching(value, alarm["Threshold"]) for value in found)
    if treated == "breaching":
        breaching += len(values) - len(found)
    needed = alarm.get("DatapointsToAlarm") or alarm.get("EvaluationPeriods", 1)
    return "ALARM" if breaching >= needed else "OK"


@patches.replace(cloudwatch, "_evaluate_alarm", "a0b0acd3")
def _evaluate(alarm: dict[str, Any]) -> None:
    """Update the state of one alarm."""
    if alarm.get("ComparisonOperator") not in _OPERATORS:
        return
    with _lock:
        values = _values(alarm, time.time())
        before, after = alarm["StateValue"], state_of(alarm, values)
        if after == before:
            return
        named = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
        reason = (
            f"Threshold Crossed: {named} {values} {alarm['ComparisonOperator']} "
            f"{alarm['Threshold']}, newest period first"
        )
        alarm.update(StateValue=after, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
        cloudwatch._record_history(alarm["AlarmName"], before, after, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, after, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _values(alarm: dict[str, Any], now: float) -> list[float | None]:
    """Return the alarm's statistic for each of its periods, newest first."""
    dimensions = {entry["Name"]: entry["Value"] for entry in alarm.get("Dimensions") or []}
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    period, count = alarm.get("Period", 60), alarm.get("EvaluationPeriods", 1)
    periods: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for point in list(cloudwatch._metrics.get(key, ())):  # in any order of their times
        age = int((now - point["Timestamp"]) // period)
        if 0 <= age < count and alarm.get("Unit") in (None, "", point["Unit"]):
            periods[age].append(point)
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
    return [
        cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) if points else None
        for points in periods
    ]
