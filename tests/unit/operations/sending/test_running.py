"""A run from the first upload to the last answer, and what ends it before."""

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
from tests.unit.operations.arrivals import arrival

LATER_S = 30.0  # what a run must not last: a test that fails takes no longer


class S3:
    """Takes every object, or raises the error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def put_object(self, **_: Any) -> dict[str, str]:
        if self.error:
            raise self.error
        return {"VersionId": "v"}


class Answers:
    """A tracker that does at each look what a test says."""

    def __init__(self, arrivals: list[Arrival], look: Callable[[], None]) -> None:
        self.arrivals = arrivals
        self.look = look
        self.looked_last = 0

    def follow(self, stop: Event) -> None:
        end = time.monotonic() + LATER_S
        while not stop.wait(0.01):
            assert time.monotonic() < end, "nobody tells the tracker to stop"
            self.look()

    def waiting(self) -> list[Arrival]:
        return [a for a in self.arrivals if a.version_id and not a.place]

    def last_look(self) -> None:
        self.looked_last += 1


def two() -> list[Arrival]:
    arrivals = [arrival("a"), arrival("b", at=0.05)]
    for one in arrivals:
        one.body = b"x"
    return arrivals


def carried_out(arrivals: list, tracker: Any, s3: S3 | None = None, **given: Any) -> Any:
    """Carry the run out; one that lasts as long as it may fails the test."""
    stop, began = Event(), time.monotonic()
    try:
        return carry_out(
            Sender(s3 or S3(), "b", stop),
            tracker,
            arrivals,
            stop=stop,
            **dict[str, Any](wait_s=LATER_S, tick=lambda: None) | given,
        )
    finally:
        assert time.monotonic() - began < LATER_S


def no_look() -> None:
    """See nothing."""


def test_a_problem_of_the_tracking_ends_the_sending():
    arrivals = [*two(), arrival("later", at=LATER_S)]

    def denied() -> None:
        if arrivals[1].version_id:
            raise ExpectedError("you may not list executions")

    tracker = Answers(arrivals, denied)
    end = carried_out(arrivals, tracker)
    assert isinstance(end.problem, ExpectedError)
    assert (end.interrupted, tracker.looked_last) == (False, 0)
    assert arrivals[2].version_id is None


def test_uploads_that_are_all_refused_are_the_problem():
    arrivals = two()
    end = carried_out(arrivals, Answers(arrivals, no_look), S3(client_error("NoSuchBucket", "gone")))
    assert "gone" in str(end.problem)


def test_a_mistake_of_the_tracking_is_shown_in_full_and_ends_the_sending():
    arrivals = [*two(), arrival("later", at=LATER_S)]

    def stumble() -> None:
        raise KeyError("guess")

    with pytest.raises(KeyError, match="guess"):
        carried_out(arrivals, Answers(arrivals, stumble))
    assert arrivals[2].version_id is None


def test_a_mistake_of_the_tracking_is_shown_also_where_uploads_are_refused(monkeypatch):
    arrivals = two()
    tracker = Answers(arrivals, no_look)

    def stumble(stop: Event) -> None:
        assert stop.wait(LATER_S)
        raise KeyError("guess")

    monkeypatch.setattr(tracker, "follow", stumble)
    with pytest.raises(KeyError, match="guess"):
        carried_out(arrivals, tracker, S3(client_error("NoSuchBucket", "gone")))


@pytest.mark.parametrize("raised", [SystemExit, KeyError])
@pytest.mark.parametrize("when", ["sending", "waiting"])
def test_whatever_ends_the_progress_ends_the_run(raised, when):
    """Such as SystemExit, by which Rich ends a program whose lines nobody reads any more."""
    arrivals = [*two(), *([arrival("later", at=LATER_S)] if when == "sending" else [])]

    def tick() -> None:
        if arrivals[1].version_id:
            raise raised

    with pytest.raises(raised):
        carried_out(arrivals, Answers(arrivals, no_look), tick=tick)


def test_a_last_look_that_fails_for_good_is_the_problem(monkeypatch):
    arrivals = two()
    tracker = Answers(arrivals, no_look)

    def refuse() -> None:
        raise client_error("ExpiredTokenException", "too old")

    monkeypatch.setattr(tracker, "last_look", refuse)
    assert "too old" in str(carried_out(arrivals, tracker, wait_s=0).problem)


def test_answers_that_never_come_are_waited_for_so_long_and_no_longer():
    arrivals = two()
    tracker = Answers(arrivals, no_look)
    end = carried_out(arrivals, tracker, wait_s=0.3)
    assert end == (False, None)
    assert len(tracker.waiting()) == 2


def test_a_run_ends_with_the_last_answer():
    arrivals = two()

    def accept() -> None:
        for one in arrivals:
            if one.version_id:
                one.place = "accepted"

    tracker = Answers(arrivals, accept)
    assert carried_out(arrivals, tracker) == (False, None)
    assert {a.place for a in arrivals} == {"accepted"}
    assert tracker.looked_last == 1


def test_without_a_tracker_it_ends_with_the_last_upload():
    arrivals = two()
    assert carried_out(arrivals, None) == (False, None)
    assert all(a.version_id for a in arrivals)


@pytest.mark.parametrize("when", ["sending", "waiting"])
def test_an_interrupt_ends_it_with_what_is_known(when):
    arrivals = [*two(), *([arrival("later", at=LATER_S)] if when == "sending" else [])]
    interrupts = iter([True])

    def tick() -> None:
        if arrivals[1].version_id and next(interrupts, False):
            raise KeyboardInterrupt

    end = carried_out(arrivals, Answers(arrivals, no_look), tick=tick)
    assert end == (True, None)
    assert [a.version_id for a in arrivals[:2]] == ["v", "v"]
