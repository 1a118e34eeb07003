"""The sending: an open loop, which no failed or slow upload holds up."""

import time
from threading import Event
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from operations.sending import uploading
from operations.sending.arrivals import Arrival
from operations.sending.clock_offset import ClockOffset
from operations.sending.uploading import Sender, dispatch
from tests.unit.aws_stubs import client_error, stubbed
from tests.unit.operations.arrivals import arrival

LATER_S = 30.0  # when a picture is due that a test does not wait for, unless it fails


class Clock:
    """Time that passes only in `wait`, and in what is submitted."""

    def __init__(self, stop_at: float = float("inf")) -> None:
        self.seconds = 0.0
        self.stop_at = stop_at

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> bool:
        self.seconds += seconds
        return self.seconds >= self.stop_at


class S3:
    """Takes every object, unless the error for its key is given."""

    def __init__(self, errors: dict[str, Exception] | None = None) -> None:
        self.errors = errors or {}
        self.took: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> dict[str, Any]:  # noqa: N803  boto3's
        if Key in self.errors:
            raise self.errors[Key]
        self.took[Key] = Body
        return {"VersionId": f"version of {Key} in {Bucket}"}


def pictures(count: int) -> list:
    return [arrival(f"{n}.png", at=n / 1000) for n in range(count)]


def sent(arrivals: list, s3: Any) -> Sender:
    for one in arrivals:
        one.body = one.key.encode()
    sender = Sender(s3, "b", Event())
    sender.send(arrivals, lambda: None)
    return sender


def test_nothing_is_submitted_once_the_run_is_stopped():
    clock = Clock(stop_at=1.5)
    submitted: list[Any] = []
    dispatch(
        [arrival("a", 1), arrival("b", 2)],
        lambda a: submitted.append((a.key, clock.now())),
        now=clock.now,
        wait=clock.wait,
        tick=lambda: None,
    )
    assert submitted == [("inbox/run/a", pytest.approx(1.0))]


def test_a_slow_submission_does_not_move_what_comes_after_it():
    clock = Clock()
    submitted: list[Any] = []

    def submit(one: Any) -> None:
        submitted.append((one.at, round(clock.now(), 6)))
        clock.seconds += 2.5 if one.at == 1 else 0

    dispatch(
        [arrival(str(at), at) for at in (1, 2, 3, 4)],
        submit,
        now=clock.now,
        wait=clock.wait,
        tick=lambda: None,
    )
    # Those that were due meanwhile go at once; the last one is on time again.
    assert submitted == [(1, 1), (2, 3.5), (3, 3.5), (4, 4)]


def test_progress_is_shown_while_nothing_is_due():
    clock = Clock()
    ticks: list[float] = []
    dispatch(
        [arrival("a", 1)],
        lambda _: None,
        now=clock.now,
        wait=clock.wait,
        tick=lambda: ticks.append(clock.now()),
    )
    assert len(ticks) >= 5


def test_a_failed_upload_is_named_and_the_stream_goes_on():
    arrivals = pictures(3)
    error = client_error("SlowDown", "reduce your request rate")
    s3 = S3({arrivals[1].key: error})
    sender = sent(arrivals, s3)
    assert arrivals[1].upload_error == f"SlowDown: {error}"
    assert [a.version_id is not None for a in arrivals] == [True, False, True]
    assert sender.refused is None


def test_a_connection_that_fails_and_a_file_that_is_gone_are_named_too(tmp_path):
    arrivals = pictures(2)
    s3 = S3({arrivals[0].key: EndpointConnectionError(endpoint_url="http://127.0.0.1:1")})
    for one in arrivals:
        one.body = b""
    arrivals[1].body = tmp_path / "gone.png"
    Sender(s3, "b", Event()).send(arrivals, lambda: None)
    assert str(arrivals[0].upload_error).startswith("EndpointConnectionError: ")
    assert str(arrivals[1].upload_error).startswith("FileNotFoundError: ")


@pytest.mark.parametrize("as_bytes", [b"\xff.png", b"caf\xe9.png"])
def test_a_name_that_is_no_utf_8_fails_alone(as_bytes):
    name = as_bytes.decode("utf-8", "surrogateescape")  # as the operating system gives it
    client, stub = stubbed("s3")
    for _ in range(2):
        stub.add_response("put_object", {"VersionId": "v"})
    arrivals = [arrival(name), arrival("next", at=0.001)]
    for one in arrivals:
        one.body = b""
    Sender(client, "b", Event()).send(arrivals, lambda: None)
    assert str(arrivals[0].upload_error).startswith("UnicodeEncodeError: ")
    assert arrivals[0].version_id is None
    assert arrivals[1].version_id == "v"


def test_a_key_that_botocore_refuses_is_named():
    client, stub = stubbed("s3")
    stub.add_response("put_object", {"VersionId": "v"})
    one = Arrival(0.0, "", b"")
    Sender(client, "b", Event()).send([one], lambda: None)
    assert str(one.upload_error).startswith("ParamValidationError: ")


