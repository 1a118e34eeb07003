"""Metrics of the newest complete hour are sent once."""

from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import numpy as np
import pytest

from operations.monitor import main
from operations.monitoring.comparison import as_sample
from operations.monitoring.drift import compare
from operations.monitoring.publish import NothingToPublishError, hour_metrics, newest_hour, publish
from tests.unit.aws_stubs import StubbedSession, allow_unused_responses, stubbed
from tests.unit.operations.captures import BEGIN, line, named, read, write, write_hours

MINUTE = timedelta(minutes=1)
NOW = BEGIN + timedelta(hours=2, minutes=30)  # in the third hour
SECOND = BEGIN + timedelta(hours=1)


@pytest.fixture
def reading(tmp_path):
    write_hours(tmp_path, hours=3)
    write(tmp_path, [b"{\n"] * 4, SECOND, name="damaged")
    write(tmp_path, [b"{\n"] * 2, BEGIN, name="damaged")
    return read(tmp_path)


@pytest.mark.parametrize(
    ("now", "since", "until", "start"),
    [
        (BEGIN + 134 * MINUTE, None, None, BEGIN),  # captures may arrive a quarter of an hour late
        (BEGIN + 135 * MINUTE, None, None, SECOND),
        (BEGIN + 194 * MINUTE, None, None, SECOND),
        (BEGIN + timedelta(days=2), None, None, BEGIN + timedelta(hours=2)),  # a day without calls
        (NOW, SECOND, None, SECOND),
        (NOW, None, SECOND + 60 * MINUTE, SECOND),
        (NOW, None, SECOND + 59 * MINUTE, BEGIN),
        (NOW, BEGIN, SECOND + 59 * MINUTE, BEGIN),
        (NOW, None, NOW + timedelta(days=1), SECOND),  # in the future
    ],
)
def test_newest_hour_is_settled_and_read_completely(reading, now, since, until, start):
    assert newest_hour(reading, now, since, until).start == start


@pytest.mark.parametrize(
    ("now", "since", "until", "message"),
    [
        (BEGIN + 74 * MINUTE, None, None, "again 20 minutes past the hour"),
        (NOW, SECOND + MINUTE, None, "no complete hour"),  # the second hour was read in part
        (NOW, BEGIN + MINUTE, SECOND + 59 * MINUTE, "no complete hour"),
        (NOW + timedelta(days=15), None, None, "nothing older than 14 days"),
    ],
)
def test_newest_hour_incomplete_or_too_old_is_not_published(reading, now, since, until, message):
    with pytest.raises(NothingToPublishError, match=message):
        newest_hour(reading, now, since, until)


def test_newest_hour_without_captures_is_not_published(tmp_path):
    with pytest.raises(NothingToPublishError):
        newest_hour(read(tmp_path), NOW)


def test_newest_hour_has_the_day_that_ends_with_it(tmp_path):
    times = [BEGIN + timedelta(minutes=30 * call) for call in range(60)]
    write(tmp_path, [line(named(car=0.9, van=0.1), time=time) for time in times])
    end = BEGIN + timedelta(hours=29)

    hour = newest_hour(read(tmp_path), end + timedelta(minutes=20))

    assert hour.start == end - timedelta(hours=1)
    assert len(hour.predictions) == 2
    assert len(hour.day) == 48
    assert hour.day.times.min() == (end - timedelta(days=1)).timestamp()
    assert hour.day.times.max() < end.timestamp()


def test_hour_metrics_of_quiet_hour_have_the_drift_of_its_day(reading):
    """Otherwise an endpoint without calls at night could never drift for over half a day."""
    hour = newest_hour(reading, BEGIN + timedelta(hours=20, minutes=30))
    drift = compare(as_sample(reading.predictions, "before"), as_sample(hour.day, "now"))

    names = {metric["MetricName"] for metric in hour_metrics(hour, reading, 0.9, drift, "scones")}

    assert hour.start == BEGIN + timedelta(hours=19)
    assert (len(hour.predictions), len(hour.day)) == (0, 36)
    assert names == {"DamagedLines", "DriftDetected", "DriftEffect"}


def test_hour_metrics_equal_the_figures_of_the_hour(reading):
    hour = newest_hour(reading, NOW)
    drift = compare(as_sample(reading.predictions, "before"), as_sample(hour.predictions, "now"))

    metrics = hour_metrics(hour, reading, 0.905, drift, "scones")

    found = {
        (metric["MetricName"], *(d["Value"] for d in metric["Dimensions"][1:])): metric["Value"] for metric in metrics
    }
    # Confidences of the second hour are .94 and less.
    confidences = [0.94 - 0.01 * (call % 7) for call in range(12)]
    assert found["MeanConfidence",] == pytest.approx(np.mean(confidences))
    assert found["Coverage",] == pytest.approx(np.mean(np.array(confidences) > 0.905))
    assert found["DamagedLines",] == 4
    assert found["DriftDetected",] == float(drift.drifted)
    effects = {f.name: f.effect for f in drift.features if f.effect is not None}
    assert {key[1]: v for key, v in found.items() if key[0] == "DriftEffect"} == effects
    assert {"confidence", "class mix", "brightness", "format"} <= set(effects)
    for metric in metrics:
        assert metric["Dimensions"][0] == {"Name": "EndpointName", "Value": "scones"}
        assert metric["Timestamp"] == datetime(2026, 11, 20, 15, 59, tzinfo=UTC)
        assert set(metric) == set(metrics[0])


