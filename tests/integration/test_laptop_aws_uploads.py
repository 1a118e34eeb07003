"""Upload events of the laptop's AWS that come twice."""

import json
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.laptop_aws import LaptopAws, wait_until


def control(aws: LaptopAws, method: str, members: object = None) -> Any:
    request = urllib.request.Request(  # noqa: S310  http on loopback
        f"{aws.endpoint_url}/_local/uploads",
        method=method,
        data=None if members is None else json.dumps(members).encode(),
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  as above
        return json.loads(response.read())


@pytest.fixture
def bucket(laptop_aws: LaptopAws) -> Iterator[str]:
    """A bucket whose upload events go to a queue of the same name."""
    name = f"uploads-{uuid.uuid4().hex[:8]}"
    s3, events = laptop_aws.client("s3"), laptop_aws.client("events")
    sqs = laptop_aws.client("sqs")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}})
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [name]}}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": arn["QueueArn"], "InputPath": "$.detail.object"}
    events.put_targets(Rule=name, Targets=[target])
    yield name
    control(laptop_aws, "DELETE")


def upload(aws: LaptopAws, bucket: str, count: int) -> Counter[tuple[str, str]]:
    """Upload so many objects and return their keys and versions, once each."""
    s3 = aws.client("s3")
    return Counter(
        (key, s3.put_object(Bucket=bucket, Key=key, Body=b"x")["VersionId"])
        for key in (f"{number}.png" for number in range(count))
    )


def arrived(aws: LaptopAws, bucket: str, count: int) -> Counter[tuple[str, str]]:
    """Wait for so many events and return the keys and versions that they name."""
    sqs = aws.client("sqs")
    queue = sqs.get_queue_url(QueueName=bucket)["QueueUrl"]
    found: list[Any] = []

    def enough() -> bool:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        found.extend(json.loads(message["Body"]) for message in messages.get("Messages", []))
        return len(found) >= count

    wait_until(enough)
    return Counter((event["key"], event["version-id"]) for event in found)


@pytest.mark.parity("s3-events-at-least-once", "s3-events")
def test_every_event_comes_twice_and_names_the_same_version(laptop_aws: LaptopAws, bucket: str) -> None:
    control(laptop_aws, "PUT", {"duplicates": 1, "delay_seconds": 0.2})
    before = control(laptop_aws, "GET")
    sent = upload(laptop_aws, bucket, 5)
    assert arrived(laptop_aws, bucket, 10) == sent + sent
    after = control(laptop_aws, "GET")
    assert after["sent_twice"] - before["sent_twice"] == 5


def test_the_second_event_is_the_first_one_again(laptop_aws: LaptopAws, bucket: str) -> None:
    events, sqs = laptop_aws.client("events"), laptop_aws.client("sqs")
    [target] = events.list_targets_by_rule(Rule=bucket)["Targets"]
    events.put_targets(Rule=bucket, Targets=[{"Id": target["Id"], "Arn": target["Arn"]}])
    control(laptop_aws, "PUT", {"duplicates": 1, "delay_seconds": 0.2})
    upload(laptop_aws, bucket, 1)
    queue = sqs.get_queue_url(QueueName=bucket)["QueueUrl"]
    found: list[Any] = []

    def both() -> bool:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        found.extend(json.loads(message["Body"]) for message in messages.get("Messages", []))
        return len(found) >= 2

    wait_until(both)
    assert found[0]["id"]
    assert found[0] == found[1]


def test_a_share_of_the_events_comes_twice(laptop_aws: LaptopAws, bucket: str) -> None:
    control(laptop_aws, "PUT", {"duplicates": 0.3, "seed": 5})
    before = control(laptop_aws, "GET")["sent_twice"]
    sent = upload(laptop_aws, bucket, 40)
    twice = wait_until(lambda: control(laptop_aws, "GET")["events"] >= 40 and control(laptop_aws, "GET"))["sent_twice"]
    twice -= before
    assert 3 <= twice <= 25
    counts = arrived(laptop_aws, bucket, 40 + twice)
    assert set(counts) == set(sent)
    assert sorted(counts.values()) == [1] * (40 - twice) + [2] * twice


def test_without_the_setting_each_event_comes_once(laptop_aws: LaptopAws, bucket: str) -> None:
    before = control(laptop_aws, "GET")
    sent = upload(laptop_aws, bucket, 5)
    assert arrived(laptop_aws, bucket, 5) == sent
    last = upload(laptop_aws, bucket, 1)  # a second event of the five would come before it
    assert arrived(laptop_aws, bucket, 1) == last
    after = control(laptop_aws, "GET")
    assert after == before | {"events": before["events"] + 6}
