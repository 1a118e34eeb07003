from typing import Any

import pytest
from ministack.services import cloudwatch

from local.ministack.alarms import _values, state_of


def alarm(**settings: Any) -> dict[str, Any]:
    return {
        "StateValue": "OK",
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 3,
    } | settings


@pytest.mark.parity("cloudwatch-alarms")
@pytest.mark.parametrize(
    ("comparison", "breaching", "normal"),
    [
        ("GreaterThanThreshold", 5.1, 5.0),
        ("GreaterThanOrEqualToThreshold", 5.0, 4.9),
        ("LessThanThreshold", 4.9, 5.0),
        ("LessThanOrEqualToThreshold", 5.0, 5.1),
    ],
)
def test_state_at_the_threshold_depends_on_the_comparison(comparison, breaching, normal):
    one = alarm(ComparisonOperator=comparison, EvaluationPeriods=1)
    assert (state_of(one, [breaching]), state_of(one, [normal])) == ("ALARM", "OK")


@pytest.mark.parity("cloudwatch-alarms", "cloudwatch-missing-data")
@pytest.mark.parametrize(
    ("settings", "values", "state"),
    [
        ({}, [9, 9, 9], "ALARM"),
        ({}, [9, 9, 1], "OK"),
        ({}, [9, 9, None], "OK"),
        ({}, [1, None, None], "OK"),
        ({"DatapointsToAlarm": 2}, [1, 9, 9], "ALARM"),
        ({"DatapointsToAlarm": 2}, [1, 1, 9], "OK"),
        ({"TreatMissingData": "breaching"}, [9, None, 9], "ALARM"),
        ({"TreatMissingData": "missing"}, [None, None, None], "INSUFFICIENT_DATA"),
        ({}, [None, None, None], "INSUFFICIENT_DATA"),
        ({"TreatMissingData": "notBreaching", "StateValue": "ALARM"}, [None, None, None], "OK"),
        ({"TreatMissingData": "breaching"}, [None, None, None], "ALARM"),
        ({"TreatMissingData": "ignore", "StateValue": "ALARM"}, [None, None, None], "ALARM"),
    ],
)
def test_state_follows_from_breaching_and_missing_periods(settings, values, state):
    assert state_of(alarm(**settings), values) == state


def test_values_of_unordered_points_are_grouped_by_time(monkeypatch):
    """EMF or PutMetricData may add an old data point after a new one."""
    now = 1_000_000.0
    points = [
        {"Timestamp": now - seconds, "Value": value, "Unit": "Count"}
        for seconds, value in ((10, 9.0), (70, 1.0), (20, 3.0), (7200, 5.0), (-30, 7.0))
    ]
    key = ("AWS/Lambda", "Errors", cloudwatch._dims_key({}))
    monkeypatch.setitem(cloudwatch._metrics, key, points)
    errors = {"Namespace": "AWS/Lambda", "MetricName": "Errors", "Statistic": "Maximum"}
    settings = alarm(Period=60, EvaluationPeriods=3, **errors)
    assert _values(settings, now) == [9.0, 1.0, None]
