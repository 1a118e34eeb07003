"""Each alarm of the deployed stack, with its metric driven up to the edge and over it.

The metric comes from the real thing: executions, calls of functions and of the endpoint, messages.
Only what takes days or a quarter of an hour is put into CloudWatch, where the alarm itself looks.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from samcli.yamlhelper import yaml_parse

from common.settings import ROOT, project
from tests.integration.laptop_aws import wait_until
from tests.integration.mailbox import Mailbox
from tests.integration.workflow_stack import GREY, WHITE, Stack, execute, fault, put, record, sam

ALARMS = sorted(
    name
    for name, resource in yaml_parse((ROOT / "template.yaml").read_text())["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
)
DOUBTFUL_PICTURES = 50
ERROR: dict[str, Any] = {}  # an event that each function refuses, with an error of its own
DECIDE = {"class_names": ["bicycle", "motorcycle"], "threshold": 0.9}


class Watched(NamedTuple):
    """The stack with what its resources are called, and what its alarms tell."""

    stack: Stack
    names: dict[str, str]
    notifications: Mailbox

    def client(self, service: str, **config: Any) -> Any:
        return self.stack.aws.client(service, **config)

    def alarm(self, name: str) -> dict[str, Any]:
        """Return an alarm's description, brought up to date."""
        cloudwatch = self.client("cloudwatch")
        # Whoever puts data has every alarm evaluated before the answer.
        cloudwatch.put_metric_data(Namespace="Tests", MetricData=[{"MetricName": "M", "Value": 0}])
        [found] = cloudwatch.describe_alarms(AlarmNames=[self.names[name]])["MetricAlarms"]
        described: dict[str, Any] = found
        return described

    def value(self, name: str) -> float | None:
        """Return the alarm's statistic over its last period, None without data."""
        alarm, now = self.alarm(name), datetime.now(UTC)
        extended = alarm.get("ExtendedStatistic")
        statistic = {"ExtendedStatistics" if extended else "Statistics": [extended or alarm["Statistic"]]}
        points = self.client("cloudwatch").get_metric_statistics(
            Namespace=alarm["Namespace"],
            MetricName=alarm["MetricName"],
            Dimensions=alarm["Dimensions"],
            StartTime=now - timedelta(seconds=alarm["Period"]),
            EndTime=now + timedelta(minutes=1),
            Period=86400,
            **statistic,
        )["Datapoints"]
        if not points:
            return None
        [point] = points
        return float(point["ExtendedStatistics"][extended] if extended else point[alarm["Statistic"]])


@pytest.fixture(scope="module")
def watched(stack: Stack) -> Watched:
    """The stack, with a queue that hears what a person would."""
    resources = stack.aws.client("cloudformation").describe_stack_resources(StackName=project().stack_name)
    names = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources["StackResources"]}
    sqs = stack.aws.client("sqs")
    url = sqs.create_queue(QueueName="alarms")["QueueUrl"]
    stack.aws.client("sns").subscribe(
        TopicArn=stack.outputs["AlarmTopicArn"],
        Protocol="sqs",
        Endpoint="arn:aws:sqs:us-east-1:000000000000:alarms",
        Attributes={"RawMessageDelivery": "true"},
    )
    return Watched(stack, names, Mailbox(stack, url))


# ------------------------------------------------------------------- what drives a metric


def invoke(function: str, times: int, event: dict[str, Any]) -> Callable[[Watched], None]:
    """Call a function so many times, as Step Functions does."""

    def drive(watched: Watched) -> None:
        client = watched.client("lambda")
        for _ in range(times):
            answer = client.invoke(FunctionName=watched.names[function], Payload=json.dumps(event))
            assert bool(answer.get("FunctionError")) == (event == ERROR)

    return drive


def throttle(function: str, times: int, periods_before: int = 0) -> Callable[[Watched], None]:
    """Have so many calls of a function throttled, after `periods_before` of as many or more."""

    def drive(watched: Watched) -> None:
        client = watched.client("lambda", retries={"total_max_attempts": 1})
        name = watched.names[function]
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        for _ in range(times):
            with pytest.raises(ClientError, match="TooManyRequests"):
                client.invoke(FunctionName=name, Payload=b"{}")
        client.delete_function_concurrency(FunctionName=name)  # a stack on the laptop sets none
        alarm = f"{function.removesuffix('Function')}ThrottlesAlarm"
        for number in range(1, periods_before + 1):
            put_data(alarm, 100, minutes_ago=5 * number + 1)(watched)

    return drive


