"""The sender is an open loop: neither failed nor slow uploads delay later ones."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from operations.sending import uploading
from operations.sending.arrivals import Arrival
from operations.sending.uploading import ClockOffset, Sender
from tests.unit.aws_stubs import client_error, stubbed
from tests.unit.operations.arrivals import LATER_S, FakeS3, arrival

NOWHERE = "http://127.0.0.1:1"


def picture(name: str, at: float = 0.0) -> Arrival:
    return arrival(name, at, body=b"x")


def send(arrivals: list, s3: Any, tick: Callable[[], None] = lambda: None) -> Sender:
    sender = Sender(s3, "b")
    sender.send(arrivals, tick)
    return sender


def test_slow_upload_does_not_delay_later_ones():
    arrivals = [picture("a"), picture("b", 0.01), picture("c", 0.02)]
    last = Event()

    def wait_for_the_last(key: str) -> None:
        if key == arrivals[2].key:
            last.set()
        assert last.wait(LATER_S)

    send(arrivals, FakeS3(before=wait_for_the_last))
    assert all(one.version_id for one in arrivals)


STORED = " (S3 may have stored it all the same)"


@pytest.mark.parametrize(
    ("error", "begins", "note"),
    [
        (client_error("SlowDown", "reduce your request rate"), "SlowDown: ", ""),
        (EndpointConnectionError(endpoint_url=NOWHERE), "EndpointConnectionError: ", ""),
        (ReadTimeoutError(endpoint_url=NOWHERE), "ReadTimeoutError: ", STORED),
    ],
)
def test_failed_upload_is_noted_and_the_stream_goes_on(error, begins, note):
    arrivals = [picture(str(n), n / 1000) for n in range(3)]
    sender = send(arrivals, FakeS3({arrivals[1].key: error}))
    assert arrivals[1].upload_error == f"{begins}{error}{note}"
    assert [a.version_id is not None for a in arrivals] == [True, False, True]
    assert sender.refused is None


@pytest.mark.parametrize(
    ("key", "error"),
    [("inbox/\udcff.png", "UnicodeEncodeError: "), ("inbox/caf\udce9.png", "UnicodeEncodeError: "), ("", "Param")],
)
def test_key_that_botocore_refuses_fails_alone(key, error):
    client, stub = stubbed("s3")
    stub.add_response("put_object", {"VersionId": "v"})
    arrivals = [Arrival(0.0, key, b""), picture("next", 0.001)]
    send(arrivals, client)
    assert str(arrivals[0].upload_error).startswith(error)
    assert [a.version_id for a in arrivals] == [None, "v"]


def test_deleted_file_is_noted(tmp_path):
    one = Arrival(0.0, "inbox/gone.png", tmp_path / "gone.png")
    send([one], FakeS3())
    assert str(one.upload_error).startswith("FileNotFoundError: ")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (client_error("NoSuchBucket", "gone"), "to b .*gone.*: deploy the stack again"),
        (client_error("ExpiredToken", "too old"), "too old.*: log in again"),
        (client_error("AccessDenied", "no"), "s3:PutObject"),
        (NoCredentialsError(), "log in"),
    ],
)
def test_error_of_every_upload_ends_the_run(error, advice):
    arrivals = [picture("a"), picture("b", LATER_S)]
    began = time.monotonic()
    sender = send(arrivals, FakeS3({arrivals[0].key: error}))
    assert time.monotonic() - began < LATER_S
    assert sender.refused
    with pytest.raises(type(sender.refused), match=advice):
        raise sender.refused
    assert arrivals[0].upload_error
    assert (arrivals[1].upload_error, arrivals[1].version_id) == (None, None)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, KeyError])
def test_exception_of_the_tick_lets_uploads_under_way_end_and_says_so(monkeypatch, error):
    under_way, announced = Event(), Event()
    printed: list[str] = []

    def wait(_: str) -> None:
        under_way.set()
        assert announced.wait(LATER_S)

    def interrupt() -> None:
        if under_way.is_set():
            raise error

    def announce(text: str, **_: Any) -> None:
        printed.append(text)
        announced.set()

    monkeypatch.setattr(uploading, "print", announce, raising=False)
    one, two = picture("a"), picture("b", LATER_S)
    sender = Sender(FakeS3(before=wait), "b")
    with pytest.raises(error):
        sender.send([one, two], interrupt)
    assert sender.stop.is_set()
    assert (one.version_id is None, two.version_id) == (False, None)
    assert printed == ["Interrupted: the uploads under way end first."]


@pytest.mark.parametrize(("answer", "version"), [({"VersionId": "v1"}, "v1"), ({}, "null")])
def test_file_is_sent_unchanged_and_its_version_noted(tmp_path, answer, version):
    (tmp_path / "a.png").write_bytes(b"bytes")
    one = Arrival(0.0, "inbox/a.png", tmp_path / "a.png")
    client, stub = stubbed("s3")
    stub.add_response("put_object", answer, {"Bucket": "b", "Key": one.key, "Body": b"bytes"})
    send([one], client)
    assert one.version_id == version
    assert one.upload_s is not None
    assert one.late_s is not None
    assert one.late_s >= 0


DATE = "Fri, 15 Jan 2027 08:00:00 GMT"  # 1,800,000,000 s since 1970


@pytest.mark.parametrize(
    ("answers", "offset"),
    [
        ([], 0),
        ([(1_799_999_990.3, 1_799_999_990.4, None)], 0),
        ([(1_799_999_990.3, 1_799_999_990.4, "yesterday")], 0),
        ([(1_799_999_990.3, 1_799_999_990.4, "Fri, 45 Jan 2027 08:00:00 GMT")], 0),
        ([(1_800_000_000.3, 1_800_000_000.4, DATE)], 0),  # agrees with the same clock
        ([(1_799_999_990.3, 1_799_999_990.4, DATE)], 10.15),  # this machine is slow
        # The first leaves 10.1 to 11.2, and the second 9.9 to 11.0.
        ([(1_799_999_989.8, 1_799_999_989.9, DATE), (1_799_999_990.0, 1_799_999_990.1, DATE)], 10.55),
    ],
)
def test_clock_offset_is_narrowed_by_dates(answers, offset):
    clock = ClockOffset()
    for answer in answers:
        clock.observe(*answer)
    assert clock.seconds == pytest.approx(offset)
