"""Where pictures ended: the table comes first, and nothing is asked without need."""

from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from operations.sending.arrivals import Arrival
from operations.sending.executions import describe_failure, ended_since, picture_of
from operations.sending.ledger import UnknownOutcomeError, read_ledger
from operations.sending.tracking import (
    DESCRIBES_PER_S,
    LOOK_EVERY_S,
    MARGIN_S,
    MOST_DESCRIBES,
    STOP_TIME_GRACE_S,
    Tracker,
    passes,
)
from tests.unit.aws_stubs import client_error, stubbed
from tests.unit.operations.arrivals import (
    BEGAN,
    BUCKET,
    MACHINE,
    OUTPUTS,
    arrival,
    execution_arn,
    item,
    uploaded,
)


class Began:
    """When the run began; both clocks agree."""

    began = BEGAN
    offset_s = 0.0


class World:
    """A tracker whose clients answer from scripts, and a clock that a test sets."""

    def __init__(self, arrivals: list[Arrival]) -> None:
        self.seconds = 0.0
        stepfunctions, self.stepfunctions = stubbed("stepfunctions")
        dynamodb, self.dynamodb = stubbed("dynamodb")
        self.tracker = Tracker(
            stepfunctions,
            dynamodb,
            OUTPUTS,
            arrivals=arrivals,
            clock=Began(),
            now=lambda: self.seconds,
        )

    def lists(self, *executions: dict[str, Any]) -> None:
        self.stepfunctions.add_response(
            "list_executions",
            {"executions": list(executions)},
            {"stateMachineArn": MACHINE, "maxResults": 1000},
        )

    def holds(self, asked: list[Arrival], *items: dict[str, Any]) -> None:
        keys = [{"picture": {"S": f"s3://{BUCKET}/{a.key}"}, "version_id": {"S": str(a.version_id)}} for a in asked]
        self.dynamodb.add_response(
            "batch_get_item",
            {"Responses": {"table": list(items)}},
            {"RequestItems": {"table": {"Keys": keys, "ConsistentRead": True}}},
        )

    def describes(self, name: str, of: Arrival, **changes: Any) -> None:
        told = {
            "executionArn": execution_arn(name),
            "stateMachineArn": MACHINE,
            "status": "FAILED",
            "startDate": 0,
            "error": "NotAPictureError",
            "cause": "it is HTML",
            "input": f'{{"bucket": {{"name": "{BUCKET}"}}, "object": {{"key": "{of.key}",'
            f' "version-id": "{of.version_id}"}}}}',
        } | changes
        self.stepfunctions.add_response("describe_execution", told, {"executionArn": execution_arn(name)})

    def look(self) -> int:
        pages = self.tracker.look()
        self.stepfunctions.assert_no_pending_responses()
        self.dynamodb.assert_no_pending_responses()
        return pages


def execution(name: str, status: str, began: float, stopped: float | None = None) -> dict[str, Any]:
    """Return what the list says; times are in seconds from the run's start."""
    told: dict[str, Any] = {
        "executionArn": execution_arn(name),
        "stateMachineArn": MACHINE,
        "name": name,
        "status": status,
        "startDate": datetime.fromtimestamp(BEGAN + began, UTC),
    }
    if stopped is not None:
        told["stopDate"] = datetime.fromtimestamp(BEGAN + stopped, UTC)
    return told


def test_an_outcome_that_nobody_knows_is_an_error_and_no_guess():
    one = uploaded("a")
    client, stub = stubbed("dynamodb")
    stub.add_response("batch_get_item", {"Responses": {"table": [item(one, "lost", "e")]}})
    with pytest.raises(UnknownOutcomeError, match=r"'lost' of inbox/run/a.*accepted, review"):
        read_ledger(client, "table", BUCKET, [one])


def test_an_item_of_a_stack_that_writes_no_outcome_is_an_error_too():
    one = uploaded("a")
    old = item(one, "accepted", "e")
    del old["outcome"]
    client, stub = stubbed("dynamodb")
    stub.add_response("batch_get_item", {"Responses": {"table": [old]}})
    with pytest.raises(UnknownOutcomeError, match="deployed stack"):
        read_ledger(client, "table", BUCKET, [one])


def test_a_review_that_is_claimed_and_not_queued_is_no_outcome_yet():
    one = uploaded("a")
    world = World([one])
    world.lists()
    world.holds([one], item(one, "review", "e", queued={"BOOL": False}))
    world.look()
    assert one.place is None
    assert world.tracker.waiting() == [one]


@pytest.mark.parity("dynamodb-batch-get")
def test_what_the_table_left_unread_is_asked_again():
    one = uploaded("a")
    world = World([one])
    world.lists()
    world.holds([one])
    world.look()
    world.lists()
    world.holds([one], item(one, "accepted", "e"))
    world.look()
    assert one.place == "accepted"