def put_data(alarm: str, value: float, minutes_ago: int = 0) -> Callable[[Watched], None]:
    """Put a value where the alarm looks."""

    def drive(watched: Watched) -> None:
        described = watched.alarm(alarm)
        point = {
            "MetricName": described["MetricName"],
            "Dimensions": described["Dimensions"],
            "Value": value,
            "Timestamp": datetime.now(UTC) - timedelta(minutes=minutes_ago),
        }
        watched.client("cloudwatch").put_metric_data(Namespace=described["Namespace"], MetricData=[point])

    return drive


def in_turn(*drives: Callable[[Watched], None]) -> Callable[[Watched], None]:
    """Do one after the other."""

    def drive(watched: Watched) -> None:
        for each in drives:
            each(watched)

    return drive


def decide(*confidences: float) -> Callable[[Watched], None]:
    """Let the filter decide answers of these confidences, at a threshold of 0.9."""

    def drive(watched: Watched) -> None:
        for confidence in confidences:
            event = DECIDE | {"inferences": [confidence, 1 - confidence]}
            invoke("FilterLowConfidenceFunction", 1, event)(watched)

    return drive


def ask(times: int, **setting: Any) -> Callable[[Watched], None]:
    """Ask the endpoint so many times at once, while it has a fault."""

    def drive(watched: Watched) -> None:
        fault(watched.stack, setting)
        runtime = watched.client("sagemaker-runtime", retries={"total_max_attempts": 1}, max_pool_connections=times)

        def once(_: int) -> str:
            try:
                runtime.invoke_endpoint(EndpointName=project().endpoint_name, Body=WHITE, ContentType="image/png")
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return "an answer"

        with ThreadPoolExecutor(times) as pool:
            answers = set(pool.map(once, range(times)))
        assert answers == {"ModelError" if setting["kind"] == "failing" else "an answer"}
        fault(watched.stack, None)

    return drive


def send(queue: str) -> Callable[[Watched], None]:
    """Put a message into a queue."""

    def drive(watched: Watched) -> None:
        url = watched.stack.outputs[f"{queue}Url"]
        watched.client("sqs").send_message(QueueUrl=url, MessageBody="{}")

    return drive


def classify(body: bytes, times: int, error: str | None) -> Callable[[Watched], None]:
    """Run the whole workflow on pictures, all at once."""

    def drive(watched: Watched) -> None:
        def once(_: int) -> str | None:
            ended: str | None = execute(watched.stack, put(watched.stack, body)).get("error")
            return ended

        with ThreadPoolExecutor(10) as pool:
            assert set(pool.map(once, range(times))) == {error}

    return drive


def nothing(watched: Watched) -> None:
    """Leave the metric alone."""


class Case(NamedTuple):
    """How to drive an alarm's metric.

    Attributes:
        below: brings it just below the edge.
        value: the statistic that is there then, None for no data.
        over: brings it over the edge.
    """

    below: Callable[[Watched], None]
    value: float | None
    over: Callable[[Watched], None]


# In this order: what is further down sets off what is further up.
CASES = {
    "SerializeImageDataErrorsAlarm": Case(
        invoke("SerializeImageDataFunction", 24, ERROR),
        24,
        invoke("SerializeImageDataFunction", 1, ERROR),
    ),
    "ImageClassificationErrorsAlarm": Case(
        invoke("ImageClassificationFunction", 100, ERROR),
        100,
        invoke("ImageClassificationFunction", 1, ERROR),
    ),
    "FilterLowConfidenceErrorsAlarm": Case(decide(1.0, 0.8), 0, invoke("FilterLowConfidenceFunction", 1, ERROR)),
    "SerializeImageDataThrottlesAlarm": Case(
        throttle("SerializeImageDataFunction", 9, periods_before=3),
        9,
        throttle("SerializeImageDataFunction", 1),
    ),
    "ImageClassificationThrottlesAlarm": Case(
        throttle("ImageClassificationFunction", 9, periods_before=3),
        9,
        throttle("ImageClassificationFunction", 1),
    ),
    "FilterLowConfidenceThrottlesAlarm": Case(
        throttle("FilterLowConfidenceFunction", 9, periods_before=3),
        9,
        throttle("FilterLowConfidenceFunction", 1),
    ),
    "EndpointLatencyAlarm": Case(ask(8, kind="slow", delay_seconds=4), 4e6, ask(8, kind="slow", delay_seconds=5.5)),
    "Endpoint5XXAlarm": Case(ask(9, kind="failing"), 9, ask(1, kind="failing")),
    "ReviewQueueAgeAlarm": Case(put_data("ReviewQueueAgeAlarm", 86400), 86400, put_data("ReviewQueueAgeAlarm", 86401)),
    "FailedPicturesAgeAlarm": Case(
        put_data("FailedPicturesAgeAlarm", 86400), 86400, put_data("FailedPicturesAgeAlarm", 86401)
    ),
    # Half a day that differs is not enough.
    "DriftAlarm": Case(
        in_turn(
            *(put_data("DriftAlarm", 1, 60 * hour + 90) for hour in range(12)),
            put_data("DriftAlarm", 0),
        ),
        0,
        put_data("DriftAlarm", 1),
    ),
    "UndeliveredUploadsAlarm": Case(nothing, 0, send("UndeliveredUploadsQueue")),
    "UndeliveredFailuresAlarm": Case(nothing, 0, send("UndeliveredFailuresQueue")),
    "LowConfidenceRateAlarm": Case(decide(*[1.0] * 5, *[0.8] * 5), 0.5, decide(0.8)),
    "WorkflowFailuresAlarm": Case(
        classify(GREY, DOUBTFUL_PICTURES, "THRESHOLD_CONFIDENCE_NOT_MET"),
        None,
        classify(b"no picture", 1, "NotAPictureError"),
    ),
}


