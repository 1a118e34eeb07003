"""A run from the first upload to the last outcome, and everything that ends it earlier."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from common.errors import ExpectedError
from operations.sending.arrivals import Arrival
from operations.sending.running import carry_out
from operations.sending.uploading import Sender
from tests.unit.aws_stubs import client_error
from tests.unit.operations.arrivals import LATER_S, FakeS3, arrival

REFUSING = client_error("NoSuchBucket", "gone")


class FakeTracker:
    """A tracker that does at each poll what a test says."""

    def __init__(self, arrivals: list[Arrival], poll: Callable[[], None] = lambda: None) -> None:
        self.arrivals = arrivals
        self.poll = poll
        self.last_polls = 0

    def follow(self, stop: Event) -> None:
        end = time.monotonic() + LATER_S
        while not stop.wait(0.01):
            assert time.monotonic() < end, "the tracker is never stopped"
            self.poll()

    def waiting(self) -> list[Arrival]:
        return [a for a in self.arrivals if a.version_id and not a.outcome]

    def last_poll(self) -> None:
        self.last_polls += 1


def pictures(*, later: bool = False) -> list[Arrival]:
    """Return two pictures that are sent at once, and one that a test does not wait for."""
    arrivals = [arrival("a"), arrival("b", at=0.05), *([arrival("later", at=LATER_S)] if later else [])]
    for one in arrivals:
        one.body = b"x"
    return arrivals


def carried_out(arrivals: list, tracker: Any, error: Exception | None = None, **given: Any) -> Any:
    """Carry the run out; fail if it lasts until the later picture is due."""
    stop, began = Event(), time.monotonic()
    errors = {one.key: error for one in arrivals} if error else None
    options = dict[str, Any](wait_s=LATER_S, tick=lambda: None) | given
    try:
        return carry_out(Sender(FakeS3(errors), "b", stop), tracker, arrivals, stop=stop, **options)
    finally:
        assert time.monotonic() - began < LATER_S


def raise_after_two(arrivals: list[Arrival], raised: Any) -> Callable[[], None]:
    def call() -> None:
        if arrivals[1].version_id:
            raise raised

    return call


def test_expected_error_of_the_tracker_ends_the_run_as_its_problem():
    arrivals = pictures(later=True)
    tracker = FakeTracker(arrivals, raise_after_two(arrivals, ExpectedError("you may not list executions")))
    end = carried_out(arrivals, tracker)
    assert isinstance(end.problem, ExpectedError)
    assert (end.interrupted, tracker.last_polls) == (False, 0)
    assert arrivals[2].version_id is None


def test_refused_uploads_are_the_runs_problem():
    arrivals = pictures()
    assert "gone" in str(carried_out(arrivals, FakeTracker(arrivals), REFUSING).problem)


def test_bug_of_the_tracker_is_raised_and_ends_the_sending():
    arrivals = pictures(later=True)
    with pytest.raises(KeyError, match="guess"):
        carried_out(arrivals, FakeTracker(arrivals, raise_after_two(arrivals, KeyError("guess"))))
    assert arrivals[2].version_id is None


def test_bug_of_the_tracker_is_raised_also_if_uploads_are_refused(monkeypatch):
    arrivals = pictures()
    tracker = FakeTracker(arrivals)

    def follow(stop: Event) -> None:
        assert stop.wait(LATER_S)
        raise KeyError("guess")

    monkeypatch.setattr(tracker, "follow", follow)
    with pytest.raises(KeyError, match="guess"):
        carried_out(arrivals, tracker, REFUSING)


@pytest.mark.parametrize("raised", [SystemExit, KeyError])
@pytest.mark.parametrize("when", ["sending", "waiting"])
def test_exception_of_the_progress_ends_the_run(raised, when):
    """Rich raises SystemExit when stdout is closed."""
    arrivals = pictures(later=when == "sending")
    with pytest.raises(raised):
        carried_out(arrivals, FakeTracker(arrivals), tick=raise_after_two(arrivals, raised))


def test_permanent_error_of_the_last_poll_is_the_runs_problem(monkeypatch):
    arrivals = pictures()
    tracker = FakeTracker(arrivals)
    expired = client_error("ExpiredTokenException", "too old")
    monkeypatch.setattr(tracker, "last_poll", raise_after_two(arrivals, expired))
    assert "too old" in str(carried_out(arrivals, tracker, wait_s=0).problem)


def test_wait_for_outcomes_is_limited():
    arrivals = pictures()
    tracker = FakeTracker(arrivals)
    assert carried_out(arrivals, tracker, wait_s=0.3) == (False, None)
    assert len(tracker.waiting()) == 2


def test_run_ends_with_the_last_outcome():
    arrivals = pictures()

    def accept() -> None:
        for one in arrivals:
            if one.version_id:
                one.outcome = "accepted"

    tracker = FakeTracker(arrivals, accept)
    assert carried_out(arrivals, tracker) == (False, None)
    assert {a.outcome for a in arrivals} == {"accepted"}
    assert tracker.last_polls == 1


def test_run_without_a_tracker_ends_with_the_last_upload():
    arrivals = pictures()
    assert carried_out(arrivals, None) == (False, None)
    assert all(a.version_id for a in arrivals)


@pytest.mark.parametrize("when", ["sending", "waiting"])
def test_interrupt_ends_the_run_with_what_is_known(when):
    arrivals = pictures(later=when == "sending")
    interrupts = iter([True])

    def tick() -> None:
        if arrivals[1].version_id and next(interrupts, False):
            raise KeyboardInterrupt

    assert carried_out(arrivals, FakeTracker(arrivals), tick=tick) == (True, None)
    assert [bool(a.version_id) for a in arrivals[:2]] == [True, True]