def test_an_upload_without_an_answer_is_not_said_to_be_not_there():
    arrivals = pictures(2)
    sent(
        arrivals,
        S3(
            {
                arrivals[0].key: ReadTimeoutError(endpoint_url="http://127.0.0.1:1"),
                arrivals[1].key: EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
            }
        ),
    )
    assert str(arrivals[0].upload_error).startswith("ReadTimeoutError: ")
    assert str(arrivals[0].upload_error).endswith(" (S3 may have stored it all the same)")
    assert "may have stored" not in str(arrivals[1].upload_error)


@pytest.mark.parametrize("raised", [SystemExit, KeyError])
def test_whatever_ends_the_progress_ends_the_sending(raised):
    """Such as SystemExit, by which Rich ends a program whose lines nobody reads any more."""
    arrivals = [arrival("a", 0), arrival("b", LATER_S)]
    for one in arrivals:
        one.body = b"x"
    stop = Event()

    def tick() -> None:
        raise raised

    with pytest.raises(raised):
        Sender(S3(), "b", stop).send(arrivals, tick)
    assert stop.is_set()
    assert arrivals[1].late_s is None


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (client_error("NoSuchBucket", "gone"), "into b .*gone.*: deploy the stack again"),
        (client_error("ExpiredToken", "too old"), "too old.*: log in again"),
        (client_error("AccessDenied", "no"), "s3:PutObject"),
        (NoCredentialsError(), "log in"),
    ],
)
def test_what_no_picture_could_pass_ends_the_run(error, advice):
    arrivals = [arrival("a", 0), arrival("b", LATER_S)]  # which the run would wait for, else
    began = time.monotonic()
    sender = sent(arrivals, S3({arrivals[0].key: error}))
    assert time.monotonic() - began < LATER_S
    assert sender.refused
    with pytest.raises(type(sender.refused), match=advice):
        raise sender.refused
    assert arrivals[0].upload_error
    assert (arrivals[1].upload_error, arrivals[1].version_id) == (None, None)


def test_an_interrupt_ends_the_stream_and_leaves_no_upload_half_noted():
    arrivals = [arrival("a", 0), arrival("b", LATER_S)]
    for one in arrivals:
        one.body = b"x"
    stop = Event()

    def interrupt_once_sent() -> None:
        if arrivals[0].version_id:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sender(S3(), "b", stop).send(arrivals, interrupt_once_sent)
    assert stop.is_set()
    assert arrivals[1].late_s is None


def test_an_interrupt_lets_the_uploads_under_way_end_and_says_so(monkeypatch):
    under_way, told = Event(), Event()
    said: list[str] = []

    class SlowS3(S3):
        def put_object(self, **sent: Any) -> dict[str, Any]:
            under_way.set()
            assert told.wait(LATER_S)
            return super().put_object(**sent)

    def interrupt() -> None:
        if under_way.is_set():
            raise KeyboardInterrupt

    def tell(words: str, **_: Any) -> None:
        said.append(words)
        told.set()

    monkeypatch.setattr(uploading, "print", tell, raising=False)
    one = arrival("a")
    one.body = b"x"
    with pytest.raises(KeyboardInterrupt):
        Sender(SlowS3(), "b", Event()).send([one, arrival("b", LATER_S)], interrupt)
    assert one.version_id
    assert said == ["Interrupted: the uploads under way end first."]


def test_every_file_is_sent_as_it_is_with_its_version_noted(tmp_path):
    (tmp_path / "a.png").write_bytes(b"bytes")
    one = arrival("a.png")
    one.body = tmp_path / "a.png"
    client, stub = stubbed("s3")
    stub.add_response("put_object", {"VersionId": "v1"}, {"Bucket": "b", "Key": one.key, "Body": b"bytes"})
    Sender(client, "b", Event()).send([one], lambda: None)
    stub.assert_no_pending_responses()
    assert one.version_id == "v1"
    assert one.upload_s is not None
    assert one.late_s is not None
    assert one.late_s >= 0


def test_a_bucket_without_versions_gives_the_version_that_the_table_has():
    client, stub = stubbed("s3")
    stub.add_response("put_object", {})
    one = arrival("a.png")
    one.body = b""
    Sender(client, "b", Event()).send([one], lambda: None)
    assert one.version_id == "null"


DATE = "Fri, 15 Jan 2027 08:00:00 GMT"  # 1,800,000,000 s since 1970


@pytest.mark.parametrize(
    ("answers", "offset"),
    [
        ([], 0),
        ([(1_800_000_000.3, 1_800_000_000.4, None)], 0),
        ([(1_799_999_990.3, 1_799_999_990.4, "")], 0),
        ([(1_799_999_990.3, 1_799_999_990.4, "yesterday")], 0),
        ([(1_799_999_990.3, 1_799_999_990.4, "Fri, 45 Jan 2027 08:00:00 GMT")], 0),
        ([(1_800_000_000.3, 1_800_000_000.4, DATE)], 0),  # agrees with the same clock
        ([(1_799_999_990.3, 1_799_999_990.4, DATE)], 10.15),  # this machine is slow
        # The first leaves 10.1 to 11.2, and the second 9.9 to 11.0.
        ([(1_799_999_989.8, 1_799_999_989.9, DATE), (1_799_999_990.0, 1_799_999_990.1, DATE)], 10.55),
    ],
)
def test_the_clocks_difference_is_narrowed_down_by_dates(answers, offset):
    clock = ClockOffset()
    for answer in answers:
        clock.observe(*answer)
    assert clock.seconds == pytest.approx(offset)
