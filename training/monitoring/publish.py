"""Publish an hour's figures as CloudWatch metrics, for the alarms.

The hour is the newest that is over and in which anything was captured. CloudWatch is asked first
whether it has them, so that a second run adds nothing: a sum would count every damaged line twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from training.errors import ExpectedError
from training.monitoring.comparison import tested
from training.monitoring.drift import Drift
from training.monitoring.periods import SECONDS, moment, period_starts
from training.monitoring.predictions import Predictions, Reading

HOUR = SECONDS["hour"]
# CloudWatch takes no older ones: PutMetricData, "Timestamp".
OLDEST = timedelta(days=14)


class NothingToPublishError(ExpectedError):
    """No hour is over that CloudWatch would take figures of."""


class Hour(NamedTuple):
    """An hour, UTC: when it begins, and its predictions."""

    start: datetime
    predictions: Predictions


def newest_hour(reading: Reading, now: datetime | None = None) -> Hour:
    """Return the newest hour that is over and has predictions or damaged lines.

    Raises NothingToPublishError.
    """
    now = now or datetime.now(UTC)
    starts = period_starts(reading.predictions.times, "hour")
    over = [
        start for start in {*starts.tolist(), *reading.damaged_hours}
        if start + HOUR <= now.timestamp()
    ]  # fmt: skip
    if not over:
        raise NothingToPublishError(
            "Nothing was published: no hour with captured calls is over yet. Run it again after the"
            " full hour."
        )
    start = moment(max(over))
    if now - start > OLDEST:
        raise NothingToPublishError(
            f"Nothing was published: the newest calls are of {start:%Y-%m-%d}, and CloudWatch takes"
            f" nothing older than {OLDEST.days} days."
        )
    return Hour(start, reading.predictions.chosen(starts == max(over)))


def hour_metrics(
    hour: Hour, reading: Reading, threshold: float, drift: Drift | None, endpoint: str
) -> list[dict[str, Any]]:
    """Return the metrics of an hour in the shape of PutMetricData.

    DamagedLines is a count of the lines that SageMaker filed under that hour, Coverage and
    MeanConfidence are shares. DriftDetected is 0 or 1, and DriftEffect of each feature in [0, 1];
    without a baseline, or with too few pictures to compare, there are neither, and without a
    prediction there is none of the four.
    """
    own = [{"Name": "EndpointName", "Value": endpoint}]
    # In the hour's last minute: an alarm looks at the newest hour, and must not miss it.
    time = hour.start + timedelta(seconds=HOUR - 60)

    def metric(
        name: str, value: float, unit: str, more: Sequence[dict[str, str]] = ()
    ) -> dict[str, Any]:
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
            metric(
                "DriftEffect", feature.effect, "None", [{"Name": "Feature", "Value": feature.name}]
            )
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
