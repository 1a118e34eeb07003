"""Staging changes photos and says so; monitoring then compares like with like."""

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from benchmarks.hostile_pictures.files import encode
from operations.monitoring.captured_pictures import describe
from operations.monitoring.drift import compare
from operations.monitoring.sample import Sample
from training.container.picture_model.dataset import UnreadablePictureError, read_pictures
from training.container.picture_model.network import decode_picture
from training.container.picture_model.original_file import (
    KEYWORD,
    OriginalFile,
    OriginalFileError,
    read_original,
)
from training.container.picture_model.picture_features import NUMBERS, picture_features
from training.sources.synthetic import draw_picture
from training.stage_data import main

ORIGINAL = OriginalFile(4000, 3000, 2_345_678, "JPEG")
DRAWN, SIZE = (240, 180), (960, 720)  # drawing as large would take half a minute


def png(info: PngInfo | None = None) -> bytes:
    return encode(draw_picture("bicycle", 0, (32, 32), 0), pnginfo=info)


def test_read_original_returns_the_written_values_or_none():
    assert read_original(png(ORIGINAL.png_text())) == ORIGINAL
    assert read_original(png()) is None
    assert read_original(encode(draw_picture("bicycle", 0, (32, 32), 0), "JPEG", comment=KEYWORD)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "[1, 2, 3]",
        '{"width": 1, "height": 1, "size": 1}',
        '{"width": 0, "height": 1, "size": 1, "format": "JPEG"}',
        '{"width": true, "height": 1, "size": 1, "format": "JPEG"}',
        '{"width": 1, "height": 1.5, "size": 1, "format": "JPEG"}',
        '{"width": 1, "height": NaN, "size": 1, "format": "JPEG"}',
        '{"width": 1, "height": 1, "size": 1, "format": "BMP"}',
        '{"width": 1, "height": 1, "size": 1, "format": ["PNG"]}',
        '{"width": 1, "height": 1, "size": ' + "9" * 400 + ', "format": "PNG"}',
    ],
)
def test_read_original_with_invalid_text_fails(text, tmp_path):
    info = PngInfo()
    info.add_text(KEYWORD, text)
    data = png(info)
    with pytest.raises(OriginalFileError, match="which staging does not write: stage it again"):
        read_original(data)
    (tmp_path / "car").mkdir()
    (tmp_path / "car/a.png").write_bytes(data)
    with pytest.raises(UnreadablePictureError, match=r"a\.png: its text"):
        read_pictures(tmp_path, ["car"], 32)


def test_describe_ignores_the_text_of_captured_pictures():
    data = png(ORIGINAL.png_text())
    assert describe(data) == picture_features(data, decode_picture(data))
    assert describe(data)["width"] == 32


def sample(features):
    count = len(features)
    return Sample(
        ["bicycle"] * count,
        np.full(count, 0.9),
        {name: np.array([float(each[name]) for each in features]) for name in NUMBERS},
        [str(each["format"]) for each in features],
    )


def test_staged_photos_show_no_drift(tmp_path):
    photos = []
    for name in ("bicycle", "motorcycle"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(15):
            photos.append(tmp_path / "photos" / name / f"{number}.jpg")
            picture = draw_picture(name, number, DRAWN, 0).resize(SIZE, Image.Resampling.BICUBIC)
            picture.save(photos[-1], quality=85)
    staged = tmp_path / "staged"
    assert main([str(tmp_path / "photos"), "--no-upload", "--out", str(staged)]) == 0

    classes = ["bicycle", "motorcycle"]
    splits = ("train", "validation", "test")
    read = [f for split in splits for f in read_pictures(staged / split, classes, 32).features]
    drift = compare(sample(read), sample([describe(path.read_bytes()) for path in photos]))

    assert drift.sensitivity is not None
    effects = {feature.name: feature.effect for feature in drift.features}
    assert not drift.drifted, drift.verdict
    for name in ("width", "height", "bytes", "format"):
        assert effects[name] == 0, name
    # They are of a copy with fewer pixels, and change by next to nothing.
    assert max(effects[name] or 0 for name in ("brightness", "contrast", "sharpness")) < 0.1
