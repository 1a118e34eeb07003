"""Outcomes of sent pictures: the table overrides executions, and AWS is asked no more than needed."""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from threading import Event
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from common.predictions import PredictionKey
from operations.sending.arrivals import Arrival
from operations.sending.executions import describe, ended_since
from operations.sending.tracking import (
    DESCRIBES_PER_S,
    MARGIN_S,
    MOST_DESCRIBES,
    POLL_S,
    STOP_TIME_GRACE_S,
    Tracker,
    UnknownOutcomeError,
)
from operations.sending.uploading import Sender
from tests.unit.aws_stubs import client_error, stubbed
from tests.unit.operations.arrivals import BEGAN, BUCKET, MACHINE, OUTPUTS, arrival, execution_arn, item, uploaded


class World:
    """A tracker whose clients answer from scripts, and a clock that a test sets."""

    def __init__(self, *arrivals: Arrival) -> None:
        self.seconds = 0.0
        self.arrivals = arrivals
        self.described: list[dict[str, Any]] = []  # by the next poll
        stepfunctions, self.stepfunctions = stubbed("stepfunctions")
        dynamodb, self.dynamodb = stubbed("dynamodb")
        sender = Sender(None, BUCKET)
        sender.began = BEGAN
        now = lambda: self.seconds  # noqa: E731
        self.tracker = Tracker(stepfunctions, dynamodb, OUTPUTS, arrivals=arrivals, sender=sender, now=now)

    def holds(self, asked: list[Arrival], *items: dict[str, Any]) -> None:
        """Let the table answer a read of these arrivals with these items."""
        keys = [{"picture": {"S": f"s3://{BUCKET}/{a.key}"}, "version_id": {"S": str(a.version_id)}} for a in asked]
        wanted = {"RequestItems": {"table": {"Keys": keys, "ConsistentRead": True}}}
        self.dynamodb.add_response("batch_get_item", {"Responses": {"table": list(items)}}, wanted)

    def describes(self, name: str, of: Arrival, **changes: Any) -> None:
        facts = {
            "error": "NotAPictureError",
            "cause": "it is HTML",
            "input": f'{{"bucket": {{"name": "{BUCKET}"}}, "object": {{"key": "{of.key}",'
            f' "version-id": "{of.version_id}"}}}}',
        }
        self.described.append(execution(name, "FAILED", 0) | facts | changes)

    def poll(self, *listed: dict[str, Any], items: Sequence[dict[str, Any]] = (), more: str | None = None) -> int:
        """Poll once, where the list of executions has these, and the table these items of the undecided pictures."""
        page = {"executions": list(listed)} | ({"nextToken": more} if more else {})
        self.stepfunctions.add_response("list_executions", page, {"stateMachineArn": MACHINE, "maxResults": 1000})
        for one in self.described:
            self.stepfunctions.add_response("describe_execution", one, {"executionArn": one["executionArn"]})
        self.described = []
        undecided = [a for a in self.arrivals if a.version_id and not a.outcome]
        for start in range(0, len(undecided), 100):
            self.holds(undecided[start : start + 100], *items)
        pages = self.tracker.poll()
        self.stepfunctions.assert_no_pending_responses()
        self.dynamodb.assert_no_pending_responses()
        return pages


@pytest.fixture
def one() -> Arrival:
    return uploaded("a")


def execution(name: str, status: str, began: float, stopped: float | None = None) -> dict[str, Any]:
    """Return an execution of the list; times are in seconds from the run's start."""
    listed: dict[str, Any] = {
        "executionArn": execution_arn(name),
        "stateMachineArn": MACHINE,
        "name": name,
        "status": status,
        "startDate": datetime.fromtimestamp(BEGAN + began, UTC),
    }
    if stopped is not None:
        listed["stopDate"] = datetime.fromtimestamp(BEGAN + stopped, UTC)
    return listed


@pytest.mark.parametrize("outcome", ["lost", None])
def test_unknown_outcome_in_the_table_is_an_error(one, outcome):
    stored = {name: value for name, value in item(one, "lost", "e").items() if outcome or name != "outcome"}
    with pytest.raises(UnknownOutcomeError, match=rf"{outcome!r} for inbox/run/a.*accepted, review.*deployed stack"):
        World(one).poll(items=[stored])


