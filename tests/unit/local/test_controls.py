import json
from typing import Any

import pytest

from local.controls import Controls
from local.ministack.upload_events import Duplicates
from local.sagemaker.faults import FaultKind, Faults
from local.sagemaker.interruptions import Interruptions

HEALTH = {"service": "laptop-aws"}
FAULTS = "/_local/faults/scones"
UPLOADS = "/_local/uploads"
INTERRUPTIONS = "/_local/interruptions/scones"
SLOW = {"kind": "slow", "share": 0.5, "seconds": 9, "calls": 3, "delay_seconds": 2}


@pytest.fixture
def controls() -> Controls:
    settings = {"faults": Faults(clock=lambda: 0.0), "interruptions": Interruptions()}
    return Controls(HEALTH, uploads=Duplicates(), **settings)


def send(controls: Controls, method: str, path: str, members: object = None) -> Any:
    return controls.answer(method, path, json.dumps(members).encode())


def test_get_health_returns_it(controls):
    assert send(controls, "GET", "/_local/health") == (200, HEALTH)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/_local/"), ("POST", FAULTS), ("GET", FAULTS + "/x"), ("PUT", "/_local/health")],
)
def test_unknown_route_is_not_found(controls, method, path):
    assert send(controls, method, path) == (404, {"error": f"No {method} {path}; see docs/laptop-aws.md"})


def test_put_body_without_json_is_rejected(controls):
    status, answer = controls.answer("PUT", FAULTS, b"{")
    assert (status, answer["error"][:23]) == (400, "The body is not JSON: E")


@pytest.mark.parametrize(
    ("path", "members", "message"),
    [
        (FAULTS, [], "The body must be a JSON object such as "),
        (FAULTS, {}, "kind must be one of slow, throttled, "),
        (FAULTS, {"kind": "tired"}, "kind must be one of slow, throttled, "),
        (FAULTS, {"kind": "slow", "call": 1}, "Unknown field 'call'; the fields are kind, share, "),
        (FAULTS, {"kind": "slow", "share": 0}, "share must be a number, above 0 and at most 1"),
        (FAULTS, {"kind": "slow", "share": 1.5}, "share must be a number, above 0 and at most 1"),
        (FAULTS, {"kind": "slow", "share": True}, "share must be a number, "),
        (FAULTS, {"kind": "slow", "share": None}, "share must be a number, "),
        (FAULTS, {"kind": "slow", "share": "1"}, "share must be a number, "),
        (FAULTS, {"kind": "slow", "calls": 0}, "calls must be a whole number of at least 1"),
        (FAULTS, {"kind": "slow", "calls": 1.5}, "calls must be a whole number of at least 1"),
        (FAULTS, {"kind": "slow", "calls": True}, "calls must be a whole number of at least 1"),
        (FAULTS, {"kind": "slow", "seconds": 0}, "seconds must be a number, above 0"),
        (FAULTS, {"kind": "slow", "delay_seconds": -1}, "delay_seconds must be a number, at least 0"),
        (FAULTS, {"faults": []}, "faults must be a list such as "),
        (FAULTS, {"faults": {"kind": "slow"}}, "faults must be a list such as "),
        (FAULTS, {"faults": [{"kind": "tired"}]}, "kind must be one of slow, throttled, "),
        (FAULTS, {"faults": [{"kind": "slow"}], "share": 1}, "Unknown field 'share'; the fields are faults, seed"),
        (FAULTS, {"faults": [{"kind": "slow"}], "seed": "a"}, "seed must be a whole number"),
        (
            FAULTS,
            {"faults": [{"kind": "slow", "share": 0.6}, {"kind": "gone", "share": 0.5}]},
            "The shares must add up to at most 1; they add up to 1.1",
        ),
        (UPLOADS, [], 'The body must be a JSON object such as {"duplicates": 0.1}'),
        (UPLOADS, {}, "duplicates must be a number, "),
        (UPLOADS, {"duplicates": 0.1, "delay": 1}, "Unknown field 'delay'; the fields are duplicates, "),
        (UPLOADS, {"duplicates": 1.1}, "duplicates must be a number, at least 0 and at most 1"),
        (
            UPLOADS,
            {"duplicates": 1, "delay_seconds": 1e9},
            "delay_seconds must be a number, at least 0 and at most 3600",
        ),
        (UPLOADS, {"duplicates": 1, "seed": 1.5}, "seed must be a whole number"),
        (INTERRUPTIONS, [], 'The body must be a JSON object such as {"times": 1}'),
        (INTERRUPTIONS, {"time": 1}, "Unknown field 'time'; the fields are times, after_seconds, notice_seconds, "),
        (INTERRUPTIONS, {"times": 0}, "times must be a whole number of at least 1"),
        (INTERRUPTIONS, {"times": None}, "times must be a whole number of at least 1"),
        (INTERRUPTIONS, {"after_seconds": -1}, "after_seconds must be a number, at least 0"),
        (INTERRUPTIONS, {"notice_seconds": "long"}, "notice_seconds must be a number, at least 0"),
        (INTERRUPTIONS, {"away_seconds": float("nan")}, "away_seconds must be a number, at least 0"),
    ],
    ids=str,
)
def test_put_invalid_setting_is_rejected(controls, path, members, message):
    status, answer = send(controls, "PUT", path, members)
    assert status == 400
    assert answer["error"].startswith(message)


@pytest.mark.parametrize(
    ("path", "members", "stored"),
    [
        (
            FAULTS,
            {"kind": "gone", "seconds": None},
            {"faults": [{"kind": "gone", "share": 1.0, "seconds": None, "calls": None, "delay_seconds": 1.0}]},
        ),
        (FAULTS, SLOW, {"faults": [SLOW]}),
        (UPLOADS, {"duplicates": 0.5}, {"duplicates": 0.5, "delay_seconds": 0.0, "seed": None}),
        (UPLOADS, {"duplicates": 0.1, "delay_seconds": 0.5, "seed": 3}, {"delay_seconds": 0.5, "seed": 3}),
        (INTERRUPTIONS, {}, {"times": 1, "after_seconds": 0.0, "notice_seconds": 120.0, "away_seconds": 1.0}),
        (INTERRUPTIONS, {"times": 3, "after_seconds": 1, "notice_seconds": 0, "away_seconds": 2}, {"times": 3}),
    ],
)
def test_put_then_delete_sets_and_clears(controls, path, members, stored):
    before = send(controls, "GET", path)
    status, answer = send(controls, "PUT", path, members)
    assert status == 200
    assert answer | stored == answer
    assert send(controls, "GET", path) == (200, answer)
    assert send(controls, "DELETE", path) == before


def test_put_several_faults_of_shares_that_add_up_to_one(controls):
    shares = [{"kind": kind.value, "share": 1 / 7} for kind in FaultKind]
    status, answer = send(controls, "PUT", FAULTS, {"faults": shares, "seed": 3})
    assert (status, len(answer["faults"])) == (200, 7)
