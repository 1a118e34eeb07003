"""The serving benchmark on a small model, without the servers that come from the package index."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.serving import __main__ as serving
from training.training_job import SOURCE_DIR


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder as train.py writes it, with weights that nobody has trained."""
    import network
    import torch

    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(network.Ensemble(2, 2, 32, width=8).state_dict(), folder / "model.pt")
    metadata = {
        "classes": ["bicycle", "motorcycle"],
        "input_size": 32,
        "members": 2,
        "width": 8,
        "normalisation": {"mean": [0.5] * 3, "std": [0.25] * 3},
        "temperature": 1.0,
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))
    for name in ("inference.py", "network.py"):
        shutil.copy(SOURCE_DIR / name, folder / "code" / name)
    return folder


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A staged folder with four pictures to test."""
    folder = tmp_path / "staged"
    (folder / "test" / "bicycle").mkdir(parents=True)
    for number in range(4):
        picture = Image.effect_noise((32, 32), 60 + number).convert("RGB")
        picture.save(folder / "test" / "bicycle" / f"{number}.png")
    (folder / "manifest.json").write_text(json.dumps({"source": {"kind": "synthetic"}}))
    return folder


def test_the_endpoint_answers_as_the_bare_network_and_is_timed_beside_it(
    model: Path, staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    report = tmp_path / "serving.json"
    monkeypatch.setattr(serving, "REPORT", report)
    monkeypatch.setattr(serving, "WORK", tmp_path / "work")
    monkeypatch.setattr(serving, "REQUESTS", {1: 8, 8: 16})
    monkeypatch.setattr(serving, "WARM_UP_REQUESTS", 8)
    status = serving.main(
        ["--model", str(model), "--staged", str(staged), "--repeats", "2", "--endpoints", "2",
         "--cores", "1024", "--no-containers"]
    )  # fmt: skip
    assert status == 0, capsys.readouterr().err
    found = json.loads(report.read_text())
    names = ["bare", "bare_traced", "invocations", "invoke_endpoint", "invoke_endpoint_boto3"]
    assert list(found["subjects"]) == names
    assert found["pictures"] == 4
    for name in names:
        for measured in found["subjects"][name]["clients"].values():
            assert 0 < measured["ms"]["q1"] <= measured["ms"]["median"] <= measured["ms"]["q3"]
            assert measured["per_s"]["median"] > 0
    assert found["ratios"]["invocations_to_bare"]["median"] > 0
    assert 0 < found["first_answer_s"]["min"] <= found["first_answer_s"]["max"] < 60
    assert "laptop endpoint, /invocations" in capsys.readouterr().out


def test_a_staged_folder_without_test_pictures_is_refused(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(serving, "REPORT", tmp_path / "serving.json")
    assert serving.main(["--model", str(model), "--staged", str(tmp_path), "--cores", "1024"]) == 1
    assert "holds no PNG pictures: stage some" in capsys.readouterr().err
