import json
from typing import Any

import pytest

from local.controls import Controls
from local.ministack.upload_duplicates import Duplicates
from local.sagemaker.faults import Faults
from local.sagemaker.interruptions import Interruptions

ABOUT = {"service": "laptop-aws"}
FAULTS = "/_local/faults/scones"
UPLOADS = "/_local/uploads"
INTERRUPTIONS = "/_local/interruptions/scones"


@pytest.fixture
def controls() -> Controls:
    return Controls(ABOUT, Faults(), Duplicates(), Interruptions())


def ask(controls: Controls, method: str, path: str, members: object = None) -> Any:
    return controls.answer(method, path, json.dumps(members).encode())


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/_local/"), ("POST", FAULTS), ("GET", FAULTS + "/x"), ("PUT", "/_local/health")],
)
def test_what_is_not_there(controls: Controls, method: str, path: str) -> None:
    status, answer = ask(controls, method, path)
    assert (status, answer["error"]) == (404, f"No {method} {path}; see docs/laptop-aws.md")


@pytest.mark.parametrize("path", [FAULTS, UPLOADS, INTERRUPTIONS])
def test_a_body_that_is_no_json(controls: Controls, path: str) -> None:
    status, answer = controls.answer("PUT", path, b"{")
    assert status == 400
    assert answer["error"].startswith("The body is no JSON: ")


@pytest.mark.parametrize(
    ("path", "members", "error"),
    [
        (FAULTS, {"kind": "tired"}, "kind must be one of "),
        (UPLOADS, {"duplicates": 2}, "duplicates must be a number from 0 to 1"),
        (INTERRUPTIONS, {"times": 0}, "times must be a whole number from 1"),
    ],
)
def test_a_wrong_field(controls: Controls, path: str, members: object, error: str) -> None:
    status, answer = ask(controls, "PUT", path, members)
    assert status == 400
    assert answer["error"].startswith(error)


def test_the_health(controls: Controls) -> None:
    assert ask(controls, "GET", "/_local/health") == (200, ABOUT)


def test_faults_from_first_to_last(controls: Controls) -> None:
    nothing = {"faults": [], "calls": 0, "injected": {}}
    assert ask(controls, "GET", FAULTS) == (200, nothing)
    status, answer = ask(controls, "PUT", FAULTS, {"kind": "gone"})
    assert (status, [fault["kind"] for fault in answer["faults"]]) == (200, ["gone"])
    assert ask(controls, "DELETE", FAULTS) == (200, nothing)


def test_duplicates_from_first_to_last(controls: Controls) -> None:
    status, answer = ask(controls, "PUT", UPLOADS, {"duplicates": 0.5})
    assert (status, answer["duplicates"]) == (200, 0.5)
    assert ask(controls, "DELETE", UPLOADS)[1]["duplicates"] == 0.0


def test_interruptions_from_first_to_last(controls: Controls) -> None:
    status, answer = ask(controls, "PUT", INTERRUPTIONS, {"times": 2, "notice_seconds": 0})
    assert (status, answer["times"], answer["notice_seconds"]) == (200, 2, 0.0)
    assert ask(controls, "GET", INTERRUPTIONS)[1] == answer
    assert ask(controls, "DELETE", INTERRUPTIONS)[1]["times"] == 0
