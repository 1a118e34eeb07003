import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local.sagemaker.serving_host import (
    Application,
    Model,
    ModelProgramError,
    UnsupportedFormatError,
    decode,
    encode,
)

DOUBLING = """
class RefusedError(Exception):
    status_code = 415

def model_fn(model_dir, context):
    return 2

def input_fn(body, content_type):
    if content_type != "text/plain":
        raise RefusedError(content_type)
    return int(body)

def predict_fn(number, model):
    return number * model

def output_fn(prediction, accept, context):
    return f"{prediction} {accept} {context.get_request_header(0, 'X-Colour')}", "text/plain"
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Model:
    """The model of a program, whose text is the fixture's parameter."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "code").mkdir()
    name = f"program_{abs(hash(request.node.name))}"  # a module's name is taken once a process
    (tmp_path / "code" / f"{name}.py").write_text(getattr(request, "param", DOUBLING))
    return Model(str(tmp_path), f"{name}.py")


def test_a_program_without_model_fn_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "program_without_model.py").write_text("")
    with pytest.raises(ModelProgramError, match="defines no model_fn"):
        Model(str(tmp_path), "program_without_model.py")


def test_the_four_functions_in_their_order(model: Model) -> None:
    headers = {"content-type": "text/plain", "accept": "a/b", "x-colour": "red"}
    assert model.answer(b"21", headers) == (b"42 a/b red", "text/plain")


def test_without_accept_the_answer_is_json(model: Model) -> None:
    body, _ = model.answer(b"1", {"content-type": "text/plain", "accept": "*/*"})
    assert body == b"2 application/json None"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "image/gif"}, b"1", 415),
        ({"content-type": "text/plain"}, b"one", 500),
    ],
    ids=["an error with a status", "any other error"],
)
def test_an_exception_becomes_a_status(
    model: Model, headers: dict[str, str], body: bytes, status: int
) -> None:
    answered = Application(model)._run(body, headers)
    assert (answered[0], answered[2]) == (status, "text/plain")


@pytest.mark.parametrize(
    "model", ["def model_fn(model_dir): return lambda tensor: tensor * 2"], indirect=True
)
def test_what_a_program_leaves_out_has_the_toolkits_defaults(model: Model) -> None:
    body, content_type = model.answer(b"[1, 2]", {"content-type": "application/json"})
    assert (json.loads(body), content_type) == ([2.0, 4.0], "application/json")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"[[1, 2]]", "application/json"), (b"1,2", "text/csv; charset=utf-8")],
)
def test_decode(body: bytes, content_type: str) -> None:
    assert np.asarray(decode(body, content_type)).ravel().tolist() == [1, 2]


def test_formats_without_a_default_are_refused() -> None:
    with pytest.raises(UnsupportedFormatError) as unread:
        decode(b"", "image/png")
    with pytest.raises(UnsupportedFormatError) as unwritten:
        encode([1], "image/png")
    assert (unread.value.status_code, unwritten.value.status_code) == (415, 406)


def test_a_pickle_in_an_array_is_refused(tmp_path: Path) -> None:
    pickled: Any = np.array([{}], dtype=object)
    np.save(tmp_path / "a.npy", pickled, allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        decode((tmp_path / "a.npy").read_bytes(), "application/x-npy")
