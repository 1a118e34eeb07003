import sys
from pathlib import Path

import pytest

from local.sagemaker.serving_host import ModelProgram, ModelProgramError

DOUBLING = """
def model_fn(model_dir):
    return 2

def input_fn(body, content_type):
    return int(body)

def predict_fn(number, model):
    return number * model

def output_fn(prediction, accept):
    return f"{prediction} {accept}", "text/plain"
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModelProgram:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "code").mkdir()
    name = f"program_{abs(hash(request.node.name))}"  # a process imports a module name once
    (tmp_path / "code" / f"{name}.py").write_text(DOUBLING)
    return ModelProgram(str(tmp_path), f"{name}.py")


@pytest.mark.parametrize("missing", ["model_fn", "input_fn", "predict_fn", "output_fn"])
def test_program_without_one_of_the_four_functions_fails(tmp_path, monkeypatch, missing):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "code").mkdir()
    program = f"program_without_{missing}.py"
    (tmp_path / "code" / program).write_text(DOUBLING.replace(f"def {missing}", "def other"))
    with pytest.raises(ModelProgramError, match=f"{program} defines no {missing};"):
        ModelProgram(str(tmp_path), program)


@pytest.mark.parametrize(("accept", "expected"), [("a/b", "a/b"), ("*/*", "application/json")])
def test_answer_calls_the_four_functions_in_order(model, accept, expected):
    headers = {"content-type": "text/plain", "accept": accept}
    assert model.answer(b"21", headers) == (f"42 {expected}".encode(), "text/plain")
