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
    ("comparison", "breaching", "well"),
    [
        ("GreaterThanThreshold", 5.1, 5.0),
        ("GreaterThanOrEqualToThreshold", 5.0, 4.9),
        ("LessThanThreshold", 4.9, 5.0),
        ("LessThanOrEqualToThreshold", 5.0, 5.1),
    ],
)
def test_the_edge_of_each_comparison(comparison: str, breaching: float, well: float) -> None:
    one = alarm(ComparisonOperator=comparison, EvaluationPeriods=1)
    assert (state_of(one, [breaching]), state_of(one, [well])) == ("ALARM", "OK")


@pytest.mark.parity("cloudwatch-alarms")
@pytest.mark.parametrize(
    ("values", "state"),
    [([9, 9, 9], "ALARM"), ([9, 9, 1], "OK"), ([9, 9, None], "OK"), ([1, None, None], "OK")],
)
def test_every_period_must_breach(values: list[float | None], state: str) -> None:
    assert state_of(alarm(), values) == state


@pytest.mark.parametrize(("values", "state"), [([1, 9, 9], "ALARM"), ([1, 1, 9], "OK")])
def test_some_of_the_periods_may_be_enough(values: list[float | None], state: str) -> None:
    assert state_of(alarm(DatapointsToAlarm=2), values) == state


@pytest.mark.parity("cloudwatch-missing-data")
@pytest.mark.parametrize(
    ("treated", "state"),
    [
        ("missing", "INSUFFICIENT_DATA"),
        (None, "INSUFFICIENT_DATA"),
        ("notBreaching", "OK"),
        ("breaching", "ALARM"),
        ("ignore", "ALARM"),
    ],
)
def test_without_any_data(treated: str | None, state: str) -> None:
    quiet = alarm(TreatMissingData=treated, StateValue="ALARM")
    assert state_of(quiet, [None, None, None]) == state


@pytest.mark.parity("cloudwatch-missing-data")
def test_a_period_without_data_can_count_as_breaching() -> None:
    assert state_of(alarm(TreatMissingData="breaching"), [9, None, 9]) == "ALARM"


def test_points_count_by_their_time_and_not_by_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A metric filter, EMF or PutMetricData may add a point of hours ago after one of now."""
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
