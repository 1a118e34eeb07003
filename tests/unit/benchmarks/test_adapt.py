"""The benchmark on other data: the options of train.py, the figures, the errors."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import adapt, runs
from benchmarks.runs import Task
from training.container.picture_model import network

# Replaces train.py: the same command line and files, without the minutes.
TRAINER = """
import json, shutil, sys
from pathlib import Path

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert Path(options["--train"]).is_dir() and Path(options["--validation"]).is_dir()
print("   1/2      0.1 s  train:loss=1")
print("   2/2      0.2 s  train:loss=1")
if options.get("--preset") == "broken":
    sys.exit("no such preset")
classes = sorted(p.name for p in Path(options["--train"]).iterdir())
size = int(options["--input-size"])
folder = Path(options["--model-dir"])
folder.mkdir(parents=True, exist_ok=True)
shutil.copy(Path(__file__).with_name(f"{len(classes)}-{size}.pt"), folder / "model.pt")
(folder / "metadata.json").write_text(json.dumps({
    "classes": classes, "input_size": size, "width": 8, "members": 2, "temperature": 1.0,
    "normalisation": {"mean": [0.5] * 3, "std": [0.25] * 3},
    "calibration": {"threshold": 0.0}, "given": options,
}))
"""


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(TRAINER)
    for classes, size in ((5, 16), (2, 24)):
        weights = network.Ensemble(2, classes, size, width=8).state_dict()
        torch.save(weights, folder / f"{classes}-{size}.pt")
    monkeypatch.setattr(runs, "SOURCE_DIR", folder)
    small = (
        Task("five-classes", ("bicycle", "bus", "car", "motorcycle", "truck"), "16", 10, 16),
        Task("photos", ("bicycle", "motorcycle"), "40x30", 10, 24),
    )
    monkeypatch.setattr(adapt, "TASKS", small)
    return folder


def run(tmp_path, *options) -> int:
    paths = ["--work", str(tmp_path / "work"), "--report", str(tmp_path / "adapt.json")]
    return adapt.main([*paths, *options])


def test_failed_training_is_reported_with_its_last_lines(tmp_path, trainer, capsys):
    assert run(tmp_path, "--preset", "broken") == 1

    error = capsys.readouterr().err
    assert "train.py ended with 1" in error
    assert "no such preset" in error
    assert "Traceback" not in error
    assert not (tmp_path / "adapt.json").exists()


def test_staging_failure_is_reported(tmp_path, trainer, capfd):
    foreign = tmp_path / "work" / "five-classes" / "staged" / "train" / "mine.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("a user's")

    assert run(tmp_path) == 1
    error = capfd.readouterr().err
    assert "holds files that are not staged data" in error
    assert "adapt: The pictures of five-classes could not be staged" in error


def test_both_data_sets_are_trained_on_from_every_seed_and_measured(tmp_path, trainer, capsys):
    assert run(tmp_path, "--seeds", "3", "4", "--epochs", "2", "--preset", "fast") == 0

    report = json.loads((tmp_path / "adapt.json").read_text())
    five, photos = report["tasks"]["five-classes"], report["tasks"]["photos"]
    assert five["classes"] == ["bicycle", "bus", "car", "motorcycle", "truck"]
    assert (photos["picture_size"], photos["input_size"]) == ("40x30", 24)
    for task, classes in ((five, 5), (photos, 2)):
        assert [r["seed"] for r in task["runs"]] == [3, 4]
        for figures in task["runs"]:
            assert figures["test_pictures"] == 2 * classes
            # The threshold of 0 in TRAINER's metadata accepts everything.
            assert figures["accepted_share"] == 1
            assert figures["accuracy_accepted"] == figures["accuracy"]
            assert figures["seconds"] > 0
        accuracies = [figures["accuracy"] for figures in task["runs"]]
        assert task["accuracy"]["mean"] == pytest.approx(sum(accuracies) / 2, abs=1e-4)
    metadata = tmp_path / "work" / "photos" / "model-4" / "metadata.json"
    given = json.loads(metadata.read_text())["given"]
    assert (given["--seed"], given["--epochs"], given["--preset"]) == ("4", "2", "fast")
    assert (tmp_path / "adapt" / "photos-4.log").read_text().count("/2 ") == 2
    assert "The same scripts on other data" in capsys.readouterr().out