@pytest.mark.parity("dynamodb-batch-get")
def test_the_table_is_asked_for_a_hundred_keys_at_a_time():
    arrivals = [uploaded(f"{n}") for n in range(201)]
    world = World(arrivals)
    world.lists()
    for start in (0, 100, 200):
        world.holds(arrivals[start : start + 100])
    world.look()


def test_nothing_is_asked_before_anything_is_uploaded_or_once_all_is_known():
    done = uploaded("a", place="accepted", stopped=1.0)
    assert World([arrival("b"), arrival("c", upload_error="SlowDown: x"), done]).look() == 0


def test_an_accepted_picture_costs_no_describe():
    one = uploaded("a")
    world = World([one])
    world.lists(execution("e", "SUCCEEDED", 1, 2.5))
    world.holds([one], item(one, "accepted", "e"))
    assert world.look() == 1
    assert (one.place, one.label, one.confidence) == ("accepted", "bicycle", 0.97)
    assert one.stopped == BEGAN + 2.5
    assert world.tracker.waiting() == []


def test_a_queued_review_has_a_guess_and_no_label_and_costs_no_describe():
    one = uploaded("a")
    world = World([one])
    world.lists(execution("e", "FAILED", 1, 3))
    world.holds([one], item(one, "review", "e"))
    world.look()
    assert (one.place, one.label, one.guess) == ("review", None, "motorcycle")
    assert one.stopped == BEGAN + 3


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, "NotAPictureError"),
        ({"status": "TIMED_OUT", "error": "States.Timeout"}, "States.Timeout"),
        ({"status": "ABORTED", "error": "", "cause": ""}, "ABORTED"),
    ],
)
def test_a_failed_picture_has_the_name_of_its_error(changes, error):
    one = uploaded("a")
    world = World([one])
    world.lists(execution("e", changes.get("status", "FAILED"), 1, 3))
    world.holds([one])
    world.describes("e", one, **changes)
    world.look()
    assert (one.place, one.error, one.stopped) == ("failed", error, BEGAN + 3)


def test_a_review_that_only_its_execution_tells_of_is_a_review():
    one = uploaded("a")
    world = World([one])
    world.lists(execution("e", "FAILED", 1, 3))
    world.holds([one])
    world.describes("e", one, error="THRESHOLD_CONFIDENCE_NOT_MET")
    world.look()
    assert one.place == "review"


def test_a_failed_execution_of_another_run_is_described_once_and_forgotten():
    ours, theirs = uploaded("a"), uploaded("theirs")
    world = World([ours])
    world.lists(execution("e", "FAILED", 1, 3))
    world.holds([ours])
    world.describes("e", theirs)
    world.look()
    world.lists(execution("e", "FAILED", 1, 3))
    world.holds([ours])
    world.look()
    assert ours.place is None


def test_a_failure_that_was_quicker_than_the_answer_to_the_upload_is_not_forgotten():
    quick, slow = uploaded("quick"), uploaded("slow")
    version, quick.version_id = quick.version_id, None  # S3 has it, and has not said so yet
    world = World([quick, slow])
    world.lists(execution("e", "FAILED", 1, 1.1))
    world.holds([slow])
    world.describes("e", uploaded("quick"))
    world.look()
    quick.version_id = version
    world.lists(execution("e", "FAILED", 1, 1.1))
    world.holds([quick, slow])
    world.look()
    assert (quick.place, quick.error, quick.stopped) == ("failed", "NotAPictureError", BEGAN + 1.1)


def test_a_failed_execution_of_an_older_version_of_the_key_is_not_ours():
    ours = uploaded("a")
    world = World([ours])
    world.lists(execution("e", "FAILED", 1, 3))
    world.holds([ours])
    world.describes("e", uploaded("a", version_id="older"))
    world.look()
    assert ours.place is None


@pytest.mark.parity("states-describe")
def test_failures_are_described_no_faster_than_aws_allows_the_oldest_first(monkeypatch):
    monkeypatch.setattr("operations.sending.tracking.MOST_DESCRIBES", 5)
    arrivals = [uploaded(f"{n}") for n in range(13)]
    world = World(arrivals)
    failed = [execution(f"{n}", "FAILED", 1, 3 + n) for n in range(13)]

    def look(described: list[Arrival]) -> None:
        world.lists(*reversed(failed))
        world.holds([a for a in arrivals if a.place is None])
        for one in described:
            world.describes(one.key.rpartition("/")[2], one)
        world.look()

    look(arrivals[:5])
    look([])
    world.seconds += 2 / DESCRIBES_PER_S
    look(arrivals[5:7])
    world.seconds += 3600  # in which no more than the most is saved up
    look(arrivals[7:12])
    world.seconds += 1 / DESCRIBES_PER_S
    look(arrivals[12:])
    assert {a.place for a in arrivals} == {"failed"}


def test_what_is_saved_up_for_descriptions_has_a_limit():
    assert MOST_DESCRIBES + LOOK_EVERY_S * DESCRIBES_PER_S < 250


