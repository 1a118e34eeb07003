"""Pictures of neither class, and the benchmark that counts how many of them a model accepts."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import classifier
from benchmarks.neither import __main__ as neither
from benchmarks.neither.contact_sheet import ACCEPTED, COLUMNS, FRAME, SIDE, contact_sheet
from benchmarks.neither.pictures import (
    CUT_AREA,
    DRAWN,
    FROM_VEHICLES,
    KINDS,
    LIKE_TRAINING,
    blur,
    cut,
    neither_pictures,
)
from training import stage_data
from training.container.picture_model import network
from training.container.picture_model.near_duplicates import difference_hash, near_groups

VEHICLES = [Image.radial_gradient("L").resize((32, 32)).convert("RGB")]


class _Middle:
    """Chance that always lies in the middle."""

    def uniform(self, low, high):
        return (low + high) / 2

    def randint(self, low, high):
        return (low + high) // 2


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_makes_as_many_pictures_as_asked_for_the_same_for_a_seed(kind, size):
    one, again, other = (neither_pictures(kind, 4, seed, size, VEHICLES) for seed in (0, 0, 1))

    assert [picture.size for picture in one] == [(size, size)] * 4
    assert {picture.mode for picture in one} == {"RGB"}
    assert [p.tobytes() for p in one] == [p.tobytes() for p in again]
    assert [p.tobytes() for p in one] != [p.tobytes() for p in other]


@pytest.mark.parametrize("kind", [kind for kind in DRAWN if kind not in LIKE_TRAINING])
def test_drawn_things_differ_from_each_other(kind):
    """To a hash of 8x8 patches of light, to which two pages of small print are the same."""
    hashes = [difference_hash(picture) for picture in neither_pictures(kind, 40, 0, 32)]

    assert len(near_groups(hashes)) >= 32


def test_more_pictures_begin_with_the_same_ones():
    """So that a larger count makes a figure more certain, not another one."""
    few, more = (neither_pictures("faces", count, 0, 32) for count in (2, 4))

    assert [p.tobytes() for p in few] == [p.tobytes() for p in more[:2]]


def test_a_cut_is_a_small_piece_of_the_picture():
    numbers = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80)
    pixels = np.stack([numbers >> 8, numbers & 255, numbers * 0], axis=2).astype(np.uint8)
    whole = Image.fromarray(pixels)

    piece = np.asarray(cut(_Middle(), whole)).astype(int)  # type: ignore[arg-type]

    share = piece.shape[0] * piece.shape[1] / (60 * 80)
    assert CUT_AREA[0] - 0.03 < share <= CUT_AREA[1] <= 0.2
    assert (np.diff(piece[..., 0] * 256 + piece[..., 1], axis=1) == 1).all()  # neighbours stay


def test_what_is_blurred_has_no_detail_left():
    checks = np.indices((64, 64)).sum(0) // 8 % 2 * 255
    sharp = Image.fromarray(checks.astype(np.uint8)).convert("RGB")

    assert np.asarray(blur(_Middle(), sharp)).std() < 0.1 * np.asarray(sharp).std()  # type: ignore[arg-type]


def test_every_kind_from_vehicles_is_said_to_be_like_trainings():
    assert set(FROM_VEHICLES) <= set(LIKE_TRAINING) <= set(KINDS)


def test_a_contact_sheet_shows_the_surest_first_and_frames_the_accepted():
    pictures = [Image.new("RGB", (8, 8), (0, 0, shade)) for shade in (10, 20, 30)]

    sheet = contact_sheet(pictures, [[0.6, 0.4], [0.05, 0.95], [0.5, 0.5]], threshold=0.6)

    cell = SIDE + 2 * FRAME
    assert sheet.size == (COLUMNS * cell, cell)
    blues = [sheet.getpixel((place * cell + cell // 2, cell // 2)) for place in range(3)]
    assert blues == [(0, 0, 20), (0, 0, 10), (0, 0, 30)]
    frames = [sheet.getpixel((place * cell, 0)) == ACCEPTED for place in range(3)]
    assert frames == [True, True, False]


def test_figures_count_the_accepted_and_never_a_tie():
    found = neither.figures([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], ["a", "b"], threshold=0.5)

    assert (found["pictures"], found["accepted"]) == (3, 2)
    assert found["accepted_share"] == pytest.approx(2 / 3)
    assert found["answers"] == {"a": 2, "b": 1}
    assert found["mean_confidence"] == pytest.approx(2.2 / 3, abs=1e-4)
    low, high = found["accepted_interval_95"]
    assert low < 2 / 3 < high


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("neither") / "staged"
    options = ["--no-upload", "--count", "20", "--size", "16"]
    assert stage_data.main(["synthetic", "--out", str(folder), *options]) == 0
    return folder


def save_model(folder: Path, classes: list[str], **more: object) -> Path:
    """A model with fresh weights, as train.py writes it."""
    folder.mkdir()
    torch.manual_seed(0)
    torch.save(network.Ensemble(2, len(classes), 16, width=8).state_dict(), folder / "model.pt")
    normalisation = {"mean": [0.5] * 3, "std": [0.25] * 3}
    metadata = {
        "classes": classes,
        "input_size": 16,
        "width": 8,
        "members": 2,
        "temperature": 1.0,
        "normalisation": normalisation,
        **more,
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder


@pytest.fixture
def model(tmp_path) -> Path:
    return save_model(tmp_path / "model", ["bicycle", "motorcycle"])


def run(tmp_path, staged, *options) -> int:
    report = ["--report", str(tmp_path / "neither.json"), "--count", "5"]
    return neither.main(["--staged", str(staged), *report, *map(str, options)])


def test_no_model_is_one_sentence(tmp_path, staged, model, capsys):
    broken = tmp_path / "model.tar.gz"
    broken.write_bytes(b"no archive")
    (tmp_path / "empty").mkdir()

    for path in (tmp_path / "missing", broken, tmp_path / "empty"):
        assert run(tmp_path, staged, "--model", path) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"neither: {path} holds no model that can be loaded")
        assert error.count("\n") == 1
    assert not (tmp_path / "neither.json").exists()


def test_nothing_staged_is_one_sentence(tmp_path, model, capsys):
    assert run(tmp_path, tmp_path / "nowhere", "--model", model) == 1
    assert "run `python -m training.stage_data` first" in capsys.readouterr().err


def test_a_model_of_other_classes_is_refused(tmp_path, staged, capsys):
    other = save_model(tmp_path / "other", ["cat", "dog"])

    assert run(tmp_path, staged, "--model", other) == 1
    assert "are of bicycle, motorcycle, which the model does not know" in capsys.readouterr().err


def test_the_report_has_every_kind_of_every_model(tmp_path, staged, model, capsys):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("model.pt", "metadata.json"):
            tar.add(model / name, name)

    assert run(tmp_path, staged, "--model", model, archive, "--threshold", "0.5") == 0

    report = json.loads((tmp_path / "neither.json").read_text())
    one, other = report["models"][str(model)], report["models"][str(archive)]
    assert list(one["kinds"]) == list(KINDS)
    assert {row["pictures"] for row in one["kinds"].values()} == {5}
    assert one == other
    assert one["threshold"] == 0.5
    # From a probability of a half on, everything but a tie is accepted.
    assert one["accepted_share"] == 1.0
    assert one["test_pictures"]["accepted_share"] == 1.0
    sheets = {path.name for path in (tmp_path / "neither").iterdir()}
    assert sheets == {f"{kind}-{number}.png" for kind in KINDS for number in (1, 2)}
    assert "neither, all kinds" in capsys.readouterr().out


def test_the_models_own_threshold_is_used(tmp_path, staged, capsys):
    sure = save_model(tmp_path / "sure", ["bicycle", "motorcycle"], calibration={"threshold": 0.9999})

    assert run(tmp_path, staged, "--model", sure) == 0

    report = json.loads((tmp_path / "neither.json").read_text())["models"][str(sure)]
    assert report["threshold"] == 0.9999
    assert report["accepted_share"] == 0.0
    assert report["test_pictures"]["accuracy_accepted"] is None


def test_a_model_without_a_recommendation_is_named(tmp_path, staged, model, capsys):
    assert run(tmp_path, staged, "--model", model) == 0
    assert "recommends no threshold" in capsys.readouterr().out.replace("\n", " ")


def test_a_kind_that_is_a_class_of_the_model_is_left_out(tmp_path, staged, capsys):
    knows_cars = save_model(tmp_path / "cars", ["bicycle", "car", "motorcycle"])

    assert run(tmp_path, staged, "--model", knows_cars) == 0

    report = json.loads((tmp_path / "neither.json").read_text())["models"][str(knows_cars)]
    assert "cars" not in report["kinds"]
    assert "cars are left out" in capsys.readouterr().out


def test_answers_are_those_of_the_endpoints_code(model):
    """Bytes in, decoded and resized as in inference.py, in batches that no one sees."""
    pictures = neither_pictures("houses", classifier.BATCH + 3, 0, 32)
    loaded = classifier.load_model(model)

    rows = loaded.probabilities([classifier.png(picture) for picture in pictures])

    one = network.resize_picture(pictures[-1], 16)
    assert len(rows) == classifier.BATCH + 3
    assert rows[-1] == pytest.approx(loaded.classifier.probabilities(one[None])[0].tolist())
