"""Metrics of the laptop's AWS that MiniStack leaves out, and alarms on them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.laptop_aws import LaptopAws, wait_until
from tests.integration.sagemaker_requests import endpoint_config, settled_endpoint, unique
from tests.integration.test_laptop_aws_endpoints import ask, fault
from tests.integration.test_laptop_aws_lambda import create_function, invoke

MEASURING = """
import json, time

def handler(event, context):
    if event.get("fail"):
        raise ValueError(event["fail"])
    metric = {"Namespace": event["namespace"], "Dimensions": [[], ["label"]],
              "Metrics": [{"Name": "Confidence", "Unit": "Percent"}]}
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [metric]}
    print(json.dumps({"_aws": about, "Confidence": event["values"], "label": "bicycle"}))
"""


def statistics(aws: LaptopAws, namespace: str, name: str, unit: str | None = None, **dimensions: str) -> Any:
    """Return the sum of a metric's statistics of the last minutes, or None without points."""
    now = datetime.now(UTC)
    found = aws.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(minutes=30),
        EndTime=now + timedelta(minutes=1),
        Period=3600 * 24,
        Statistics=["Sum", "SampleCount", "Maximum"],
    )["Datapoints"]
    if not found:
        return None
    [point] = found
    assert unit in (None, point["Unit"])
    return point


@pytest.fixture(scope="module")
def measuring(laptop_aws: LaptopAws) -> str:
    create_function(laptop_aws, "measuring", MEASURING)
    return "measuring"


# --- Functions ---


@pytest.mark.parity("cloudwatch-emf")
def test_a_metric_in_a_log_line_reaches_cloudwatch(laptop_aws: LaptopAws, measuring: str) -> None:
    for values in (90, [80, 70]):
        invoke(laptop_aws, measuring, {"namespace": "Emf", "values": values})
    total = wait_until(lambda: statistics(laptop_aws, "Emf", "Confidence", label="bicycle"))
    assert (total["Sum"], total["SampleCount"], total["Unit"]) == (240.0, 3.0, "Percent")
    metrics = laptop_aws.client("cloudwatch").list_metrics(Namespace="Emf")["Metrics"]
    assert sorted(len(metric["Dimensions"]) for metric in metrics) == [0, 1]


@pytest.mark.parity("cloudwatch-lambda-metrics")
def test_a_call_by_step_functions_counts_like_any_other(laptop_aws: LaptopAws) -> None:
    create_function(laptop_aws, "counted", MEASURING)
    stepfunctions = laptop_aws.client("stepfunctions")
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "counted", "Payload.$": "$"},
        "End": True,
    }
    machine = stepfunctions.create_state_machine(
        name="counting",
        definition=json.dumps({"StartAt": "Task", "States": {"Task": state}}),
        roleArn="arn:aws:iam::000000000000:role/test",
    )["stateMachineArn"]
    good = {"namespace": "Counted", "values": 1}
    for event in (good, {"fail": "on purpose"}):
        stepfunctions.start_execution(stateMachineArn=machine, input=json.dumps(event))
    invoke(laptop_aws, "counted", good)

    def counted() -> Any:
        found = statistics(laptop_aws, "AWS/Lambda", "Invocations", FunctionName="counted")
        return found if found and found["Sum"] == 3 else None

    assert wait_until(counted)["SampleCount"] == 3
    errors = statistics(laptop_aws, "AWS/Lambda", "Errors", FunctionName="counted")
    duration = statistics(laptop_aws, "AWS/Lambda", "Duration", FunctionName="counted")
    assert (errors["Sum"], errors["SampleCount"], duration["SampleCount"]) == (1, 3, 3)


@pytest.mark.parity("cloudwatch-lambda-metrics", "lambda-concurrency")
def test_a_throttled_call_is_no_invocation(laptop_aws: LaptopAws) -> None:
    create_function(laptop_aws, "throttled", MEASURING)
    client = laptop_aws.client("lambda", retries={"total_max_attempts": 1})
    client.put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName="throttled", Payload=b"{}")
    assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
    throttles = statistics(laptop_aws, "AWS/Lambda", "Throttles", FunctionName="throttled")
    assert throttles["Sum"] == 1
    assert statistics(laptop_aws, "AWS/Lambda", "Invocations", FunctionName="throttled") is None


# --- Endpoints ---


@pytest.fixture
def endpoint(laptop_aws: LaptopAws) -> Iterator[str]:
    name = unique("measured")
    sagemaker = laptop_aws.client("sagemaker")
    config = endpoint_config(laptop_aws, unique("model"))
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    assert settled_endpoint(laptop_aws, name)["EndpointStatus"] == "InService"
    yield name
    sagemaker.delete_endpoint(EndpointName=name)