def test_the_item_of_a_second_execution_wins_over_the_failure_of_the_first():
    one = uploaded("a")
    world = World([one])
    world.lists(execution("first", "FAILED", 1, 3), execution("second", "RUNNING", 1))
    world.holds([one])
    world.describes("first", one)
    world.look()
    assert one.place == "failed"
    world.holds([one], item(one, "accepted", "second"))
    world.tracker.last_look()
    assert (one.place, one.error, one.cause, one.label) == ("accepted", None, None, "bicycle")
    assert one.execution_arn == execution_arn("second")
    assert one.stopped is None  # the first one's end is not this answer's


def test_a_picture_whose_end_is_not_listed_is_not_waited_for_without_end():
    one = uploaded("a")
    world = World([one])
    world.lists()
    world.holds([one], item(one, "accepted", "e"))
    world.look()
    world.seconds = STOP_TIME_GRACE_S - 0.1
    assert world.tracker.waiting() == [one]
    world.seconds = STOP_TIME_GRACE_S
    assert world.tracker.waiting() == []
    assert one.stopped is None


@pytest.mark.parity("states-describe")
def test_the_list_is_read_no_further_back_than_the_oldest_open_picture():
    done = uploaded("done", at=0, place="accepted", stopped=1.0)
    one = uploaded("a", at=100)
    world = World([done, one])
    world.stepfunctions.add_response(
        "list_executions",
        {
            "executions": [
                execution("new", "SUCCEEDED", 101, 102),
                execution("old", "FAILED", 100 - MARGIN_S - 1, 99),
            ],
            "nextToken": "a page that is not asked for",
        },
        {"stateMachineArn": MACHINE, "maxResults": 1000},
    )
    world.holds([one], item(one, "accepted", "new"))
    assert world.look() == 1
    assert one.stopped == BEGAN + 102


def test_pages_are_counted_so_that_the_next_look_can_wait_for_them():
    client, stub = stubbed("stepfunctions")
    asked = {"stateMachineArn": MACHINE, "maxResults": 1000}
    stub.add_response("list_executions", {"executions": [execution("b", "RUNNING", 2)], "nextToken": "t"}, asked)
    stub.add_response(
        "list_executions",
        {"executions": [execution("a", "ABORTED", 1, 2)]},
        asked | {"nextToken": "t"},
    )
    ended, pages = ended_since(client, MACHINE, BEGAN)
    assert ([e.arn for e in ended], pages) == ([execution_arn("a")], 2)


@pytest.mark.parametrize(
    ("given", "picture"),
    [
        ('{"s3_bucket": "b", "s3_key": "k", "s3_version_id": "v"}', ("k", "v")),
        ('{"s3_bucket": "b", "s3_key": "k"}', ("k", "null")),
        (
            '{"bucket": {"name": "b"}, "object": {"key": "a b+ü\\"", "version-id": "v"}}',
            ('a b+ü"', "v"),
        ),
        ('{"bucket": {"name": "b"}, "object": {"key": "k"}}', ("k", "null")),
        ("", ("", "")),
        ("not JSON", ("", "")),
        ("[1]", ("", "")),
        ('{"object": []}', ("", "")),
        ('{"image_data": ""}', ("", "")),
    ],
)
def test_the_picture_is_read_off_any_input(given, picture):
    assert picture_of(given) == picture


def test_an_execution_without_a_visible_input_is_of_no_picture():
    client, stub = stubbed("stepfunctions")
    stub.add_response(
        "describe_execution",
        {"executionArn": "a" * 10, "stateMachineArn": MACHINE, "status": "FAILED", "startDate": 0},
    )
    assert describe_failure(client, "a" * 10) == ("", "", "FAILED", "")


def test_throttling_keeps_the_tracker_going_and_is_told(monkeypatch):
    one = uploaded("a")
    world = World([one])
    stop = Event()
    world.stepfunctions.add_client_error("list_executions", "ThrottlingException", "Rate exceeded")
    monkeypatch.setattr(stop, "wait", lambda _: stop.set())
    world.tracker.follow(stop)
    assert "Rate exceeded" in world.tracker.trouble


def test_what_does_not_pass_ends_the_tracking():
    one = uploaded("a")
    world = World([one])
    world.stepfunctions.add_client_error("list_executions", "AccessDeniedException", "no")
    with pytest.raises(Exception, match="AccessDeniedException"):
        world.tracker.follow(Event())


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (client_error("ThrottlingException", "x"), True),
        (client_error("ProvisionedThroughputExceededException", "x"), True),
        (client_error("ExpiredTokenException", "x"), False),
        (client_error("ResourceNotFoundException", "x"), False),
        (EndpointConnectionError(endpoint_url="x"), True),
        (ValueError("a bug"), False),
    ],
)
def test_what_passes_is_told_from_what_does_not(error, passing):
    assert passes(error) is passing
