"""Metrics of the laptop's AWS that MiniStack does not have, and alarms on them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.laptop_aws import LaptopAws, task, unique, wait_until
from tests.integration.sagemaker_requests import create_endpoint, endpoint_config, invoke_endpoint

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


@pytest.mark.parity("cloudwatch-emf")
def test_metric_in_log_line_reaches_cloudwatch(laptop_aws):
    measuring = laptop_aws.create_function(MEASURING)
    for values in (90, [80, 70]):
        laptop_aws.invoke(measuring, {"namespace": "Emf", "values": values})
    total = wait_until(lambda: laptop_aws.statistics("Emf", "Confidence", label="bicycle"))
    assert (total["Sum"], total["SampleCount"], total["Unit"]) == (240.0, 3.0, "Percent")
    metrics = laptop_aws.client("cloudwatch").list_metrics(Namespace="Emf")["Metrics"]
    assert sorted(len(metric["Dimensions"]) for metric in metrics) == [0, 1]


@pytest.mark.parity("cloudwatch-lambda-metrics")
def test_invocations_by_step_functions_and_http_are_counted(laptop_aws):
    counted = laptop_aws.create_function(MEASURING)
    machine = laptop_aws.create_machine(task(counted))
    valid = {"namespace": "Counted", "values": 1}
    laptop_aws.execute(machine, valid)
    laptop_aws.execute(machine, {"fail": "expected"})
    laptop_aws.invoke(counted, valid)
    for name, total in (("Invocations", 3), ("Errors", 1)):
        found = laptop_aws.statistics("AWS/Lambda", name, FunctionName=counted)
        assert (found["Sum"], found["SampleCount"]) == (total, 3)
    assert laptop_aws.statistics("AWS/Lambda", "Duration", FunctionName=counted)["SampleCount"] == 3


@pytest.mark.parity("cloudwatch-lambda-metrics", "lambda-concurrency")
def test_throttled_call_is_not_an_invocation(laptop_aws):
    throttled = laptop_aws.create_function(MEASURING)
    client = laptop_aws.client("lambda", retries={"total_max_attempts": 1})
    client.put_function_concurrency(FunctionName=throttled, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as raised:
        client.invoke(FunctionName=throttled, Payload=b"{}")
    assert raised.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert laptop_aws.statistics("AWS/Lambda", "Throttles", FunctionName=throttled)["Sum"] == 1
    assert laptop_aws.statistics("AWS/Lambda", "Invocations", FunctionName=throttled) is None


@pytest.fixture
def endpoint(laptop_aws: LaptopAws) -> Iterator[str]:
    name = unique("measured")
    described = create_endpoint(laptop_aws, name, endpoint_config(laptop_aws, unique("model")))
    assert described["EndpointStatus"] == "InService"
    yield name
    laptop_aws.client("sagemaker").delete_endpoint(EndpointName=name)


@pytest.mark.parity("cloudwatch-endpoint-metrics")
def test_invocations_of_endpoint_are_measured(laptop_aws, endpoint):
    def inject(**members: Any) -> None:
        laptop_aws.control("PUT", f"/_local/faults/{endpoint}", members | {"calls": 1})

    invoke_endpoint(laptop_aws, endpoint)
    for kind in ("failing", "unavailable", "refusing", "throttled", "gone"):
        inject(kind=kind)
        with pytest.raises(ClientError):
            invoke_endpoint(laptop_aws, endpoint)
    inject(kind="slow", delay_seconds=0.3)
    invoke_endpoint(laptop_aws, endpoint)
    inject(kind="nonsense")
    invoke_endpoint(laptop_aws, endpoint)

    def metric(name: str) -> Any:
        return laptop_aws.statistics("AWS/SageMaker", name, EndpointName=endpoint, VariantName="AllTraffic")

    assert metric("Invocations")["Sum"] == 7, "a call of a missing endpoint does not count"
    assert (metric("Invocation4XXErrors")["Sum"], metric("Invocation5XXErrors")["Sum"]) == (2, 2)
    latency = metric("ModelLatency")
    assert latency["SampleCount"] == 5, "throttled and unavailable do not reach the container"
    assert latency["Maximum"] >= 300_000, "microseconds, with the delay of the slow fault"
    assert metric("OverheadLatency")["SampleCount"] == 5


@pytest.mark.parity("cloudwatch-sns-metrics")
def test_messages_to_topic_are_counted(laptop_aws):
    sns = laptop_aws.client("sns")
    topic = sns.create_topic(Name="counted")["TopicArn"]
    for number in range(3):
        sns.publish(TopicArn=topic, Message=str(number))
    found = laptop_aws.statistics("AWS/SNS", "NumberOfMessagesPublished", TopicName="counted")
    assert (found["Sum"], found["SampleCount"]) == (3, 3)


@pytest.mark.parity("cloudwatch-sqs-metrics")
def test_messages_in_queue_are_sampled(laptop_aws):
    queue, arn = laptop_aws.create_queue()
    sqs = laptop_aws.client("sqs")
    for number in range(2):
        sqs.send_message(QueueUrl=queue, MessageBody=str(number))

    def highest(name: str) -> float:
        found = laptop_aws.statistics("AWS/SQS", name, QueueName=arn.rpartition(":")[2])
        return float(found["Maximum"]) if found else 0

    wait_until(lambda: highest("ApproximateNumberOfMessagesVisible") == 2)
    wait_until(lambda: highest("ApproximateAgeOfOldestMessage") >= 1)
    sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1, VisibilityTimeout=3600)
    wait_until(lambda: highest("ApproximateNumberOfMessagesNotVisible") == 1)


@pytest.mark.parity("cloudwatch-alarms")
def test_alarm_follows_its_own_metric_and_notifies_a_topic(laptop_aws):
    sns = laptop_aws.client("sns")
    actions, watched, other = (sns.create_topic(Name=name)["TopicArn"] for name in ("actions", "watched", "other"))
    queue, arn = laptop_aws.create_queue()
    sns.subscribe(TopicArn=actions, Protocol="sqs", Endpoint=arn)
    laptop_aws.client("cloudwatch").put_metric_alarm(
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
        AlarmActions=[actions],
        OKActions=[actions],
    )
    states: list[str] = []

    def notified(count: int, publish_to: str | None = None) -> bool:
        if publish_to:  # again and again: on a slow machine a period may pass before the evaluation
            sns.publish(TopicArn=publish_to, Message="message")
        messages = laptop_aws.receive(queue, WaitTimeSeconds=1, VisibilityTimeout=3600)
        states.extend(json.loads(message["Message"])["NewStateValue"] for message in messages)
        return len(states) >= count

    wait_until(lambda: notified(1, other))
    assert states == ["OK"], "messages to another topic do not count"
    wait_until(lambda: notified(2, watched))
    wait_until(lambda: notified(3))
    assert states[:3] == ["OK", "ALARM", "OK"], "OK again after ten seconds without a message"
