"""A captured line is an answer about a picture, a refused call, or damaged for a stated reason."""

import base64
import json
from datetime import UTC, datetime

import pytest

from operations.monitoring.capture_line import DamagedLineError, RefusedCallError, read_line
from tests.unit.operations.captures import BASE64_ANSWERS, TEXT_ANSWERS, drawn, line, named

TIME = datetime(2026, 11, 20, 14, 30, 5, tzinfo=UTC)
# JSON can encode a lone surrogate, and UTF-8 cannot.
LONE_SURROGATE = r'{"labels": ["\ud800", "van"], "probabilities": [0.9, 0.1]}'


@pytest.mark.parametrize("config", [TEXT_ANSWERS, BASE64_ANSWERS], ids=["JSON", "BASE64"])
@pytest.mark.parametrize(
    ("answer", "class_names", "probabilities"),
    [
        (named(car=0.75, van=0.25), None, {"car": 0.75, "van": 0.25}),
        (named(car=0.75, van=0.25), ["bus", "tram"], {"car": 0.75, "van": 0.25}),
        ([0.75, 0.25], ["car", "van"], {"car": 0.75, "van": 0.25}),
        ([0.75, 0.25], None, {"class 0": 0.75, "class 1": 0.25}),
    ],
)
def test_read_line_reads_both_shapes_in_both_encodings(config, answer, class_names, probabilities):
    call = read_line(line(answer, drawn(1), TIME, config), class_names)

    assert call.probabilities == probabilities
    assert call.picture == drawn(1)
    assert datetime.fromtimestamp(call.time, UTC) == TIME


def changed(**members):
    """Return a captured call with some members replaced; None removes one."""
    value = json.loads(line([0.75, 0.25]))
    for path, new in members.items():
        *parents, last = path.split("__")
        parent = value
        for name in parents:
            parent = parent[name]
        parent[last] = new
        if new is None:
            del parent[last]
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (b"\n", "empty line"),
        (line([0.75, 0.25])[:1000], "cut off"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"<html>\n", "not JSON"),
        (b"[1, 2]\n", "no capture"),
        (b'{"captureData": null}', "no capture"),
        (changed(captureData__endpointOutput=None), "no answer"),
        (changed(captureData__endpointOutput__data=None), "no answer"),
        (changed(captureData__endpointOutput={"data": "?", "encoding": "BASE64"}), "no answer"),
        (changed(captureData__endpointOutput__data="<html>"), "no probabilities"),
        (changed(captureData__endpointOutput__data="[0.9, 0.9]"), "no probabilities"),
        (changed(captureData__endpointOutput__data="[NaN, 1]"), "no probabilities"),
        (changed(captureData__endpointOutput__data="[0.2, 0.3, 0.5]"), "no probabilities"),
        (changed(captureData__endpointOutput__data='{"code": "x"}'), "no probabilities"),
        (b"[" * 200_000, "not JSON"),
        (changed(captureData__endpointOutput__data="[" * 200_000), "no probabilities"),
        (changed(captureData__endpointOutput__data=f"[{'1' * 400}, 0]"), "no probabilities"),
        (changed(captureData__endpointOutput__data=LONE_SURROGATE), "no probabilities"),
        (changed(captureData__endpointInput=None), "no picture"),
        (changed(captureData__endpointInput__data=""), "no picture"),
        (changed(captureData__endpointInput__data="%%%"), "no picture"),
        (changed(captureData__endpointInput__data="=" + base64.b64encode(drawn(0)).decode()), "no picture"),
        (changed(eventMetadata=None), "no time"),
        (changed(eventMetadata__inferenceTime="yesterday"), "no time"),
        (changed(eventMetadata__inferenceTime=None), "no time"),
        (changed(eventMetadata__inferenceTime="0001-01-01T00:00:00Z"), "no time"),
        (changed(eventMetadata__inferenceTime="0001-01-01T00:00:00+14:00"), "no time"),
        (changed(eventMetadata__inferenceTime="1970-01-01T00:00:00Z"), "no time"),
        (changed(eventMetadata__inferenceTime="2100-01-01T00:00:00Z"), "no time"),
        (changed(eventMetadata__inferenceTime="9999-12-31T23:59:59Z"), "no time"),
    ],
)
def test_damaged_line_has_its_reason(damaged, reason):
    with pytest.raises(DamagedLineError) as raised:
        read_line(damaged, ["car", "van"])

    assert raised.value.reason == reason
    raised.value.detail.encode()  # as the report does, which a lone surrogate would fail


def test_endless_list_without_class_names_is_damaged():
    with pytest.raises(DamagedLineError, match="no probabilities"):
        read_line(changed(captureData__endpointOutput__data="[" * 200_000), None)


def test_refused_call_is_not_damaged():
    answer = json.dumps({"code": 415, "type": "UnsupportedMediaType", "message": "a GIF"})

    with pytest.raises(RefusedCallError, match="415 UnsupportedMediaType a GIF") as raised:
        read_line(line(answer.encode(), time=TIME), None)
    assert raised.value.time == TIME.timestamp()


def test_time_without_zone_is_utc():
    call = read_line(changed(eventMetadata__inferenceTime="2026-11-20T14:30:05"), None)

    assert datetime.fromtimestamp(call.time, UTC) == TIME
