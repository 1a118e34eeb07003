"""Publish the figures of the newest complete hour as CloudWatch metrics, for the alarms.

CloudWatch is asked first whether it has them: a second run would count every damaged line twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from common.errors import ExpectedError
from operations.monitoring.drift import Drift
from operations.monitoring.figures import SECONDS, moment, period_starts
from operations.monitoring.predictions import Predictions, Reading

HOUR, DAY = SECONDS["hour"], SECONDS["day"]
# An hour is published once, so its captures must have arrived: they do some minutes after the calls.
LATE = timedelta(minutes=15)
OLDEST = timedelta(days=14)  # that PutMetricData accepts, see its "Timestamp"


class NothingToPublishError(ExpectedError):
    """There is no complete hour for which CloudWatch still accepts metrics."""


class Hour(NamedTuple):
    """An hour, UTC: its start, its predictions, and those of the day that ends with it.

    Drift covers the whole day: the light of a single hour would differ from training.
    """

    start: datetime
    predictions: Predictions
    day: Predictions


def newest_hour(
    reading: Reading, now: datetime | None = None, since: datetime | None = None, until: datetime | None = None
) -> Hour:
    """Return the newest hour that ended at least LATE ago and was read completely, from `since` to `until`.

    It may have no calls, since its day may have drifted all the same. If the whole day has neither predictions nor
    damaged lines, it is the newest hour that has some. Raises NothingToPublishError.
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
            "Nothing was published: no complete hour of captured calls was read. Run it again 20 minutes past the hour."
        )
    start = moment(newest)
    if now - start > OLDEST:
        raise NothingToPublishError(
            f"Nothing was published: the newest calls are of {start:%Y-%m-%d}, and CloudWatch accepts nothing older"
            f" than {OLDEST.days} days."
        )
    day = (starts > newest - DAY) & (starts <= newest)
    return Hour(start, reading.predictions.select(starts == newest), reading.predictions.select(day))


def hour_metrics(
    hour: Hour, reading: Reading, threshold: float, drift: Drift | None, endpoint: str
) -> list[dict[str, Any]]:
    """Return the metrics of an hour in the shape of PutMetricData.

    DamagedLines counts the lines that SageMaker filed under that hour. Coverage and MeanConfidence are shares, left out
    without predictions. DriftDetected is 0 or 1, and DriftEffect of each feature in [0, 1]; both are of `drift`, that
    of the hour's day, and left out without a baseline or with too few pictures to compare.
    """

    def metric(name: str, value: float, unit: str = "None", **dimensions: str) -> dict[str, Any]:
        dimensions = {"EndpointName": endpoint, **dimensions}
        return {
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": text} for key, text in dimensions.items()],
            # In the hour's last minute: an alarm looks at the newest hour, and must not miss it.
            "Timestamp": hour.start + timedelta(seconds=HOUR - 60),
            "Value": value,
            "Unit": unit,
        }

    predictions = hour.predictions
    metrics = [metric("DamagedLines", float(reading.damaged_hours[hour.start.timestamp()]), "Count")]
    if len(predictions):
        metrics.append(metric("Coverage", float(predictions.accepted(threshold).mean())))
        metrics.append(metric("MeanConfidence", float(predictions.confidences.mean())))
    if drift is not None and drift.tested:
        metrics.append(metric("DriftDetected", float(drift.drifted)))
        metrics += [
            metric("DriftEffect", feature.effect, Feature=feature.name)
            for feature in drift.features
            if feature.effect is not None
        ]
    return metrics


def publish(cloudwatch: Any, namespace: str, metrics: Sequence[dict[str, Any]]) -> bool:
    """Send the metrics of one hour; return False if CloudWatch has them already."""
    first = metrics[0]
    start = first["Timestamp"].replace(minute=0)
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
    # One call, which takes 1,000, so that all of an hour's metrics are there or none.
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=list(metrics))
    return True
