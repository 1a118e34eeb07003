"""The send command: what it refuses, plans and reports."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import boto3
import pytest
from PIL import Image
from rich.console import Console

from common.errors import ExpectedError
from common.stack import StackNotFoundError, stack_outputs
from operations import send_pictures
from operations.send_pictures import DEFAULT_WAIT_S, End, carry_out, parse_arguments, plan
from operations.sending.arrivals import Arrival
from operations.sending.plan import NoPicturesError, TooManyPicturesError
from operations.sending.uploading import Sender
from tests.unit.aws_stubs import StubbedSession, allow_unused_responses, client_error, stack_response, stubbed
from tests.unit.operations.arrivals import BUCKET, LATER_S, OUTPUTS, FakeS3, arrival


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bicycle").mkdir()
    (tmp_path / "bicycle/a b.png").write_bytes(b"a")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    return tmp_path


@pytest.fixture
def session(monkeypatch):
    """The deployed stack, with clients that answer from a script."""
    made = StubbedSession()
    made.stub("cloudformation").add_response("describe_stacks", stack_response(OUTPUTS))
    monkeypatch.setattr(boto3, "Session", lambda: made)
    return made


def planned(*arguments: str) -> list:
    return plan(parse_arguments([*arguments]), "run", Console(file=io.StringIO()))


def test_missing_stack_is_an_error():
    client, stub = stubbed("cloudformation")
    stub.add_client_error("describe_stacks", "ValidationError", "Stack s does not exist")
    with pytest.raises(StackNotFoundError, match=r"no stack s .*`sam build && sam deploy`"):
        stack_outputs(client, "s")


@pytest.mark.parametrize(
    ("outputs", "missing"), [({}, "PicturesBucketName"), (OUTPUTS, "More")], ids=["no outputs", "older template"]
)
def test_stack_without_an_output_is_an_error_with_its_status(outputs, missing):
    client, stub = stubbed("cloudformation")
    stub.add_response("describe_stacks", stack_response(outputs, "ROLLBACK_COMPLETE"), {"StackName": "s"})
    with pytest.raises(StackNotFoundError, match=f"ROLLBACK_COMPLETE and has no output {missing}"):
        stack_outputs(client, "s", "More")


@pytest.mark.parametrize("name", ["nowhere", "hollow", "hidden"])
def test_path_without_visible_files_is_an_error(tmp_path, name):
    (tmp_path / "hollow").mkdir()
    (tmp_path / "hidden/.git").mkdir(parents=True)
    (tmp_path / "hidden/.git/a.png").write_bytes(b"a")
    with pytest.raises(NoPicturesError, match=name):
        planned(str(tmp_path / name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either PATH or --staged"),
        (["p", "--staged"], "give either PATH or --staged"),
        (["p", "--rate", "0", "--count", "1"], "'0' is not a number above 0"),
        (["p", "--rate", "1", "--duration", "0"], "'0' is not a number above 0"),
        (["p", "--rate", "1", "--count", "0"], "'0' is not a whole number above 0"),
        (["p", "--rate", "1"], "--rate needs either --duration or --count"),
        (["p", "--rate", "1", "--duration", "1", "--count", "1"], "either --duration or --count"),
        (["p", "--duration", "1"], "belong to --rate"),
        (["p", "--burst", "3", "--count", "1"], "belong to --rate"),
        (["p", "--burst", "0"], "'0' is not a whole number above 0"),
        (["p", "--burst", "3", "--rate", "1", "--count", "1"], "either --rate or --burst"),
        (["p", "--odd", "0.5"], "--odd belongs to --rate or --burst"),
        (["p", "--burst", "3", "--odd", "1.1"], "'1.1' is not a number from 0 to 1"),
        (["p", "--burst", "3", "--odd-kinds", "wet"], "invalid choice: 'wet'"),
        (["p", "--burst", "3", "--odd-kinds", "tiny"], "--odd-kinds needs --odd"),
        (["p", "--burst", "3", "--odd", "0", "--odd-kinds", "tiny"], "--odd-kinds needs --odd"),
        (["p", "--wait", "-1"], "'-1' is not a number of seconds, 0 or more"),
        (["p", "--wait", "1", "--no-wait"], "not allowed with argument"),
        (["p", "--max", "0"], "'0' is not a whole number above 0"),
    ],
)
def test_contradictory_arguments_are_refused(arguments, message, usage_error):
    assert message in usage_error(parse_arguments, arguments)


@pytest.mark.parametrize(
    ("arguments", "wait"),
    [
        (["p"], None),
        (["p", "--wait", "5"], 5),
        (["p", "--burst", "3"], DEFAULT_WAIT_S),
        (["p", "--rate", "1", "--count", "3"], DEFAULT_WAIT_S),
        (["p", "--burst", "3", "--wait", "0"], 0),
        (["p", "--burst", "3", "--no-wait"], None),
    ],
)
def test_only_a_load_is_waited_for_by_default(arguments, wait):
    assert parse_arguments(arguments).wait == wait


@pytest.mark.parametrize(
    "arguments", [["--burst", "11"], ["--rate", "5", "--duration", "60"], ["--rate", "5", "--count", "11"]]
)
def test_load_above_the_limit_is_refused(folder, arguments):
    with pytest.raises(TooManyPicturesError, match="more than 10"):
        planned(str(folder), *arguments, "--max", "10")


def test_stream_without_arrivals_is_refused(folder):
    with pytest.raises(NoPicturesError, match="longer --duration"):
        planned(str(folder), "--rate", "0.001", "--duration", "0.001")


@pytest.mark.parametrize(
    ("path", "keys"), [(".", ["inbox/bicycle/a b.png", "inbox/empty.png"]), ("bicycle/a b.png", ["inbox/a b.png"])]
)
def test_files_are_due_at_once_under_their_path_below_the_folder(folder, path, keys):
    assert [(a.at, a.key) for a in planned(str(folder / path))] == [(0.0, key) for key in keys]


def test_burst_has_its_odd_share(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    burst = ("--burst", "20", "--max", "20", "--odd", "0.5", "--odd-kinds", "corrupt", "tiny")
    kinds = [a.kind for a in planned(str(tmp_path), *burst)]
    assert [kinds.count(kind) for kind in ("as it is", "corrupt", "tiny")] == [10, 5, 5]


@pytest.mark.parametrize(
    ("version", "note"), [(None, "nothing was sent"), ("v", "the workflow goes on with what was sent")]
)
def test_interrupt_says_whether_anything_was_sent(folder, session, monkeypatch, capsys, version, note):
    def interrupted(_sender: object, _tracker: object, arrivals: list, **_: object) -> End:
        arrivals[0].version_id = version
        return End(interrupted=True)

    monkeypatch.setattr(send_pictures, "carry_out", interrupted)
    assert send_pictures.main([str(folder)]) == 130
    assert capsys.readouterr().err == f"send_pictures: interrupted; {note}\n"


def test_failed_upload_is_named_and_ends_with_status_1(folder, session, capsys, tmp_path):
    session.stub("s3").add_client_error("put_object", "SlowDown", "reduce your rate")
    out = tmp_path / "report.json"
    assert send_pictures.main([str(folder / "empty.png"), "--out", str(out)]) == 1
    printed = capsys.readouterr().out
    assert "Sent 0 files" in printed
    assert "upload failed: inbox/empty.png: SlowDown" in printed
    assert '"upload_failed": 1' in out.read_text()


def test_file_name_that_is_not_utf_8_is_named_and_ends_with_status_1(session, capsys, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        odd.write_bytes(b"x")
    except OSError:
        pytest.skip("this file system does not allow such a name")
    session.stub("s3").add_response("put_object", {"VersionId": "v"})
    allow_unused_responses()  # botocore refuses the key
    assert send_pictures.main([str(odd), "--out", str(tmp_path / "r.json")]) == 1
    assert r"upload failed: inbox/caf\udce9.png: UnicodeEncodeError" in capsys.readouterr().out
    assert '"upload_failed": 1' in (tmp_path / "r.json").read_text()


def test_missing_bucket_ends_in_one_sentence(folder, session, capsys):
    session.stub("s3").add_client_error("put_object", "NoSuchBucket", "gone")
    assert send_pictures.main([str(folder / "empty.png")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("send_pictures: S3 refuses every upload to pictures")
    assert "sam deploy" in line


def test_sent_files_end_in_one_line_and_status_0(folder, session, capsys):
    asked = {"Bucket": BUCKET, "Key": "inbox/empty.png", "Body": b""}
    session.stub("s3").add_response("put_object", {"VersionId": "v"}, asked)
    assert send_pictures.main([str(folder / "empty.png")]) == 0
    assert capsys.readouterr().out == "Sent 1 files to s3://pictures/inbox/: each starts an execution of m.\n"


# --- The run ---


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
    times = {"a": 0.0, "b": 0.05} | ({"later": LATER_S} if later else {})
    return [arrival(name, at, body=b"x") for name, at in times.items()]


def carried_out(arrivals: list, tracker: Any, error: Exception | None = None, **given: Any) -> Any:
    """Carry the run out; fail if it lasts until the later picture is due."""
    began = time.monotonic()
    errors = {one.key: error for one in arrivals} if error else None
    options = dict[str, Any](wait_s=LATER_S, tick=lambda: None) | given
    try:
        return carry_out(Sender(FakeS3(errors), "b"), tracker, arrivals, **options)
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


@pytest.mark.parametrize("error", [None, REFUSING], ids=["while sending", "after refused uploads"])
def test_bug_of_the_tracker_is_raised_and_ends_the_sending(monkeypatch, error):
    arrivals = pictures(later=True)
    tracker = FakeTracker(arrivals, raise_after_two(arrivals, KeyError("guess")))

    def follow(stop: Event) -> None:
        assert stop.wait(LATER_S)
        raise KeyError("guess")

    if error:
        monkeypatch.setattr(tracker, "follow", follow)
    with pytest.raises(KeyError, match="guess"):
        carried_out(arrivals, tracker, error)
    assert arrivals[2].version_id is None


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


@pytest.mark.parametrize("when", ["sending", "waiting"])
def test_interrupt_ends_the_run_with_what_is_known(when):
    arrivals = pictures(later=when == "sending")
    interrupts = iter([True])

    def tick() -> None:
        if arrivals[1].version_id and next(interrupts, False):
            raise KeyboardInterrupt

    assert carried_out(arrivals, FakeTracker(arrivals), tick=tick) == (True, None)
    assert [bool(a.version_id) for a in arrivals[:2]] == [True, True]
