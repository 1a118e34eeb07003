"""Metrics of the newest full hour, sent once."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from operations.monitor import main
from operations.monitoring.comparison import as_sample
from operations.monitoring.drift import compare
from operations.monitoring.publish import (
    NothingToPublishError,
    hour_metrics,
    newest_hour,
    publish,
)
from tests.unit.aws_stubs import StubbedSession, stubbed
from tests.unit.operations.captures import BEGIN, line, named, read, write, write_hours

NOW = BEGIN + timedelta(hours=2, minutes=30)  # in the third hour
SECOND = BEGIN + timedelta(hours=1)


@pytest.fixture
def reading(tmp_path):
    write_hours(tmp_path, hours=3)
    write(tmp_path, [b"{\n"] * 4, SECOND, name="damaged")
    write(tmp_path, [b"{\n"] * 2, BEGIN, name="damaged")
    return read(tmp_path)


def test_the_newest_hour_that_is_over_is_chosen(reading):
    hour = newest_hour(reading, NOW)

    assert hour.start == SECOND
    assert len(hour.predictions) == 12
    assert hour.predictions.times.min() >= SECOND.timestamp()
    assert hour.predictions.times.max() < (SECOND + timedelta(hours=1)).timestamp()


@pytest.mark.parametrize(("minutes", "hour"), [(134, BEGIN), (135, SECOND), (194, SECOND)])
def test_captures_that_come_late_are_waited_for(reading, minutes, hour):
    assert newest_hour(reading, BEGIN + timedelta(minutes=minutes)).start == hour


def test_an_hour_that_is_not_over_is_none(reading):
    with pytest.raises(NothingToPublishError, match="again 20 minutes past the full hour"):
        newest_hour(reading, BEGIN + timedelta(minutes=74))


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("since", "until", "start"),
    [
        (SECOND, None, SECOND),
        (SECOND + MINUTE, None, None),  # the second hour was read in part
        (None, SECOND + 60 * MINUTE, SECOND),
        (None, SECOND + 59 * MINUTE, BEGIN),
        (BEGIN, SECOND + 59 * MINUTE, BEGIN),
        (BEGIN + MINUTE, SECOND + 59 * MINUTE, None),
        (None, NOW + timedelta(days=1), SECOND),  # to come
    ],
)
def test_an_hour_that_was_read_in_part_is_none(reading, since, until, start):
    if start is not None:
        assert newest_hour(reading, NOW, since, until).start == start
        return
    with pytest.raises(NothingToPublishError, match="no full hour"):
        newest_hour(reading, NOW, since, until)


def test_drift_is_that_of_the_day_that_ends_with_the_hour(tmp_path):
    times = [BEGIN + timedelta(minutes=30 * call) for call in range(60)]
    write(tmp_path, [line(named(car=0.9, van=0.1), time=time) for time in times])
    end = BEGIN + timedelta(hours=29)

    hour = newest_hour(read(tmp_path), end + timedelta(minutes=20))

    assert hour.start == end - timedelta(hours=1)
    assert len(hour.predictions) == 2
    assert len(hour.day) == 48
    assert hour.day.times.min() == (end - timedelta(days=1)).timestamp()
    assert hour.day.times.max() < end.timestamp()


def test_a_quiet_hour_still_tells_the_drift_of_its_day(reading):
    """Else a place without calls at night could never drift for over half of a day."""
    hour = newest_hour(reading, BEGIN + timedelta(hours=20, minutes=30))
    drift = compare(as_sample(reading.predictions, "before"), as_sample(hour.day, "now"))

    found = {m["MetricName"] for m in hour_metrics(hour, reading, 0.9, drift, "scones")}

    assert hour.start == BEGIN + timedelta(hours=19)
    assert (len(hour.predictions), len(hour.day)) == (0, 36)
    assert found == {"DamagedLines", "DriftDetected", "DriftEffect"}


def test_after_a_day_without_calls_the_newest_calls_are_published(reading):
    assert newest_hour(reading, BEGIN + timedelta(days=2)).start == BEGIN + timedelta(hours=2)


def test_what_cloudwatch_would_not_take_is_not_sent(reading):
    with pytest.raises(NothingToPublishError, match="nothing older than 14 days"):
        newest_hour(reading, NOW + timedelta(days=15))


def test_nothing_captured_is_nothing_to_publish(tmp_path):
    with pytest.raises(NothingToPublishError):
        newest_hour(read(tmp_path), NOW)


def test_the_metrics_are_the_hours_figures(reading):
    hour = newest_hour(reading, NOW)
    fine, bad = as_sample(reading.predictions, "before"), as_sample(hour.predictions, "now")
    drift = compare(fine, bad)

    metrics = hour_metrics(hour, reading, 0.905, drift, "scones")

    found = {
        (metric["MetricName"], *(d["Value"] for d in metric["Dimensions"][1:])): metric["Value"] for metric in metrics
    }
    # The second hour is 0.94 sure and less.
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
    assert len(Counter(tuple(sorted(m)) for m in metrics)) == 1


def test_too_few_pictures_say_nothing_about_drift(tmp_path):
    write_hours(tmp_path / "now", hours=2, each=3)
    write_hours(tmp_path / "fine")
    few, fine = read(tmp_path / "now"), read(tmp_path / "fine")
    hour = newest_hour(few, NOW)
    drift = compare(as_sample(fine.predictions, "before"), as_sample(hour.predictions, "now"))

    metrics = hour_metrics(hour, few, 0.9, drift, "scones")

    assert [m["MetricName"] for m in metrics] == ["DamagedLines", "Coverage", "MeanConfidence"]


def test_without_a_baseline_there_is_no_metric_about_drift(reading):
    hour = newest_hour(reading, NOW)

    metrics = hour_metrics(hour, reading, 0.9, None, "scones")

    assert [m["MetricName"] for m in metrics] == ["DamagedLines", "Coverage", "MeanConfidence"]


@pytest.mark.parametrize(("known", "sent"), [([], True), ([{"SampleCount": 1.0}], False)])
def test_an_hour_is_sent_once(reading, known, sent):
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
    stubber.assert_no_pending_responses()


def test_an_hour_of_damaged_lines_alone_is_published(tmp_path):
    write_hours(tmp_path, hours=1)
    write(tmp_path, [b"{\n"] * 3, SECOND)

    hour = newest_hour(read(tmp_path), NOW)

    assert hour.start == SECOND
    [metric] = hour_metrics(hour, read(tmp_path), 0.9, None, "scones")
    assert (metric["MetricName"], metric["Value"]) == ("DamagedLines", 3)


@pytest.fixture
def options(tmp_path, monkeypatch):
    """A run with captures of an hour that is over, and a report to be written to tmp_path/out."""
    session = StubbedSession()
    session.stub("cloudwatch").add_client_error("get_metric_statistics", "AccessDenied", "no permission for cloudwatch")
    monkeypatch.setattr("boto3.Session", lambda: session)
    write_hours(tmp_path / "captures", hours=2, begin=datetime.now(UTC) - timedelta(hours=5))
    return [
        "--captures",
        str(tmp_path / "captures"),
        "--out",
        str(tmp_path / "out"),
        "--baseline",
        "none",
        "--threshold",
        "0.9",
        "--publish",
    ]


def test_a_report_that_cannot_be_published_is_written_and_said_to_be(options, tmp_path, capsys):
    assert main(options) == 1

    said = capsys.readouterr()
    assert f"Wrote monitor.html and monitor.json to {tmp_path / 'out'}" in said.out
    assert "monitor: An error occurred (AccessDenied)" in said.err
    assert (tmp_path / "out/monitor.html").exists()


@pytest.mark.parametrize(
    ("stopped", "files", "words"),
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
def test_an_interrupt_says_what_is_there(options, tmp_path, capsys, monkeypatch, stopped, files, words):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"operations.monitoring.run.{stopped}", interrupted)

    assert main(options) == 130
    assert f"monitor: interrupted; {words}" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "out").glob("*")} == files