def test_hour_metrics_without_tested_drift_leave_it_out(tmp_path, reading):
    write_hours(tmp_path / "few", hours=2, each=3)
    few = read(tmp_path / "few")
    hour = newest_hour(few, NOW)
    untested = compare(as_sample(reading.predictions, "before"), as_sample(hour.predictions, "now"))

    for drift in (untested, None):
        metrics = hour_metrics(hour, few, 0.9, drift, "scones")

        assert [metric["MetricName"] for metric in metrics] == ["DamagedLines", "Coverage", "MeanConfidence"]


def test_hour_metrics_of_damaged_lines_alone_count_them(tmp_path):
    write_hours(tmp_path, hours=1)
    write(tmp_path, [b"{\n"] * 3, SECOND)

    hour = newest_hour(read(tmp_path), NOW)

    assert hour.start == SECOND
    [metric] = hour_metrics(hour, read(tmp_path), 0.9, None, "scones")
    assert (metric["MetricName"], metric["Value"]) == ("DamagedLines", 3)


@pytest.mark.parametrize(("known", "sent"), [([], True), ([{"SampleCount": 1.0}], False)])
def test_publish_sends_an_hour_once(reading, known, sent):
    hour = newest_hour(reading, NOW)
    metrics = hour_metrics(hour, reading, 0.9, None, "scones")
    cloudwatch, stubber = stubbed("cloudwatch")
    stubber.add_response(
        "get_metric_statistics",
        {"Datapoints": known},
        {
            "Namespace": "stack",
            "MetricName": "DamagedLines",
            "Dimensions": [{"Name": "EndpointName", "Value": "scones"}],
            "StartTime": SECOND,
            "EndTime": SECOND + timedelta(hours=1),
            "Period": 3600,
            "Statistics": ["SampleCount"],
        },
    )
    if sent:
        stubber.add_response("put_metric_data", {}, {"Namespace": "stack", "MetricData": metrics})

    assert publish(cloudwatch, "stack", metrics) is sent


@pytest.fixture
def options(tmp_path, monkeypatch):
    """Return options of a run with captures of a complete hour, which CloudWatch refuses metrics of."""
    session = StubbedSession()
    session.stub("cloudwatch").add_client_error("get_metric_statistics", "AccessDenied", "no permission for cloudwatch")
    monkeypatch.setattr("boto3.Session", lambda: session)
    write_hours(tmp_path / "captures", hours=2, begin=datetime.now(UTC) - timedelta(hours=5))
    options = ["--captures", str(tmp_path / "captures"), "--out", str(tmp_path / "out"), "--publish"]
    return [*options, "--baseline", "none", "--threshold", "0.9"]


def test_monitor_writes_the_report_when_publishing_is_refused(options, tmp_path, capsys):
    assert main(options) == 1

    printed = capsys.readouterr()
    assert f"Wrote monitor.html and monitor.json to {tmp_path / 'out'}" in printed.out
    assert "monitor: An error occurred (AccessDenied)" in printed.err
    assert (tmp_path / "out/monitor.html").exists()


@pytest.mark.parametrize(
    ("stopped", "files", "message"),
    [
        ("shown_pictures", set(), "nothing was written"),
        ("write_json", {"monitor.html"}, "monitor.html was written; metrics may not be published"),
        (
            "publish.publish",
            {"monitor.html", "monitor.json"},
            "monitor.html and monitor.json were written; metrics may not be published",
        ),
    ],
)
def test_monitor_interrupted_says_what_replaced_the_old_report(
    options, tmp_path, capsys, monkeypatch, stopped, files, message
):
    (tmp_path / "out").mkdir()
    for name in ("monitor.html", "monitor.json"):
        (tmp_path / "out" / name).write_text("old")
    monkeypatch.setattr(f"operations.monitoring.run.{stopped}", Mock(side_effect=KeyboardInterrupt))

    assert main(options) == 130
    allow_unused_responses()
    assert f"monitor: interrupted; {message}" in capsys.readouterr().err
    report = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert set(report) == {"monitor.html", "monitor.json"}
    assert {name for name, content in report.items() if content != "old"} == files
