"""Each alarm of the deployed stack, with its metric at the threshold and above it.

Executions, calls of functions and of the endpoint, and messages produce the metrics. Only values that take a quarter
of an hour or days are put into CloudWatch.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from samcli.yamlhelper import yaml_parse

from common.settings import ROOT, project
from tests.integration.laptop_aws import wait_until
from tests.integration.mailbox import Mailbox
from tests.integration.workflow_stack import GREY, WHITE, Stack, execute, fault, put

ALARMS = sorted(
    name
    for name, resource in yaml_parse((ROOT / "template.yaml").read_text())["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
)
REVIEW_PICTURES = 50
ERROR: dict[str, Any] = {}  # an event that each function refuses with a named error
DECIDE = {"class_names": ["bicycle", "motorcycle"], "threshold": 0.9}


class Watched(NamedTuple):
    """The stack, the physical ids of its resources, and the notifications of its alarms."""

    stack: Stack
    names: dict[str, str]
    notifications: Mailbox

    def client(self, service: str, **config: Any) -> Any:
        return self.stack.aws.client(service, **config)

    def alarm(self, name: str) -> dict[str, Any]:
        """Return an alarm's description, brought up to date."""
        cloudwatch = self.client("cloudwatch")
        # PutMetricData evaluates every alarm before it answers.
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
    """The stack, with a queue that subscribes to the alarm topic."""
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


def invoke(watched: Watched, function: str, times: int, event: dict[str, Any]) -> None:
    """Call a function `times` times, as Step Functions does."""
    client = watched.client("lambda")
    for _ in range(times):
        answer = client.invoke(FunctionName=watched.names[function], Payload=json.dumps(event))
        assert bool(answer.get("FunctionError")) == (event == ERROR)


def throttle(watched: Watched, function: str, times: int, periods_before: int = 0) -> None:
    """Have `times` calls of a function throttled, after `periods_before` periods with 100 throttles each."""
    client = watched.client("lambda", retries={"total_max_attempts": 1})
    name = watched.names[function]
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    for _ in range(times):
        with pytest.raises(ClientError, match="TooManyRequests"):
            client.invoke(FunctionName=name, Payload=b"{}")
    client.delete_function_concurrency(FunctionName=name)  # a stack on the laptop sets none
    alarm = f"{function.removesuffix('Function')}ThrottlesAlarm"
    for number in range(1, periods_before + 1):
        put_data(watched, alarm, 100, minutes_ago=5 * number + 1)


def put_data(watched: Watched, alarm: str, value: float, minutes_ago: int = 0) -> None:
    """Put a value of the alarm's metric."""
    described = watched.alarm(alarm)
    point = {
        "MetricName": described["MetricName"],
        "Dimensions": described["Dimensions"],
        "Value": value,
        "Timestamp": datetime.now(UTC) - timedelta(minutes=minutes_ago),
    }
    watched.client("cloudwatch").put_metric_data(Namespace=described["Namespace"], MetricData=[point])


def drift_for_half_a_day(watched: Watched) -> None:
    """Put half a day with drift and a last hour without, which is not enough for the alarm."""
    for hour in range(12):
        put_data(watched, "DriftAlarm", 1, 60 * hour + 90)
    put_data(watched, "DriftAlarm", 0)


def decide(watched: Watched, *confidences: float) -> None:
    """Let the filter decide answers with these confidences, at a threshold of 0.9."""
    for confidence in confidences:
        invoke(watched, "FilterLowConfidenceFunction", 1, DECIDE | {"inferences": [confidence, 1 - confidence]})


def ask(watched: Watched, times: int, **setting: Any) -> None:
    """Call the endpoint `times` times at once, with an injected fault."""
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


def send(watched: Watched, queue: str) -> None:
    """Send a message to a queue."""
    watched.client("sqs").send_message(QueueUrl=watched.stack.outputs[f"{queue}Url"], MessageBody="{}")


def classify(watched: Watched, body: bytes, times: int, error: str | None) -> None:
    """Run the whole workflow on pictures, all at once."""

    def once(_: int) -> str | None:
        ended: str | None = execute(watched.stack, put(watched.stack, body)).get("error")
        return ended

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(once, range(times))) == {error}


def nothing(_: Watched) -> None:
    """Leave the metric unchanged."""