def test_item_that_is_not_complete_is_no_outcome(one):
    world = World(one)
    world.poll(items=[item(one, "review", "e", queued={"BOOL": False})])
    assert one.outcome is None
    assert world.tracker.waiting() == [one]


@pytest.mark.parity("dynamodb-batch-get")
def test_unprocessed_key_is_read_again(one):
    world = World(one)
    world.poll()
    world.poll(items=[item(one, "accepted", "e")])
    assert one.outcome == "accepted"


@pytest.mark.parity("dynamodb-batch-get")
def test_table_is_read_in_batches_of_a_hundred_keys():
    World(*(uploaded(f"{n}") for n in range(201))).poll()


def test_tracker_makes_no_call_before_an_upload_or_after_all_outcomes():
    done = uploaded("a", outcome="accepted", stopped=1.0)
    assert World(arrival("b"), arrival("c", upload_error="SlowDown: x"), done).tracker.poll() == 0


@pytest.mark.parametrize(
    ("outcome", "status", "facts"),
    [
        ("accepted", "SUCCEEDED", ("accepted", "bicycle", None)),
        ("review", "FAILED", ("review", None, "motorcycle")),
        ("reviewed", "FAILED", ("review", None, "motorcycle")),
    ],
)
def test_picture_with_an_item_needs_no_describe(one, outcome, status, facts):
    world = World(one)
    assert world.poll(execution("e", status, 1, 2.5), items=[item(one, outcome, "e")]) == 1
    assert (one.outcome, one.label, one.guess) == facts
    assert (one.confidence, one.stopped) == (0.97, BEGAN + 2.5)
    assert world.tracker.waiting() == []


@pytest.mark.parametrize(
    ("changes", "outcome", "error"),
    [
        ({}, "failed", "NotAPictureError"),
        ({"status": "TIMED_OUT", "error": "States.Timeout"}, "failed", "States.Timeout"),
        ({"status": "ABORTED", "error": "", "cause": ""}, "failed", "ABORTED"),
        ({"error": "THRESHOLD_CONFIDENCE_NOT_MET"}, "review", "THRESHOLD_CONFIDENCE_NOT_MET"),
    ],
)
def test_failed_execution_without_an_item_is_described(one, changes, outcome, error):
    world = World(one)
    world.describes("e", one, **changes)
    world.poll(execution("e", changes.get("status", "FAILED"), 1, 3))
    assert (one.outcome, one.error, one.stopped) == (outcome, error, BEGAN + 3)


@pytest.mark.parametrize("other", [uploaded("theirs"), uploaded("a", version_id="older")], ids=["run", "version"])
def test_failed_execution_of_another_picture_is_described_once(one, other):
    world = World(one)
    world.describes("e", other)
    for _ in range(2):
        world.poll(execution("e", "FAILED", 1, 3))
    assert one.outcome is None


def test_failure_before_the_answer_to_the_upload_is_kept():
    quick, slow = uploaded("quick"), uploaded("slow")
    version, quick.version_id = quick.version_id, None  # S3 has stored it, and has not answered yet
    world = World(quick, slow)
    world.describes("e", uploaded("quick"))
    world.poll(execution("e", "FAILED", 1, 1.1))
    quick.version_id = version
    world.poll(execution("e", "FAILED", 1, 1.1))
    assert (quick.outcome, quick.error, quick.stopped) == ("failed", "NotAPictureError", BEGAN + 1.1)


@pytest.mark.parity("states-describe")
def test_describe_rate_is_limited_and_the_oldest_comes_first(monkeypatch):
    monkeypatch.setattr("operations.sending.tracking.MOST_DESCRIBES", 5)
    arrivals = [uploaded(f"{n}") for n in range(13)]
    world = World(*arrivals)
    failed = [execution(f"{n}", "FAILED", 1, 3 + n) for n in range(13)]
    # An hour saves up no more than the limit.
    for seconds, described in ((0, (0, 5)), (0, (5, 5)), (2 / DESCRIBES_PER_S, (5, 7)), (3600, (7, 12))):
        world.seconds += seconds
        for one in arrivals[slice(*described)]:
            world.describes(one.key.rpartition("/")[2], one)
        world.poll(*reversed(failed))
    assert [a.outcome for a in arrivals] == ["failed"] * 12 + [None]


