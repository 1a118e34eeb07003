"""The training benchmark: the pictures of each run, the kept models, the figures."""

import json
from pathlib import Path

import pytest

from benchmarks import runs, training
from benchmarks.hostile_pictures.model import CLASSES, write_model
from common.waiting import make_console

# Replaces train.py: the same command line and files, without the minutes.
TRAINER = """
import json, shutil, sys
from pathlib import Path

words = " ".join(sys.argv[1:]).replace("=", " ").split()
options = dict(zip(words[::2], words[1::2]))
pictures = sorted(str(p.relative_to(options["--train"])) for p in Path(options["--train"]).glob("*/*"))
with Path(__file__).with_name("calls").open("a") as calls:
    print(json.dumps([options, pictures]), file=calls)
shutil.copytree(Path(__file__).with_name("model"), options["--model-dir"], dirs_exist_ok=True)
"""


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script that trains nothing; its model is sure of a bicycle."""
    folder = tmp_path / "source"
    model = folder / "model"
    model.mkdir(parents=True)
    (folder / "train.py").write_text(TRAINER)
    (folder / "calls").write_text("")
    calibration = {"max_error": 0.01, "confidence_level": 0.95}
    write_model(model, metrics={"validation_accuracy": 0.5}, calibration=calibration)
    answers = {"truth": [0] * 400, "probabilities": [[0.6, 0.4]] * 400}
    held_out = {"source": "cross-validation", "classes": CLASSES, **answers}
    (model / "held_out.json").write_text(json.dumps(held_out))
    monkeypatch.setattr(runs, "SOURCE_DIR", folder)
    monkeypatch.setattr(training, "SOURCE_DIR", folder)
    return folder


def run(tmp_path, staged, *options, status=0):
    report = tmp_path / "training.json"
    paths = ["--staged", str(staged), "--work", str(tmp_path / "work"), "--report", str(report)]
    assert training.main([*paths, "--presets", "fast", *options]) == status
    return report


def calls(trainer):
    return [json.loads(line) for line in (trainer / "calls").read_text().splitlines()]


def test_seeds_train_without_the_test_pictures_and_classify_them(tmp_path, trainer, staged):
    report = run(tmp_path, staged, "--seeds", "3", "4", "--options", "epochs=2")
    trained = calls(trainer)
    assert [options["--seed"] for options, _ in trained] == ["3", "4"]
    assert {(o["--preset"], o["--epochs"]) for o, _ in trained} == {("fast", "2")}
    for _, pictures in trained:
        assert {Path(path).name.split("-")[0] for path in pictures} == {"train", "validation"}
    test = json.loads((staged / "manifest.json").read_text())["counts"]["test"]
    figures = json.loads(report.read_text())["presets"]["fast"]["test"]
    assert [f["seed"] for f in figures] == [3, 4]
    assert figures[0]["accuracy"] == test["bicycle"] / sum(test.values())
    assert figures[0]["threshold"] == [0.6]  # as 400 right held-out answers recommend
    assert figures[0]["coverage"] == 1  # its confidence is above 0.9999
    assert figures[0]["accepted_wrong"] == test["motorcycle"]


def test_training_is_repeated_only_after_a_change_and_never_with_kept(tmp_path, trainer, staged, capsys):
    for _ in range(2):
        run(tmp_path, staged, "--seeds", "3")
    assert len(calls(trainer)) == 1
    assert "trained before" in capsys.readouterr().out
    (trainer / "network.py").write_text("# another network")
    run(tmp_path, staged, "--seeds", "3", "--kept")
    assert len(calls(trainer)) == 1
    run(tmp_path, staged, "--seeds", "3")
    assert len(calls(trainer)) == 2


def test_kept_without_a_model_fails(tmp_path, trainer, staged, capsys):
    report = run(tmp_path, staged, "--kept", status=1)
    assert not report.exists()
    assert "seed-0 has no model: run this once without --kept" in capsys.readouterr().err
    assert not calls(trainer)


def test_cross_validation_classifies_every_picture_once_and_trains_on_the_others(tmp_path, trainer, staged):
    report = run(tmp_path, staged, "--seeds", "--cross-validate", "7", "--folds", "3")
    trained = calls(trainer)
    assert len(trained) == 3
    known = sorted(path for path in {p for _, pictures in trained for p in pictures})
    assert not any(Path(path).name.startswith("test-") for path in known)
    left_out = [set(known) - set(pictures) for _, pictures in trained]
    assert sorted(path for part in left_out for path in part) == known
    figures = json.loads(report.read_text())["presets"]["fast"]["cross_validation"]
    bicycles = sum(path.startswith("bicycle/") for path in known)
    assert figures[0]["accuracy"] == bicycles / len(known)


def test_deal_out_spreads_every_class_evenly():
    pictures = [(f"train/{name}/{i}.png", name, b"") for name in "ab" for i in range(11)]
    folds = training.deal_out(pictures, 4, seed=0)
    for name in "ab":
        counts = [sum(truth == name for _, truth, _ in fold) for fold in folds]
        assert max(counts) - min(counts) <= 1
    assert folds != training.deal_out(pictures, 4, seed=1)


def test_table_shows_kinds_and_missing_figures(capsys):
    figures = dict.fromkeys(training.COLUMNS, 0.9) | {"accuracy_accepted": None}
    found = {"test": [figures], "cross_validation": [figures], "folds": 5}
    training.show({"machine": "a machine", "options": [], "presets": {"fast": found}}, make_console())
    printed = capsys.readouterr().out
    assert "fast, test" in printed
    assert "none" in printed
