"""Alarms and dashboard use existing metrics, with justified thresholds.

tests/integration/test_alarms.py shows that each alarm goes off.
"""

import importlib
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from operations.monitoring.capture_locations import FolderCaptures
from operations.monitoring.comparison import as_sample
from operations.monitoring.drift import compare
from operations.monitoring.publish import hour_metrics, newest_hour
from operations.monitoring.reading import read_captures
from tests.unit.operations.captures import BEGIN, write_hours
from tests.unit.template.test_consistency import BATCH, RESOURCES, STATES
from training.endpoint.endpoint import VARIANT

ALARMS: dict[str, dict[str, Any]] = {
    name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == "AWS::CloudWatch::Alarm"
}
FUNCTIONS = [n for n, r in RESOURCES.items() if r["Type"] == "AWS::Serverless::Function"]
QUEUES = [n for n, r in RESOURCES.items() if r["Type"] == "AWS::SQS::Queue"]
BATCH_STATES = BATCH["States"]

Metric = tuple[str, str, tuple[tuple[str, str], ...]]


def as_text(value: Any) -> str:
    """Write a Ref or a GetAtt as an Fn::Sub does."""
    if isinstance(value, dict):
        [(kind, what)] = value.items()
        return f"${{{what if kind == 'Ref' else '.'.join(what)}}}"
    return str(value)


def metric(alarm: dict[str, Any]) -> Metric:
    dimensions = ((d["Name"], as_text(d["Value"])) for d in alarm["Dimensions"])
    return as_text(alarm["Namespace"]), alarm["MetricName"], tuple(sorted(dimensions))


def function(folder: str) -> Any:
    return importlib.import_module(f"functions.{folder}.app")


def retries(state: str, error: str) -> dict[str, Any]:
    [rule] = [r for r in STATES[state]["Retry"] if error in r["ErrorEquals"]]
    found: dict[str, Any] = rule
    return found


@pytest.fixture(scope="module")
def measured() -> set[Metric]:
    """The metrics that the filter writes, by their dimensions."""
    lines: list[str] = []
    module = function("filter_low_confidence")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda line, *_, **__: lines.append(line))
        module.measure("bicycle", 0.95, True)
    [about] = json.loads(lines[0])["_aws"]["CloudWatchMetrics"]
    values = json.loads(lines[0]) | {"label": "*"}
    return {
        ("${AWS::StackName}", m["Name"], tuple(sorted((d, values[d]) for d in dimensions)))
        for m in about["Metrics"]
        for dimensions in about["Dimensions"]
    }


# --- Every alarm ---


@pytest.mark.parity("cloudwatch-alarms")
@pytest.mark.parametrize("name", ALARMS)
def test_alarm_describes_itself_and_notifies_of_start_and_end(name):
    alarm = ALARMS[name]
    assert re.search(rf"\. What to do: docs/operations\.md, {name}\.$", alarm["AlarmDescription"])
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
    assert alarm["TreatMissingData"] in {"notBreaching", "ignore"}
    assert "Metrics" not in alarm  # the laptop has no metric math
    assert ("Statistic" in alarm) != ("ExtendedStatistic" in alarm)


def test_each_function_has_alarms_for_errors_and_throttles():
    for name in FUNCTIONS:
        for kind in ("Errors", "Throttles"):
            alarm = ALARMS[f"{name.removesuffix('Function')}{kind}Alarm"]
            expected = ("AWS/Lambda", kind, (("FunctionName", f"${{{name}}}"),))
            assert (metric(alarm), alarm["Statistic"]) == (expected, "Sum")


def test_each_queue_has_an_alarm():
    watched = {value for a in ALARMS.values() for name, value in metric(a)[2] if name == "QueueName"}
    assert watched == {f"${{{name}.QueueName}}" for name in QUEUES}


# --- Their thresholds ---


@pytest.mark.parity("cloudwatch-sns-metrics")
def test_picture_in_review_publishes_no_failure():
    publishing = {
        name for name, state in STATES.items() if state.get("Arguments", {}).get("TopicArn") == "${FailureTopicArn}"
    }
    assert publishing == {"Notify Failure"}
    reached, frontier = set(), ["Threshold Confidence Not Met"]
    while frontier:
        reached.add(state := frontier.pop())
        frontier += [s for s in [STATES[state].get("Next")] if s and s not in reached]
    assert not reached & publishing
    assert metric(ALARMS["WorkflowFailuresAlarm"])[2] == (("TopicName", "${FailureTopic.TopicName}"),)


@pytest.mark.parity("cloudwatch-emf")
def test_low_confidence_alarm_uses_a_metric_that_the_filter_writes(measured):
    assert metric(ALARMS["LowConfidenceRateAlarm"]) in measured


@pytest.mark.parity("cloudwatch-own-metrics")
def test_drift_alarm_uses_a_metric_that_the_monitor_publishes(tmp_path):
    write_hours(tmp_path, hours=2)
    reading = read_captures(FolderCaptures(tmp_path), class_names=None, processes=1, report=lambda *_: None)
    same = as_sample(reading.predictions, "the same")
    hour = newest_hour(reading, BEGIN + timedelta(days=1))
    published = {
        ("${AWS::StackName}", m["MetricName"], (("EndpointName", m["Dimensions"][0]["Value"]),))
        for m in hour_metrics(hour, reading, 0.9, compare(same, same), "${EndpointName}")
    }
    assert metric(ALARMS["DriftAlarm"]) in published