def test_saved_up_describes_stay_below_the_quota():
    assert MOST_DESCRIBES + POLL_S * DESCRIBES_PER_S < 250


def test_item_of_a_second_execution_overrides_the_first_ones_failure(one):
    world = World(one)
    world.describes("first", one)
    world.poll(execution("first", "FAILED", 1, 3), execution("second", "RUNNING", 1))
    assert one.outcome == "failed"
    world.holds([one], item(one, "accepted", "second"))
    world.tracker.last_poll()
    assert (one.outcome, one.error, one.cause, one.label) == ("accepted", None, None, "bicycle")
    assert one.execution_arn == execution_arn("second")
    assert one.stopped is None  # the first one's end is not this answer's


def test_wait_for_an_unlisted_end_is_limited(one):
    world = World(one)
    world.poll(items=[item(one, "accepted", "e")])
    world.seconds = STOP_TIME_GRACE_S - 0.1
    assert world.tracker.waiting() == [one]
    world.seconds = STOP_TIME_GRACE_S
    assert world.tracker.waiting() == []
    assert one.stopped is None


@pytest.mark.parity("states-describe")
def test_list_is_read_back_to_the_oldest_open_picture():
    done = uploaded("done", at=0, outcome="accepted", stopped=1.0)
    one = uploaded("a", at=100)
    listed = (execution("new", "SUCCEEDED", 101, 102), execution("old", "FAILED", 100 - MARGIN_S - 1, 99))
    items = [item(one, "accepted", "new")]
    assert World(done, one).poll(*listed, items=items, more="a page that is not read") == 1
    assert one.stopped == BEGAN + 102


def test_pages_of_the_list_are_counted():
    client, stub = stubbed("stepfunctions")
    asked = {"stateMachineArn": MACHINE, "maxResults": 1000}
    stub.add_response("list_executions", {"executions": [execution("b", "RUNNING", 2)], "nextToken": "t"}, asked)
    more = {"executions": [execution("a", "ABORTED", 1, 2)]}
    stub.add_response("list_executions", more, asked | {"nextToken": "t"})
    ended, pages = ended_since(client, MACHINE, BEGAN)
    assert ([e.arn for e in ended], pages) == ([execution_arn("a")], 2)


@pytest.mark.parametrize(
    ("given", "picture"),
    [
        ('{"s3_bucket": "b", "s3_key": "k", "s3_version_id": "v"}', ("s3://b/k", "v")),
        ('{"bucket": {"name": "b"}, "object": {"key": "a b+ü\\""}}', ('s3://b/a b+ü"', "null")),
        (None, None),  # an execution whose input is not visible
        ('{"image_data": ""}', None),
    ],
)
def test_description_names_the_picture_of_any_input(given, picture):
    client, stub = stubbed("stepfunctions")
    answer = {"executionArn": "a" * 10, "stateMachineArn": MACHINE, "status": "FAILED", "startDate": 0}
    stub.add_response("describe_execution", answer if given is None else answer | {"input": given})
    described = describe(client, "a" * 10)
    assert described == ("a" * 10, PredictionKey(*picture) if picture else None, "FAILED", "")


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (client_error("ThrottlingException", "x"), True),
        (client_error("ProvisionedThroughputExceededException", "x"), True),
        (client_error("AccessDeniedException", "x"), False),
        (client_error("ResourceNotFoundException", "x"), False),
        (EndpointConnectionError(endpoint_url="x"), True),
        (NoCredentialsError(), False),
    ],
)
def test_only_a_permanent_error_ends_the_tracking(monkeypatch, one, error, transient):
    tracker, stop = World(one).tracker, Event()
    monkeypatch.setattr(tracker, "poll", Mock(side_effect=error))
    monkeypatch.setattr(stop, "wait", lambda _: stop.set())
    with nullcontext() if transient else pytest.raises(type(error)):
        tracker.follow(stop)
    assert tracker.last_error == (str(error) if transient else "")
