"""Upload events of the laptop's AWS with injected duplicates."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.laptop_aws import LaptopAws, unique, wait_until


class Uploads:
    """A versioned bucket, and a queue with its upload events."""

    def __init__(self, aws: LaptopAws) -> None:
        self.aws = aws
        self.bucket = unique("uploads")
        self.s3 = aws.client("s3")
        self.s3.create_bucket(Bucket=self.bucket)
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [self.bucket]}}}
        self.queue = aws.send_events_to_queue(pattern, "$")

    def upload(self, count: int) -> Counter[tuple[str, str]]:
        """Upload objects and return their keys and versions, once each."""
        return Counter(
            (key, self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"x")["VersionId"])
            for key in (f"{number}.png" for number in range(count))
        )

    def events(self, count: int) -> list[Any]:
        """Wait for a number of events and return them."""
        found: list[Any] = []
        while len(found) < count:
            found += wait_until(lambda: self.aws.receive(self.queue))
        return found


@pytest.fixture
def uploads(laptop_aws: LaptopAws) -> Iterator[Uploads]:
    yield Uploads(laptop_aws)
    laptop_aws.control("DELETE", "/_local/uploads")


def objects(events: list[Any]) -> Counter[tuple[str, str]]:
    found = [event["detail"]["object"] for event in events]
    return Counter((each["key"], each["version-id"]) for each in found)


@pytest.mark.parity("s3-events-at-least-once", "s3-events")
def test_duplicates_of_all_events_are_identical(laptop_aws, uploads):
    before = laptop_aws.control("PUT", "/_local/uploads", {"duplicates": 1, "delay_seconds": 0.2})
    sent = uploads.upload(5)
    events = uploads.events(10)
    assert objects(events) == sent + sent
    by_id = sorted(events, key=lambda event: str(event["id"]))
    assert by_id[::2] == by_id[1::2]
    assert laptop_aws.control("GET", "/_local/uploads")["sent_twice"] - before["sent_twice"] == 5


def test_duplicates_of_a_share_of_the_events_are_counted(laptop_aws, uploads):
    laptop_aws.control("DELETE", "/_local/uploads")
    laptop_aws.control("PUT", "/_local/uploads", {"duplicates": 0.3, "seed": 5})
    sent = uploads.upload(40)
    setting = wait_until(lambda: (got := laptop_aws.control("GET", "/_local/uploads"))["events"] >= 40 and got)
    twice = setting["sent_twice"]
    assert 3 <= twice <= 25
    counts = objects(uploads.events(40 + twice))
    assert set(counts) == set(sent)
    assert sorted(counts.values()) == [1] * (40 - twice) + [2] * twice


def test_events_without_setting_arrive_once(laptop_aws, uploads):
    before = laptop_aws.control("GET", "/_local/uploads")
    sent = uploads.upload(5)
    assert objects(uploads.events(5)) == sent
    last = uploads.upload(1)  # a duplicate would arrive before it
    assert objects(uploads.events(1)) == last
    assert laptop_aws.control("GET", "/_local/uploads") == before | {"events": before["events"] + 6}
