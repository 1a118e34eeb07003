import sys
from pathlib import Path

import pytest

from local.sagemaker.serving_host import Model, ModelProgramError

DOUBLING = """
class RefusedError(Exception):
    status_code = 415

def model_fn(model_dir):
    return 2

def input_fn(body, content_type):
    if content_type != "text/plain":
        raise RefusedError(content_type)
    return int(body)

def predict_fn(number, model):
    return number * model

def output_fn(prediction, accept):
    return f"{prediction} {accept}", "text/plain"
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Model:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "code").mkdir()
    name = f"program_{abs(hash(request.node.name))}"  # a module's name is taken once a process
    (tmp_path / "code" / f"{name}.py").write_text(DOUBLING)
    return Model(str(tmp_path), f"{name}.py")


@pytest.mark.parametrize("missing", ["model_fn", "input_fn", "predict_fn", "output_fn"])
def test_a_program_without_one_of_the_four_functions_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "code").mkdir()
    program = f"program_without_{missing}.py"
    (tmp_path / "code" / program).write_text(DOUBLING.replace(f"def {missing}", "def other"))
    with pytest.raises(ModelProgramError, match=f"{program} defines no {missing};"):
        Model(str(tmp_path), program)


def test_the_four_functions_in_their_order(model: Model) -> None:
    headers = {"content-type": "text/plain", "accept": "a/b"}
    assert model.answer(b"21", headers) == (b"42 a/b", "text/plain")


def test_without_accept_the_answer_is_json(model: Model) -> None:
    body, _ = model.answer(b"1", {"content-type": "text/plain", "accept": "*/*"})
    assert body == b"2 application/json"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "image/gif"}, b"1", 415),
        ({"content-type": "text/plain"}, b"one", 500),
    ],
    ids=["an error with a status", "any other error"],
)
def test_an_exception_becomes_a_status(model: Model, headers: dict[str, str], body: bytes, status: int) -> None:
    answered = model.respond(body, headers)
    assert (answered[0], answered[2]) == (status, "text/plain")