@pytest.mark.parity("cloudwatch-endpoint-metrics")
def test_an_endpoints_calls_are_measured(laptop_aws: LaptopAws, endpoint: str) -> None:
    ask(laptop_aws, endpoint)
    for kind in ("failing", "unavailable", "refusing", "throttled", "gone"):
        fault(laptop_aws, endpoint, "PUT", {"kind": kind, "calls": 1})
        with pytest.raises(ClientError):
            ask(laptop_aws, endpoint)
    fault(laptop_aws, endpoint, "PUT", {"kind": "slow", "delay_seconds": 0.3, "calls": 1})
    ask(laptop_aws, endpoint)
    fault(laptop_aws, endpoint, "PUT", {"kind": "nonsense", "calls": 1})
    ask(laptop_aws, endpoint)

    def metric(name: str) -> Any:
        return statistics(
            laptop_aws,
            "AWS/SageMaker",
            name,
            EndpointName=endpoint,
            VariantName="AllTraffic",
        )

    assert metric("Invocations")["Sum"] == 7, "an endpoint that is gone counts none"
    assert (metric("Invocation4XXErrors")["Sum"], metric("Invocation5XXErrors")["Sum"]) == (2, 2)
    latency = metric("ModelLatency")
    assert latency["SampleCount"] == 5, "throttled and unavailable never reach the container"
    assert latency["Maximum"] >= 300_000, "microseconds, the slow fault's among them"
    assert metric("OverheadLatency")["Maximum"] < latency["Maximum"]


# --- Topics and queues ---


@pytest.mark.parity("cloudwatch-sns-metrics")
def test_messages_to_a_topic_are_counted(laptop_aws: LaptopAws) -> None:
    sns = laptop_aws.client("sns")
    topic = sns.create_topic(Name="counted")["TopicArn"]
    for number in range(3):
        sns.publish(TopicArn=topic, Message=str(number))
    found = statistics(laptop_aws, "AWS/SNS", "NumberOfMessagesPublished", TopicName="counted")
    assert (found["Sum"], found["SampleCount"]) == (3, 3)


@pytest.mark.parity("cloudwatch-sqs-metrics")
def test_a_queue_is_sampled(laptop_aws: LaptopAws) -> None:
    sqs = laptop_aws.client("sqs")
    queue = sqs.create_queue(QueueName="sampled")["QueueUrl"]
    for number in range(2):
        sqs.send_message(QueueUrl=queue, MessageBody=str(number))

    def highest(name: str) -> Any:
        found = statistics(laptop_aws, "AWS/SQS", name, QueueName="sampled")
        return found["Maximum"] if found else None

    wait_until(lambda: highest("ApproximateNumberOfMessagesVisible") == 2)
    wait_until(lambda: (highest("ApproximateAgeOfOldestMessage") or 0) >= 1)
    sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1)
    wait_until(lambda: highest("ApproximateNumberOfMessagesNotVisible") == 1)


# --- Alarms ---


@pytest.mark.parity("cloudwatch-alarms")
def test_an_alarm_follows_its_own_metric_and_tells_a_topic(laptop_aws: LaptopAws) -> None:
    """Without PutMetricData, by a service's own metric; its neighbour's counts for nothing."""
    sns, sqs = laptop_aws.client("sns"), laptop_aws.client("sqs")
    topics = [sns.create_topic(Name=name)["TopicArn"] for name in ("told", "watched", "neighbour")]
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=topics[0], Protocol="sqs", Endpoint=arn["QueueArn"])
    cloudwatch = laptop_aws.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="watching",
        Namespace="AWS/SNS",
        MetricName="NumberOfMessagesPublished",
        Dimensions=[{"Name": "TopicName", "Value": "watched"}],
        Statistic="Sum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        AlarmActions=[topics[0]],
        OKActions=[topics[0]],
    )

    def state() -> str:
        [alarm] = cloudwatch.describe_alarms(AlarmNames=["watching"])["MetricAlarms"]
        return str(alarm["StateValue"])

    def told() -> str | None:
        messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
        if not messages:
            return None
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=messages[0]["ReceiptHandle"])
        told = json.loads(json.loads(messages[0]["Body"])["Message"])
        return str(told["NewStateValue"])

    sns.publish(TopicArn=topics[2], Message="no business of the alarm")
    assert wait_until(told) == "OK"
    sns.publish(TopicArn=topics[1], Message="a picture failed")
    assert wait_until(told) == "ALARM"
    assert state() == "ALARM"
    assert wait_until(told) == "OK", "ten seconds without a message"