def reached(found: float | None, value: float | None) -> bool:
    """Tell whether a statistic is there, and as high as it should be."""
    return value is None or (found is not None and found >= value)


def notifications(watched: Watched, name: str, state: str) -> list[dict[str, Any]]:
    """Return the notifications of an alarm in a state."""
    return [
        body
        for body in watched.notifications.all()
        if (body["AlarmName"], body["NewStateValue"]) == (watched.names[name], state)
    ]


@pytest.mark.parity(
    "cloudwatch-alarms",
    "cloudwatch-missing-data",
    "cloudwatch-percentiles",
    "cloudwatch-lambda-metrics",
    "cloudwatch-sns-metrics",
    "cloudwatch-sqs-metrics",
    "cloudwatch-endpoint-metrics",
    "cloudwatch-emf",
    "cloudwatch-datapoints-to-alarm",
)
@pytest.mark.parametrize("name", [*CASES, *(name for name in ALARMS if name not in CASES)])
def test_alarm_is_quiet_below_its_threshold_and_notifies_above_it(watched, name):
    assert name in ALARMS, "a case for an alarm that is not in the template"
    assert name in CASES, "an alarm without a case"
    below, value, over = CASES[name]
    below(watched)
    wait_until(lambda: reached(watched.value(name), value))
    found = watched.value(name)
    if name == "EndpointLatencyAlarm":  # a fault's delay is exact, the rest of a call is not
        assert 4e6 < found < 5e6
    else:
        assert found == value
    alarm = watched.alarm(name)
    assert alarm["StateValue"] == "OK", alarm["StateReason"]
    assert not notifications(watched, name, "ALARM")
    over(watched)
    wait_until(lambda: watched.alarm(name)["StateValue"] == "ALARM")
    [message] = wait_until(lambda: notifications(watched, name, "ALARM"))
    assert message["AlarmDescription"].endswith(f"docs/operations.md, {name}.")
    topic = [watched.stack.outputs["AlarmTopicArn"]]
    assert alarm["AlarmActions"] == alarm["OKActions"] == topic  # it is over after a period or more


@pytest.mark.parity("cloudwatch-alarms")
def test_the_deployed_alarms_are_those_of_the_template(watched):
    deployed = watched.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert sorted(a["AlarmName"] for a in deployed) == sorted(watched.names[n] for n in ALARMS)


@pytest.mark.parity("cloudwatch-dashboard")
def test_the_deployed_dashboard_shows_every_alarm(watched):
    shown = watched.client("cloudwatch").get_dashboard(DashboardName=watched.stack.outputs["DashboardName"])
    alarms, *_ = json.loads(shown["DashboardBody"])["widgets"]
    deployed = watched.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert set(alarms["properties"]["alarms"]) == {alarm["AlarmArn"] for alarm in deployed}


@pytest.mark.parity("lambda-json-logs", "states-context")
def test_one_picture_can_be_followed_by_its_execution(watched):
    """As docs/operations.md says: its log lines by correlation id, its answer in the table."""
    event = put(watched.stack, WHITE)
    ended = execute(watched.stack, event)
    item = record(watched.stack, event)
    assert item
    arn = item["execution_arn"]["S"]
    assert arn == ended["executionArn"]
    printed = sam(watched.stack.aws, "logs", "--config-env", "local", "--filter", f'"{arn}"')
    for line in ("picture read", "picture classified", "picture decided"):
        assert printed.count(f'"{line}"') == 1