class Case(NamedTuple):
    """How to change an alarm's metric.

    Attributes:
        below: raises it to the threshold, where the alarm is quiet.
        value: the statistic then, None for no data.
        over: raises it above the threshold.
    """

    below: Callable[[Watched], None]
    value: float | None
    over: Callable[[Watched], None]


def errors_case(function: str, allowed: int) -> Case:
    """Return the case of an alarm that allows this number of a function's errors."""
    return Case(
        partial(invoke, function=function, times=allowed, event=ERROR),
        allowed,
        partial(invoke, function=function, times=1, event=ERROR),
    )


def throttles_case(function: str) -> Case:
    """Return the case of the alarm about a function's throttles."""
    return Case(
        partial(throttle, function=function, times=9, periods_before=3),
        9,
        partial(throttle, function=function, times=1),
    )


def age_case(alarm: str) -> Case:
    """Return the case of an alarm about messages that are older than a day."""
    return Case(partial(put_data, alarm=alarm, value=86400), 86400, partial(put_data, alarm=alarm, value=86401))


# The order matters: later cases trigger the alarms of earlier ones.
CASES = {
    "SerializeImageDataErrorsAlarm": errors_case("SerializeImageDataFunction", 24),
    "ImageClassificationErrorsAlarm": errors_case("ImageClassificationFunction", 100),
    "FilterLowConfidenceErrorsAlarm": Case(
        lambda watched: decide(watched, 1.0, 0.8),
        0,
        partial(invoke, function="FilterLowConfidenceFunction", times=1, event=ERROR),
    ),
    "SerializeImageDataThrottlesAlarm": throttles_case("SerializeImageDataFunction"),
    "ImageClassificationThrottlesAlarm": throttles_case("ImageClassificationFunction"),
    "FilterLowConfidenceThrottlesAlarm": throttles_case("FilterLowConfidenceFunction"),
    "EndpointLatencyAlarm": Case(
        partial(ask, times=8, kind="slow", delay_seconds=4),
        4e6,
        partial(ask, times=8, kind="slow", delay_seconds=5.5),
    ),
    "Endpoint5XXAlarm": Case(partial(ask, times=9, kind="failing"), 9, partial(ask, times=1, kind="failing")),
    "ReviewQueueAgeAlarm": age_case("ReviewQueueAgeAlarm"),
    "FailedPicturesAgeAlarm": age_case("FailedPicturesAgeAlarm"),
    "DriftAlarm": Case(drift_for_half_a_day, 0, partial(put_data, alarm="DriftAlarm", value=1)),
    "UndeliveredUploadsAlarm": Case(nothing, 0, partial(send, queue="UndeliveredUploadsQueue")),
    "UndeliveredFailuresAlarm": Case(nothing, 0, partial(send, queue="UndeliveredFailuresQueue")),
    "LowConfidenceRateAlarm": Case(
        lambda watched: decide(watched, *[1.0] * 5, *[0.8] * 5), 0.5, lambda watched: decide(watched, 0.8)
    ),
    "WorkflowFailuresAlarm": Case(
        partial(classify, body=GREY, times=REVIEW_PICTURES, error="THRESHOLD_CONFIDENCE_NOT_MET"),
        None,
        partial(classify, body=b"no picture", times=1, error="NotAPictureError"),
    ),
}


def reached(found: float | None, value: float | None) -> bool:
    """Tell whether a statistic has reached a value."""
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
    if name == "EndpointLatencyAlarm":  # only the injected delay is exact
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
    assert alarm["AlarmActions"] == alarm["OKActions"] == topic  # which follows after a period or more


@pytest.mark.parity("cloudwatch-alarms")
def test_deployed_alarms_are_those_of_the_template(watched):
    deployed = watched.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert sorted(a["AlarmName"] for a in deployed) == sorted(watched.names[n] for n in ALARMS)


@pytest.mark.parity("cloudwatch-dashboard")
def test_deployed_dashboard_shows_every_alarm(watched):
    shown = watched.client("cloudwatch").get_dashboard(DashboardName=watched.stack.outputs["DashboardName"])
    alarms, *_ = json.loads(shown["DashboardBody"])["widgets"]
    deployed = watched.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert set(alarms["properties"]["alarms"]) == {alarm["AlarmArn"] for alarm in deployed}
