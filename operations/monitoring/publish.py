"""Publish an hour's figures as CloudWatch metrics, for the alarms.

The hour is the newest that is over. CloudWatch is asked first whether it has them, so that a second
run adds nothing: a sum would count every damaged line twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from common.errors import ExpectedError
from operations.monitoring.comparison import tested
from operations.monitoring.drift import Drift
from operations.monitoring.periods import SECONDS, moment, period_starts
from operations.monitoring.predictions import Predictions, Reading

HOUR, DAY = SECONDS["hour"], SECONDS["day"]
# An hour is published once, so its captures have to be there: they arrive some minutes after calls.
LATE = timedelta(minutes=15)
# CloudWatch takes no older ones: PutMetricData, "Timestamp".
OLDEST = timedelta(days=14)


class NothingToPublishError(ExpectedError):
    """No hour is over that CloudWatch would take figures of."""


class Hour(NamedTuple):
    """An hour, UTC: when it begins, its predictions, and those of the DAY that ends with it.

    Drift covers the whole day: the light of a single hour would differ from training.
    """

    start: datetime
    predictions: Predictions
    day: Predictions


def newest_hour(
    reading: Reading,
    now: datetime | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Hour:
    """Return the newest hour that is over, LATE ago at least, and was read from `since` to `until`.

    It may be one without calls, since its day may have drifted all the same. Where the whole day
    has neither predictions nor damaged lines, it is the newest hour that has some.

    Raises NothingToPublishError.
    """
    now = now or datetime.now(UTC)
    starts = period_starts(reading.predictions.times, "hour")
    settled = min(now - LATE, until or now).timestamp()
    newest = settled // HOUR * HOUR - HOUR
    captured = [start for start in {*starts.tolist(), *reading.damaged_hours} if start <= newest]
    if captured and max(captured) <= newest - DAY:
        newest = max(captured)
    if not captured or (since is not None and newest < since.timestamp()):
        raise NothingToPublishError(
            "Nothing was published: no full hour of captured calls is over and was read. Run it"
            " again 20 minutes past the full hour."
        )
    start = moment(newest)
    if now - start > OLDEST:
        raise NothingToPublishError(
            f"Nothing was published: the newest calls are of {start:%Y-%m-%d}, and CloudWatch takes"
            f" nothing older than {OLDEST.days} days."
        )
    day = (starts > newest - DAY) & (starts <= newest)
    return Hour(start, reading.predictions.chosen(starts == newest), reading.predictions.chosen(day))


def hour_metrics(
    hour: Hour, reading: Reading, threshold: float, drift: Drift | None, endpoint: str
) -> list[dict[str, Any]]:
    """Return the metrics of an hour in the shape of PutMetricData.

    DamagedLines is a count of the lines that SageMaker filed under that hour, Coverage and
    MeanConfidence are shares; without a prediction there are neither. DriftDetected is 0 or 1, and
    DriftEffect of each feature in [0, 1], both of `drift`, that of the hour's day; without a
    baseline, or with too few pictures to compare, there are neither.
    """
    own = [{"Name": "EndpointName", "Value": endpoint}]
    # In the hour's last minute: an alarm looks at the newest hour, and must not miss it.
    time = hour.start + timedelta(seconds=HOUR - 60)

    def metric(name: str, value: float, unit: str, more: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
        return {
            "MetricName": name,
            "Dimensions": [*own, *more],
            "Timestamp": time,
            "Value": value,
            "Unit": unit,
        }

    damaged = reading.damaged_hours[hour.start.timestamp()]
    predictions = hour.predictions
    metrics = [metric("DamagedLines", float(damaged), "Count")]
    if len(predictions):
        metrics += [
            metric("Coverage", float(np.mean(predictions.accepted(threshold))), "None"),
            metric("MeanConfidence", float(np.mean(predictions.confidences)), "None"),
        ]
    if drift is not None and tested(drift):
        metrics.append(metric("DriftDetected", float(drift.drifted), "None"))
        metrics += [
            metric("DriftEffect", feature.effect, "None", [{"Name": "Feature", "Value": feature.name}])
            for feature in drift.features
            if feature.effect is not None
        ]
    return metrics


def publish(cloudwatch: Any, namespace: str, metrics: Sequence[dict[str, Any]]) -> bool:
    """Send the metrics of one hour; return False where CloudWatch has them already."""
    first = metrics[0]
    start = first["Timestamp"].replace(minute=0, second=0, microsecond=0)
    known = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=first["MetricName"],
        Dimensions=first["Dimensions"],
        StartTime=start,
        EndTime=start + timedelta(seconds=HOUR),
        Period=HOUR,
        Statistics=["SampleCount"],
    )
    if known["Datapoints"]:
        return False
    # One call, so that all of an hour's metrics are there or none: it takes 1,000.
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=list(metrics))
    return True