@pytest.mark.parity("cloudwatch-endpoint-metrics")
def test_endpoint_alarms_name_the_variant_that_training_creates():
    for name in ("Endpoint5XXAlarm", "EndpointLatencyAlarm"):
        dimensions = (("EndpointName", "${EndpointName}"), ("VariantName", VARIANT))
        assert metric(ALARMS[name])[2] == dimensions


@pytest.mark.parity("cloudwatch-endpoint-metrics", "cloudwatch-percentiles")
def test_latency_alarm_threshold_is_a_fifth_of_the_clients_timeout():
    gives_up = function("image_classification").runtime.meta.config.read_timeout
    assert ALARMS["EndpointLatencyAlarm"]["Threshold"] == gives_up / 5 * 1_000_000


def test_one_failing_picture_does_not_set_off_the_5xx_alarm():
    tries = 1 + retries("Image Classification", "EndpointBusyError")["MaxAttempts"]
    assert ALARMS["Endpoint5XXAlarm"]["Threshold"] == tries + 1


def test_batch_whose_pictures_wait_twice_does_not_set_off_the_errors_alarm():
    children = BATCH_STATES["Classify Every Picture"]
    each = children["ItemProcessor"]["States"]["Classify Pictures"]
    at_once = children["MaxConcurrency"] * each["MaxConcurrency"]
    alarm = ALARMS["ImageClassificationErrorsAlarm"]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (
        2 * at_once,
        "GreaterThanThreshold",
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_retried_burst_ends_before_the_throttles_alarm(function):
    state = re.sub(r"(?<!^)(?=[A-Z])", " ", function.removesuffix("Function"))
    rule = retries(state, "Lambda.TooManyRequestsException")
    waits = [
        min(rule["IntervalSeconds"] * rule["BackoffRate"] ** n, rule["MaxDelaySeconds"])
        for n in range(rule["MaxAttempts"])
    ]
    alarm = ALARMS[f"{function.removesuffix('Function')}ThrottlesAlarm"]
    periods_touched = sum(waits) // alarm["Period"] + 2  # it may begin at the end of one
    assert alarm["EvaluationPeriods"] > periods_touched


@pytest.mark.parity("sqs-retention", "cloudwatch-sqs-metrics")
@pytest.mark.parametrize("name", ["ReviewQueueAgeAlarm", "FailedPicturesAgeAlarm"])
def test_queue_age_alarm_precedes_the_end_of_retention(name):
    [(_, queue)] = metric(ALARMS[name])[2]
    kept = RESOURCES[queue[2:].removesuffix(".QueueName}")]["Properties"]["MessageRetentionPeriod"]
    assert ALARMS[name]["Threshold"] == 24 * 60 * 60 < kept / 10


# --- The dashboard ---


@pytest.fixture(scope="module")
def widgets() -> list[dict[str, Any]]:
    """The dashboard's widgets, as CloudFormation writes them except for resource names."""
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    body = body.replace("${ConfidenceThreshold}", "0.9")  # the one that is a number
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def test_dashboard_shows_every_alarm(widgets):
    [alarms] = [w["properties"]["alarms"] for w in widgets if w["type"] == "alarm"]
    assert sorted(alarms) == sorted(f"${{{name}.Arn}}" for name in ALARMS)


@pytest.mark.parity("cloudwatch-dashboard")
def test_dashboard_shows_existing_metrics_only(widgets, measured):
    known = measured | {metric(alarm) for alarm in ALARMS.values()}
    known |= {("AWS/Lambda", "Duration", (("FunctionName", f"${{{f}}}"),)) for f in FUNCTIONS}
    shown = set()
    for widget in widgets:
        for row in widget["properties"].get("metrics", []):
            *words, last = row if isinstance(row[-1], dict) else [*row, {}]
            if "expression" in last:
                shown.add(searched(last["expression"]))
            else:
                namespace, name, *pairs = words
                dimensions = tuple(sorted(zip(pairs[::2], pairs[1::2], strict=True)))
                shown.add((namespace, name, dimensions))
    assert shown <= known
    assert {metric(alarm) for alarm in ALARMS.values()} <= shown


def searched(expression: str) -> Metric:
    """Return the metric of a SEARCH, with "*" for any class."""
    found = re.fullmatch(r"SEARCH\('\{(.+?),(\w+),(\w+)\} MetricName=\"(\w+)\"', '\w+'\)", expression)
    assert found, expression
    namespace, service, label, name = found.groups()
    return namespace, name, tuple(sorted([(service, "filter_low_confidence"), (label, "*")]))


def test_dashboard_widgets_fill_24_columns_without_overlap(widgets):
    taken = [
        (x, y) for w in widgets for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])
    ]
    height = max(y for _, y in taken) + 1
    assert len(taken) == len(set(taken)) == 24 * height
    assert all(0 <= x < 24 for x, _ in taken)


def test_dashboard_lines_are_the_alarms_thresholds(widgets):
    lines = {
        line["label"]: line["value"]
        for w in widgets
        for line in w["properties"].get("annotations", {}).get("horizontal", [])
    }
    assert lines == {
        "threshold": 0.9,
        "alarm": ALARMS["LowConfidenceRateAlarm"]["Threshold"],
        "alarm (p90)": ALARMS["EndpointLatencyAlarm"]["Threshold"],
    }
