"""The pictures of neither class, and the benchmark that counts how many of them a model accepts."""

import json
import random
import tarfile

import numpy as np
import pytest
from PIL import Image

from benchmarks import classifier
from benchmarks.hostile_pictures.model import write_untrained_model
from benchmarks.neither import __main__ as neither
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
from training.container.picture_model import network
from training.container.picture_model.near_duplicates import difference_hash, near_groups

VEHICLES = [Image.radial_gradient("L").resize((32, 32)).convert("RGB")]


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_a_kind_depend_on_seed_and_number_only(kind, size):
    four = neither_pictures(kind, 4, 0, size, VEHICLES)
    two = neither_pictures(kind, 2, 0, size, VEHICLES)
    other = neither_pictures(kind, 4, 1, size, VEHICLES)

    assert {(picture.size, picture.mode) for picture in four} == {((size, size), "RGB")}
    assert [p.tobytes() for p in two] == [p.tobytes() for p in four[:2]]
    assert [p.tobytes() for p in four] != [p.tobytes() for p in other]


@pytest.mark.parametrize("kind", [kind for kind in DRAWN if kind not in LIKE_TRAINING])
def test_drawn_pictures_differ_from_each_other(kind):
    # A hash of 8x8 patches of light: two pages of small print have the same.
    hashes = [difference_hash(picture) for picture in neither_pictures(kind, 40, 0, 32)]

    assert len(near_groups(hashes)) >= 32


def test_cut_returns_a_small_connected_piece():
    numbers = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80)
    pixels = np.stack([numbers >> 8, numbers & 255, numbers * 0], axis=2).astype(np.uint8)
    whole = Image.fromarray(pixels)

    piece = np.asarray(cut(random.Random(0), whole)).astype(int)  # noqa: S311

    share = piece.shape[0] * piece.shape[1] / (60 * 80)
    assert CUT_AREA[0] - 0.03 < share <= CUT_AREA[1] <= 0.2
    assert (np.diff(piece[..., 0] * 256 + piece[..., 1], axis=1) == 1).all()  # neighbours stay neighbours


def test_blur_leaves_no_detail():
    checks = np.indices((64, 64)).sum(0) // 8 % 2 * 255
    sharp = Image.fromarray(checks.astype(np.uint8)).convert("RGB")

    blurred = blur(random.Random(0), sharp)  # noqa: S311
    assert np.asarray(blurred).std() < 0.1 * np.asarray(sharp).std()


def test_kinds_like_training_include_every_kind_from_vehicles():
    assert set(FROM_VEHICLES) <= set(LIKE_TRAINING) <= set(KINDS)


def test_contact_sheet_shows_highest_confidence_first_and_frames_accepted():
    pictures = [Image.new("RGB", (8, 8), (0, 0, shade)) for shade in (10, 20, 30)]

    sheet = neither.contact_sheet(pictures, [[0.6, 0.4], [0.05, 0.95], [0.5, 0.5]], threshold=0.6)

    cell = neither.SIDE + 2 * neither.FRAME
    assert sheet.size == (neither.COLUMNS * cell, cell)
    blues = [sheet.getpixel((position * cell + cell // 2, cell // 2)) for position in range(3)]
    assert blues == [(0, 0, 20), (0, 0, 10), (0, 0, 30)]
    frames = [sheet.getpixel((position * cell, 0)) == neither.ACCEPTED for position in range(3)]
    assert frames == [True, True, False]


def test_figures_count_accepted_pictures_without_ties():
    found = neither.figures([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], ["a", "b"], threshold=0.5)

    low, high = found.pop("accepted_interval_95")
    assert low < 2 / 3 < high
    shares = {"accepted_share": pytest.approx(2 / 3), "mean_confidence": pytest.approx(2.2 / 3, abs=1e-4)}
    assert found == {"pictures": 3, "accepted": 2, "answers": {"a": 2, "b": 1}, **shares}


def run(tmp_path, staged, *options) -> int:
    report = ["--report", str(tmp_path / "neither.json"), "--count", "5"]
    return neither.main(["--staged", str(staged), *report, *map(str, options)])


def read_report(tmp_path, model):
    return json.loads((tmp_path / "neither.json").read_text())["models"][str(model)]


def test_path_without_model_is_reported(tmp_path, staged, capsys):
    broken = tmp_path / "model.tar.gz"
    broken.write_bytes(b"no archive")
    (tmp_path / "empty").mkdir()

    for path in (tmp_path / "missing", broken, tmp_path / "empty"):
        assert run(tmp_path, staged, "--model", path) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"neither: {path} holds no model that can be loaded")
        assert error.count("\n") == 1
    assert not (tmp_path / "neither.json").exists()


def test_model_of_other_classes_is_rejected(tmp_path, staged, capsys):
    write_untrained_model(tmp_path, ["cat", "dog"])

    assert run(tmp_path, staged, "--model", tmp_path) == 1
    assert "are of bicycle, motorcycle, which the model does not know" in capsys.readouterr().err


def test_report_has_every_kind_of_every_model(tmp_path, staged, capsys):
    write_untrained_model(tmp_path)
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("model.pt", "metadata.json"):
            tar.add(tmp_path / name, name)

    assert run(tmp_path, staged, "--model", tmp_path, archive, "--threshold", "0.5") == 0

    one = read_report(tmp_path, tmp_path)
    assert list(one["kinds"]) == list(KINDS)
    assert {row["pictures"] for row in one["kinds"].values()} == {5}
    assert one == read_report(tmp_path, archive)
    assert one["threshold"] == 0.5
    # With two classes, only a tie has a probability below 0.5.
    assert one["accepted_share"] == 1.0
    assert one["test_pictures"]["accepted_share"] == 1.0
    sheets = {path.name for path in (tmp_path / "neither").iterdir()}
    assert sheets == {f"{kind}-{number}.png" for kind in KINDS for number in (1, 2)}
    assert "neither, all kinds" in capsys.readouterr().out


def test_threshold_is_the_models_own_by_default(tmp_path, staged):
    write_untrained_model(tmp_path, calibration={"threshold": 0.9999})

    assert run(tmp_path, staged, "--model", tmp_path) == 0

    report = read_report(tmp_path, tmp_path)
    assert report["threshold"] == 0.9999
    assert report["accepted_share"] == 0.0
    assert report["test_pictures"]["accuracy_accepted"] is None


def test_missing_recommendation_and_left_out_kind_are_printed(tmp_path, staged, capsys):
    write_untrained_model(tmp_path, ["bicycle", "car", "motorcycle"])

    assert run(tmp_path, staged, "--model", tmp_path) == 0

    assert "cars" not in read_report(tmp_path, tmp_path)["kinds"]
    printed = capsys.readouterr().out.replace("\n", " ")
    assert "cars are left out" in printed
    assert "recommends no threshold" in printed


def test_probabilities_of_several_batches_are_those_of_the_serving_code(tmp_path):
    write_untrained_model(tmp_path)
    pictures = neither_pictures("houses", classifier.BATCH + 3, 0, 32)
    loaded = classifier.load_model(tmp_path)

    rows = loaded.probabilities([classifier.png(picture) for picture in pictures])

    one = network.resize_picture(pictures[-1], loaded.classifier.input_size)
    assert len(rows) == classifier.BATCH + 3
    assert rows[-1] == pytest.approx(loaded.classifier.probabilities(one[None])[0].tolist())
