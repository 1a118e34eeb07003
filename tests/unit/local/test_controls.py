import json
from typing import Any

import pytest

from local.controls import Controls
from local.ministack.upload_duplicates import Duplicates
from local.sagemaker.faults import Faults
from local.sagemaker.interruptions import Interruptions

HEALTH = {"service": "laptop-aws"}
FAULTS = "/_local/faults/scones"
UPLOADS = "/_local/uploads"
INTERRUPTIONS = "/_local/interruptions/scones"


@pytest.fixture
def controls() -> Controls:
    return Controls(HEALTH, Faults(), Duplicates(), Interruptions())


def send(controls: Controls, method: str, path: str, members: object = None) -> Any:
    return controls.answer(method, path, json.dumps(members).encode())


def test_get_health_returns_it(controls: Controls) -> None:
    assert send(controls, "GET", "/_local/health") == (200, HEALTH)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/_local/"), ("POST", FAULTS), ("GET", FAULTS + "/x"), ("PUT", "/_local/health")],
)
def test_unknown_route_is_not_found(controls: Controls, method: str, path: str) -> None:
    assert send(controls, method, path) == (404, {"error": f"No {method} {path}; see docs/laptop-aws.md"})


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        (FAULTS, b"{", "The body is not JSON: "),
        (FAULTS, b'{"kind": "tired"}', "kind must be one of "),
        (UPLOADS, b'{"duplicates": 2}', "duplicates must be a number from 0 to 1"),
        (INTERRUPTIONS, b'{"times": 0}', "times must be a whole number of at least 1"),
    ],
)
def test_put_invalid_body_is_rejected(controls: Controls, path: str, body: bytes, error: str) -> None:
    status, answer = controls.answer("PUT", path, body)
    assert status == 400
    assert answer["error"].startswith(error)


@pytest.mark.parametrize(
    ("path", "members", "field", "value"),
    [
        (
            FAULTS,
            {"kind": "gone"},
            "faults",
            [{"kind": "gone", "share": 1.0, "seconds": None, "calls": None, "delay_seconds": 1.0}],
        ),
        (UPLOADS, {"duplicates": 0.5}, "duplicates", 0.5),
        (INTERRUPTIONS, {"times": 2}, "times", 2),
    ],
)
def test_put_then_delete_sets_and_clears(
    controls: Controls, path: str, members: object, field: str, value: object
) -> None:
    before = send(controls, "GET", path)
    status, answer = send(controls, "PUT", path, members)
    assert (status, answer[field]) == (200, value)
    assert send(controls, "GET", path) == (200, answer)
    assert send(controls, "DELETE", path) == before
