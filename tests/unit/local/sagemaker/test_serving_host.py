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


def load(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str = DOUBLING) -> ModelProgram:
    """Load a program; its name must be new, as a process imports a module name once."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / "code").mkdir()
    (folder / "code" / name).write_text(text)
    return ModelProgram(str(folder), name)


@pytest.mark.parametrize("missing", ["model_fn", "input_fn", "predict_fn", "output_fn"])
def test_program_without_one_of_the_four_functions_fails(tmp_path, monkeypatch, missing):
    program = f"program_without_{missing}.py"
    with pytest.raises(ModelProgramError, match=f"{program} defines no {missing};"):
        load(tmp_path, monkeypatch, program, DOUBLING.replace(f"def {missing}", "def other"))


def test_answer_calls_the_four_functions_in_order(tmp_path, monkeypatch):
    model = load(tmp_path, monkeypatch, "doubling_program.py")
    for accept, expected in [("a/b", "a/b"), ("*/*", "application/json")]:
        headers = {"content-type": "text/plain", "accept": accept}
        assert model.answer(b"21", headers) == (f"42 {expected}".encode(), "text/plain")
