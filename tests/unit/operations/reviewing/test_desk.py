"""The desk: each picture is on one page, and no decision is lost or repeated, whatever fails."""

import threading
import time
from contextlib import contextmanager
from unittest.mock import Mock, patch

import pytest

from common.labels.label import NEITHER, LabelError
from operations.reviewing.desk import AHEAD, SKIP_SECONDS, DeskClosedError, UnknownAnswerError
from operations.reviewing.page_picture import PagePicture
from tests.unit.aws_stubs import client_error
from tests.unit.operations.review_backend import HOLD, MODEL, Office, body, label

DOWN = client_error("ServiceUnavailable", "not now")


@pytest.fixture
def clock(monkeypatch):
    """Return a function that advances the clock by seconds."""
    now = [1000.0]
    monkeypatch.setattr("operations.reviewing.desk.time.monotonic", lambda: now[-1])
    return lambda seconds: now.append(now.pop() + seconds)


def at_desk(count=1):
    """Return an office with so many pictures in review, a desk, and the ids that its page shows."""
    office = Office(*map(body, range(count)))
    desk = office.desk()
    return office, desk, ids(desk.poll("page"))


def run_threads(target, names):
    threads = [threading.Thread(target=target, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


@contextmanager
def failing(store, method):
    """Expect the body to raise the error of a store's method, which fails meanwhile."""
    with patch.object(store, method, side_effect=DOWN), pytest.raises(type(DOWN)):
        yield


def keys(view):
    return [held.question.picture.key for held in view.pictures]


def ids(view):
    return [held.message.message_id for held in view.pictures]


def test_decision_is_in_bucket_and_table_and_its_message_is_deleted_with_the_next():
    office, desk, (first, second) = at_desk(3)
    view = desk.decide("page", first, "motorcycle")
    assert office.decisions() == {"inbox/0.png": "motorcycle"}
    [written] = office.labels.stored.values()
    assert (written.decided_by, written.model) == ("ada", MODEL)
    assert first in office.queue.bodies
    assert (view.last.label.label, ids(view), view.note) == ("motorcycle", [second], "")
    desk.decide("page", second, NEITHER)
    assert first not in office.queue.bodies
    assert second in office.queue.bodies
    assert desk.decided == {"motorcycle": 1, NEITHER: 1}


@pytest.mark.parametrize(
    ("picture", "refused", "reason"),
    [
        (PagePicture(b"png", "image/png", 32, 32), ["truck"], r"whose classes are \('bicycle', 'motorcycle'\)"),
        (PagePicture(problem="You may not read it."), ["bicycle", NEITHER], "cannot be shown"),
        (PagePicture(problem="It is gone.", permanent=True), ["bicycle"], "cannot be shown"),
    ],
    ids=["shown", "refused now", "gone"],
)
def test_answer_that_the_picture_does_not_have_is_refused(picture, refused, reason):
    office = Office(body(0))
    office.read = lambda _: picture
    desk = office.desk()
    desk.poll("page")
    for answer in refused:
        with pytest.raises(UnknownAnswerError, match=f"'{answer}' is not an answer .*{reason}"):
            desk.decide("page", "m0", answer)
    assert (ids(desk.poll("page")), office.decisions()) == (["m0"], {})
    if NEITHER not in refused:
        desk.decide("page", "m0", NEITHER)
        assert office.decisions() == {"inbox/0.png": NEITHER}


def test_picture_of_another_page_is_not_decided():
    office, desk, _ = at_desk()
    view = desk.decide("another", "m0", "bicycle")
    assert (view.pictures, office.decisions()) == ((), {})
    assert "gone back" in view.note
    assert "gone back" in desk.skip("another", "m0").note


@pytest.mark.parametrize("repeated", ["the same message", "another message"])
def test_repeated_message_is_asked_once(repeated):
    office = Office(body(0), *([body(0)] if repeated == "another message" else []))
    desk = office.desk()
    [held] = desk.poll("one").pictures
    if repeated == "the same message":
        office.queue.reappear()
    assert desk.poll("two").pictures == ()
    if repeated == "the same message":
        assert held.message.receipt == "m0-2"  # only the newest deletes it
    desk.decide("one", "m0", "bicycle")
    desk.close()
    office.queue.reappear()
    assert office.desk("next").poll("page").pictures == ()
    assert office.queue.bodies == {}


def test_undo_removes_the_decision_and_shows_the_picture_again():
    office, desk, (first, second) = at_desk(2)
    desk.decide("page", first, "motorcycle")
    view = desk.undo("page")
    assert (ids(view), view.last, office.decisions()) == ([first, second], None, {})
    assert office.queue.hidden[first] == HOLD
    desk.decide("page", first, "bicycle")
    assert office.decisions() == {"inbox/0.png": "bicycle"}
    assert desk.decided["motorcycle"] == 0


def test_undo_is_possible_for_the_last_decision_and_for_a_minute(clock):
    office, desk, (first, second) = at_desk(2)
    desk.decide("page", first, "bicycle")
    desk.decide("page", second, "bicycle")
    desk.undo("page")
    assert "nothing to undo" in desk.undo("page").note
    assert office.decisions() == {"inbox/0.png": "bicycle"}
    desk.decide("page", second, "bicycle")
    clock(61)
    desk.heartbeat("page")
    desk.sweep()
    assert office.queue.bodies == {}
    assert "nothing to undo" in desk.undo("page").note
    assert office.decisions() == dict.fromkeys(("inbox/0.png", "inbox/1.png"), "bicycle")


def test_undo_of_a_decision_changed_elsewhere_is_refused():
    office, desk, _ = at_desk()
    desk.decide("page", "m0", "bicycle")
    office.table.stored.clear()
    assert "changed elsewhere" in desk.undo("page").note
    assert len(office.labels.stored) == 1


@pytest.mark.parametrize(("store", "method"), [("table", "undo"), ("labels", "delete")])
@pytest.mark.parametrize("then", ["decides", "closes", "waits"])
def test_decision_stands_after_a_failed_undo(clock, store, method, then):
    # GIVEN an undo that fails at the record, or between the record and the label
    office, desk, (first, second) = at_desk(2)
    desk.decide("page", first, "bicycle")
    with failing(getattr(office, store), method):
        desk.undo("page")

    # WHEN the reviewer goes on, or does not
    if then == "decides":
        desk.decide("page", second, "motorcycle")
    elif then == "waits":
        clock(61)
        desk.sweep()
    desk.close()

    # THEN the message comes back, and finishes the decision
    assert first in office.queue.bodies
    office.queue.reappear()
    view = office.desk("bob").poll("page")
    assert keys(view) == ([] if then == "decides" else ["inbox/1.png"])
    decided = {"inbox/0.png": "bicycle"} | ({"inbox/1.png": "motorcycle"} if then == "decides" else {})
    assert office.decisions() == decided
    assert first not in office.queue.bodies


def test_skipped_picture_is_hidden_and_the_skip_can_be_undone():
    office, desk, (first, second) = at_desk(2)
    assert ids(desk.skip("page", first)) == [second]
    assert office.queue.hidden[first] == SKIP_SECONDS
    assert ids(desk.undo("page")) == [first, second]
    assert office.queue.hidden[first] == HOLD
    assert office.decisions() == {}


def test_earlier_decision_of_another_reviewer_stands():
    office, desk, _ = at_desk()
    office.labels.put(label(0, "motorcycle", by="bob"))
    view = desk.decide("page", "m0", "bicycle")
    assert (view.note, view.last) == ("bob was first, and decided motorcycle.", None)
    assert office.decisions() == {"inbox/0.png": "motorcycle"}
    assert office.queue.bodies == {}
    assert desk.decided == {}


def test_accepted_answer_of_the_workflow_stands():
    office, desk, _ = at_desk()
    office.table.accepted.add(label(0).question.picture)
    view = desk.decide("page", "m0", "motorcycle")
    assert "has this picture as accepted: bicycle. That answer stands" in view.note
    assert (office.labels.stored, office.queue.bodies) == ({}, {})


def test_label_that_contradicts_the_table_is_deleted():
    # GIVEN the label of a server that was killed, and an answer accepted before its record
    office = Office(body(0))
    earlier = label(0, "motorcycle", by="bob")
    office.labels.put(earlier)
    office.table.accepted.add(earlier.question.picture)
    desk = office.desk()

    # WHEN the label cannot be deleted, THEN the message stays
    with failing(office.labels, "delete"):
        desk.poll("page")
    assert list(office.queue.bodies) == office.queue.visible == ["m0"]

    # AND once it can, both go
    assert desk.poll("page").pictures == ()
    assert (office.labels.stored, office.queue.bodies) == ({}, {})
    assert "as accepted: bicycle. That answer stands." in office.warnings[-1]
    assert "The label motorcycle is deleted." in office.warnings[-1]


@pytest.mark.parametrize("again", ["bicycle", "motorcycle"])
def test_label_whose_write_was_not_acknowledged_stands_as_the_reviewers_own(again):
    office, desk, _ = at_desk()
    put = office.labels.put

    def lose_answer(one):
        put(one)
        raise DOWN

    with patch.object(office.labels, "put", lose_answer), pytest.raises(type(DOWN)):
        desk.decide("page", "m0", "bicycle")
    view = desk.decide("page", "m0", again)
    assert office.decisions() == {"inbox/0.png": "bicycle"}
    assert (view.last.label.label, desk.decided) == ("bicycle", {"bicycle": 1})
    assert view.note == ("" if again == "bicycle" else "Your first answer, bicycle, was written.")
    assert ids(desk.undo("page")) == ["m0"]
    desk.decide("page", "m0", "motorcycle")
    assert office.decisions() == {"inbox/0.png": "motorcycle"}


def test_repeated_request_is_handled_once():
    office, desk, (first, second) = at_desk(3)
    desk.decide("page", first, "bicycle")
    view = desk.decide("page", first, "bicycle")  # the page did not get the answer
    assert (view.note, ids(view), view.last.label.label) == ("", [second], "bicycle")
    view = desk.decide("page", first, "motorcycle")
    assert view.note == "Your first answer, bicycle, was written."
    desk.skip("page", second)
    assert desk.skip("page", second).note == ""
    assert "skipped" in desk.decide("page", second, "bicycle").note
    assert office.decisions() == {"inbox/0.png": "bicycle"}


@pytest.mark.parametrize(("store", "method"), [("labels", "put"), ("table", "record")])
def test_failed_write_keeps_the_picture_and_the_next_attempt_completes_it(store, method):
    office, desk, _ = at_desk()
    with failing(getattr(office, store), method):
        desk.decide("page", "m0", "bicycle")
    view = desk.poll("page")
    assert (ids(view), view.last) == (["m0"], None)
    view = desk.decide("page", "m0", "motorcycle")
    first = store == "table"  # whose label had been written
    assert ("Your first answer, bicycle" in view.note) is first
    assert office.decisions() == {"inbox/0.png": "bicycle" if first else "motorcycle"}


@pytest.mark.parametrize("written", ["nothing", "label", "label and record"])
def test_killed_server_loses_nothing_and_shows_no_picture_twice(written):
    # GIVEN a server that was killed in the middle of a decision
    office, desk, _ = at_desk()
    if written == "label":
        with failing(office.table, "record"):
            desk.decide("page", "m0", "bicycle")
    elif written == "label and record":
        desk.decide("page", "m0", "bicycle")

    # WHEN the message comes back to the next one
    office.queue.reappear()
    next_desk = office.desk("bob")
    view = next_desk.poll("page")

    # THEN a picture with a label is completed, and one without is asked
    assert keys(view) == (["inbox/0.png"] if written == "nothing" else [])
    if written == "nothing":
        next_desk.decide("page", "m0", "bicycle")
        next_desk.close()
    assert office.decisions() == {"inbox/0.png": "bicycle"}
    assert office.queue.bodies == {}


def test_closed_page_and_closed_desk_give_undecided_pictures_back():
    office = Office(*map(body, range(5)))
    desk = office.desk()
    first, second = ids(desk.poll("one"))
    desk.poll("two")
    desk.decide("one", first, "bicycle")
    desk.leave("one")
    assert (office.queue.hidden[second], first in office.queue.bodies) == (0, False)
    assert desk.picture(second) is None
    desk.leave("one")  # twice does no harm
    desk.close()
    assert sorted(office.queue.visible) == list(office.queue.bodies) == ["m1", "m2", "m3", "m4"]
    with pytest.raises(DeskClosedError, match="ending"):
        desk.poll("three")


def test_page_keeps_its_pictures_with_a_heartbeat_only(clock):
    office = Office(*map(body, range(4)))
    desk = office.desk()
    desk.poll("open")
    desk.poll("silent")
    for _ in range(4):
        clock(HOLD / 4)
        office.queue.hidden.clear()
        view = desk.heartbeat("open")
        desk.sweep()
    assert ids(view) == ["m0", "m1"]
    assert office.queue.hidden == {"m0": HOLD, "m1": HOLD}
    assert office.queue.visible == ["m2", "m3"]


def test_message_received_elsewhere_is_neither_kept_nor_given_back():
    office = Office(body(0), body(1))
    desk, other = office.desk(), office.desk("bob")
    desk.poll("page")
    desk.decide("page", "m0", "bicycle")
    office.queue.reappear()  # this server was not heard of for too long
    assert ids(other.poll("page")) == ["m1"]  # and m0 is finished there
    view = desk.undo("page")
    assert (ids(view), view.note) == (["m1"], "It is undone, and the picture is in the queue again.")
    assert ids(desk.heartbeat("page")) == []
    desk.close()
    assert office.queue.hidden["m1"] == HOLD
    assert office.queue.visible == []
    other.decide("page", "m1", "bicycle")
    other.close()
    assert list(office.queue.bodies.values()) == [body(0)]  # queued anew by the undo
    assert office.decisions() == {"inbox/1.png": "bicycle"}


def test_page_closed_during_a_poll_keeps_no_pictures():
    office = Office(body(0))
    desk = office.desk()
    office.queue.polled = lambda: desk.leave("page")
    assert desk.poll("page").pictures == ()
    assert office.queue.visible == ["m0"]


def test_second_poll_does_not_wait_for_the_first():
    office = Office(body(0))
    desk = office.desk()
    polling, go_on = threading.Event(), threading.Event()

    def poll():
        polling.set()
        assert go_on.wait(10)

    office.queue.polled = poll
    thread = threading.Thread(target=desk.poll, args=["page"])
    thread.start()
    assert polling.wait(10)
    assert desk.poll("page").pictures == ()
    go_on.set()
    thread.join(10)
    assert ids(desk.heartbeat("page")) == ["m0"]


def test_pictures_that_cannot_be_read_now_are_given_back():
    office = Office(body(0), body(1))
    with failing(office, "read"):
        office.desk().poll("page")
    assert sorted(office.queue.visible) == ["m0", "m1"]


def test_two_messages_of_one_picture_at_the_same_time_are_asked_once():
    office = Office(body(0), body(0))
    both, receiving = threading.Barrier(2), threading.Lock()

    def read(_):
        both.wait(10)  # neither page has the picture yet
        return PagePicture(b"png", "image/png", 32, 32)

    def receive(most, receive=office.queue.receive):
        assert most == AHEAD
        with receiving:
            return receive(1)

    office.queue.receive, office.read = receive, read  # type: ignore[method-assign]
    desk = office.desk()
    run_threads(desk.poll, ("one", "two"))
    assert sorted(len(desk.heartbeat(name).pictures) for name in ("one", "two")) == [0, 1]


@pytest.mark.parametrize("then", ["nothing", "another decision"])
def test_undo_during_a_sweep_succeeds(monkeypatch, clock, then):
    office, desk, _ = at_desk()
    desk.decide("page", "m0", "bicycle")
    clock(61)
    now, calls = time.monotonic(), []

    def monotonic():
        calls.append(now)
        if len(calls) == 2:  # the sweep has seen the decision, and now it goes
            desk.undo("page")
            if then == "another decision":
                desk.decide("page", "m0", "motorcycle")
        return now

    monkeypatch.setattr("operations.reviewing.desk.time.monotonic", monotonic)
    desk.sweep()
    assert "m0" in office.queue.bodies
    assert office.decisions() == ({} if then == "nothing" else {"inbox/0.png": "motorcycle"})
    assert ("nothing to undo" in desk.undo("page").note) is (then == "nothing")


def test_message_without_a_picture_is_skipped_with_a_warning():
    office = Office("no json", body(1))
    assert keys(office.desk().poll("page")) == ["inbox/1.png"]
    assert office.queue.hidden["m0"] == SKIP_SECONDS
    assert "names no picture" in office.warnings[0]


def test_damaged_label_hides_its_picture_with_a_warning():
    office = Office(body(0))
    damaged = LabelError("s3://b/labels/x.json is not a label")
    with patch.object(office.labels, "find", side_effect=damaged):
        assert office.desk().poll("page").pictures == ()
    assert office.warnings == ["s3://b/labels/x.json is not a label"]
    assert office.queue.hidden["m0"] == SKIP_SECONDS


def test_decision_stands_if_the_queue_does_not_answer():
    office, desk, (first, second) = at_desk(2)
    desk.decide("page", first, "bicycle")
    with patch.multiple(office.queue, **dict.fromkeys(("delete", "hide", "waiting"), Mock(side_effect=DOWN))):
        desk.decide("page", second, "bicycle")
        desk.close()
    assert len(office.decisions()) == 2
    assert "comes back once" in office.warnings[0]


def test_page_beyond_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr("operations.reviewing.desk.MAX_PAGES", 2)
    desk = Office().desk()
    for page in ("one", "two", "one"):
        desk.poll(page)
    with pytest.raises(DeskClosedError, match="2 pages are open"):
        desk.poll("three")


def test_waiting_and_put_off_pictures_are_counted():
    office = Office(*map(body, range(7)))
    desk, other = office.desk(), office.desk("bob")
    other.poll("page")
    view = desk.poll("page")
    assert (view.waiting, view.put_off) == (3, 2)
    with patch.object(office.queue, "waiting", side_effect=DOWN):
        view = office.desk().heartbeat("page")
    assert (view.waiting, view.put_off) == (None, None)


def test_many_pages_at_once_decide_each_picture_once():
    office = Office(*map(body, range(120)))
    lock = threading.Lock()

    def one_at_a_time(method):
        def call(*arguments):
            with lock:
                return method(*arguments)

        return call

    for store, name in ((office.queue, "receive"), (office.labels, "put"), (office.table, "record")):
        setattr(store, name, one_at_a_time(getattr(store, name)))
    desk = office.desk()

    def work(name):
        while view := desk.poll(name).pictures:
            desk.decide(name, view[0].message.message_id, "bicycle")

    run_threads(work, [f"page{n}" for n in range(6)])
    desk.close()
    assert len(office.decisions()) == desk.decided["bicycle"] == 120
    assert office.queue.bodies == {}
    assert office.warnings == []
