"""The training benchmark: what each run is given, what is kept, what is counted."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import runs, training
from common.waiting import make_console
from training.container.picture_model import network

# In the place of train.py: the same command line and files, without the minutes.
TRAINER = """
import json, shutil, sys
from pathlib import Path

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
folder = Path(options["--model-dir"])
folder.mkdir(parents=True, exist_ok=True)
given = sorted(str(p.relative_to(options["--train"])) for p in Path(options["--train"]).glob("*/*"))
calls = Path(__file__).with_name("calls")
calls.write_text(calls.read_text() + json.dumps([options, given]) + "\\n")
shutil.copy(Path(__file__).with_name("weights.pt"), folder / "model.pt")
(folder / "metadata.json").write_text(json.dumps({
    "classes": ["bicycle", "motorcycle"], "input_size": 16, "width": 8, "members": 1,
    "temperature": 1.0, "normalisation": {"mean": [0.5] * 3, "std": [0.25] * 3},
    "metrics": {"validation_accuracy": 0.5},
    "calibration": {"max_error": 0.01, "confidence_level": 0.95},
}))
(folder / "held_out.json").write_text(json.dumps({
    "source": "cross-validation", "classes": ["bicycle", "motorcycle"],
    "truth": [0] * 400, "probabilities": [[0.6, 0.4]] * 400,
}))
"""


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script that trains nothing; its model is sure of a bicycle whatever it is shown."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(TRAINER)
    (folder / "calls").write_text("")
    ensemble = network.Ensemble(1, 2, 16, width=8)
    head = ensemble.networks()[0].head
    head.weight.data.zero_()
    head.bias.data = torch.tensor([5.0] * network.TURNS + [0.0] * network.TURNS)
    torch.save(ensemble.state_dict(), folder / "weights.pt")
    monkeypatch.setattr(runs, "SOURCE_DIR", folder)
    monkeypatch.setattr(training, "SOURCE_DIR", folder)
    return folder


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    from training.stage_data import main

    out = str(tmp_path / "staged")
    drawn = ["synthetic", "--count", "20", "--size", "16"]
    assert main([*drawn, "--no-upload", "--out", out]) == 0
    return Path(out)


def run(tmp_path, staged, *options) -> tuple[int, Path]:
    report = tmp_path / "training.json"
    places = ["--staged", str(staged), "--work", str(tmp_path / "work"), "--report", str(report)]
    return training.main([*places, "--presets", "fast", *options]), report


def calls(trainer):
    return [json.loads(line) for line in (trainer / "calls").read_text().splitlines()]


def test_failed_training_is_reported_and_leaves_no_report(tmp_path, trainer, staged, capsys):
    (trainer / "train.py").write_text("raise SystemExit('out of luck')")
    status, report = run(tmp_path, staged)
    assert status == 1
    assert "out of luck" in capsys.readouterr().err
    assert not report.exists()


def test_the_test_pictures_are_answered_and_never_trained_on(tmp_path, trainer, staged):
    status, report = run(tmp_path, staged, "--seeds", "3", "4", "--options", "epochs=2")
    assert status == 0
    made = calls(trainer)
    assert [options["--seed"] for options, _ in made] == ["3", "4"]
    assert {(o["--preset"], o["--epochs"]) for o, _ in made} == {("fast", "2")}
    for _, given in made:
        assert {Path(path).name.split("-")[0] for path in given} == {"train", "validation"}
    test = json.loads((staged / "manifest.json").read_text())["counts"]["test"]
    figures = json.loads(report.read_text())["presets"]["fast"]["test"]
    assert [f["seed"] for f in figures] == [3, 4]
    assert figures[0]["accuracy"] == test["bicycle"] / sum(test.values())
    assert figures[0]["threshold"] == [0.6]  # what 400 right held-out answers show
    assert figures[0]["coverage"] == 1  # its confidence is .993
    assert figures[0]["accepted_wrong"] == test["motorcycle"]


def test_a_run_is_made_once_until_something_changes(tmp_path, trainer, staged, capsys):
    for _ in range(2):
        assert run(tmp_path, staged, "--seeds", "3")[0] == 0
    assert len(calls(trainer)) == 1
    assert "trained before" in capsys.readouterr().out
    (trainer / "network.py").write_text("# another network")
    assert run(tmp_path, staged, "--seeds", "3", "--kept")[0] == 0
    assert len(calls(trainer)) == 1
    assert run(tmp_path, staged, "--seeds", "3")[0] == 0
    assert len(calls(trainer)) == 2


def test_a_kept_model_that_is_not_there_is_named(tmp_path, trainer, staged, capsys):
    assert run(tmp_path, staged, "--kept")[0] == 1
    assert "seed-0 has no model: run this once without --kept" in capsys.readouterr().err
    assert not calls(trainer)


def test_cross_validation_answers_every_picture_once_and_trains_on_the_others(tmp_path, trainer, staged):
    status, report = run(tmp_path, staged, "--seeds", "--cross-validate", "7", "--folds", "3")
    assert status == 0
    made = calls(trainer)
    assert len(made) == 3
    known = sorted(path for path in {p for _, given in made for p in given})
    assert not any(Path(path).name.startswith("test-") for path in known)
    left_out = [set(known) - set(given) for _, given in made]
    assert sorted(path for part in left_out for path in part) == known
    figures = json.loads(report.read_text())["presets"]["fast"]["cross_validation"]
    bicycles = sum(path.startswith("bicycle/") for path in known)
    assert figures[0]["accuracy"] == bicycles / len(known)


def test_classes_are_dealt_out_evenly():
    pictures = [(f"train/{name}/{i}.png", name, b"") for name in "ab" for i in range(11)]
    folds = training.deal_out(pictures, 4, seed=0)
    for name in "ab":
        counts = [sum(truth == name for _, truth, _ in fold) for fold in folds]
        assert max(counts) - min(counts) <= 1
    assert folds != training.deal_out(pictures, 4, seed=1)


def test_the_table_has_a_row_for_each_kind(capsys):
    figures = {
        "seed": 0,
        "accuracy": 0.9,
        "expected_calibration_error": 0.02,
        "coverage": 0.8,
        "accuracy_accepted": None,
        "held_out_accuracy": 0.9,
        "seconds": 10.0,
    }
    found = {"test": [figures], "cross_validation": [figures], "folds": 5}
    training.show({"machine": "a machine", "options": [], "presets": {"fast": found}}, make_console())
    printed = capsys.readouterr().out
    assert "fast, test" in printed
    assert "none" in printed
