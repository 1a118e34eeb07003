"""A picture in numbers: each says what its name says, and nothing of what the others say."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from benchmarks.hostile_pictures.files import encode
from training.container.picture_model.picture_features import NUMBERS, picture_features
from training.sources.synthetic import draw_picture


def features(picture, data=b""):
    return picture_features(data, picture)


@pytest.fixture(scope="module")
def drawn():
    return [draw_picture("bicycle", number, (64, 48), seed=0) for number in range(20)]


def test_features_of_white_picture():
    found = features(Image.new("RGB", (20, 10), "white"))
    assert found["brightness"] == pytest.approx(1)
    assert (found["contrast"], found["sharpness"]) == (0, 0)
    assert (found["width"], found["height"]) == (20, 10)


def test_brightness_and_contrast_match_the_luma(drawn):
    for picture in drawn:
        luma = np.asarray(picture.convert("L"), float) / 255
        found = features(picture)
        assert found["brightness"] == pytest.approx(luma.mean())
        assert found["contrast"] == pytest.approx(luma.std())


def test_sharpness_matches_its_definition():
    picture = draw_picture("motorcycle", 1, (32, 32), seed=0)
    luma = np.asarray(picture.convert("L"), float)
    laplacian = [
        luma[y - 1, x] + luma[y + 1, x] + luma[y, x - 1] + luma[y, x + 1] - 4 * luma[y, x]
        for y in range(1, 31)
        for x in range(1, 31)
    ]
    assert features(picture)["sharpness"] == pytest.approx(np.std(laplacian) / luma.std(), 1e-4)


def test_sharpness_does_not_depend_on_brightness(drawn):
    for picture in drawn:
        before, after = features(picture), features(picture.point(lambda level: level * 0.7))
        assert after["brightness"] == pytest.approx(0.7 * before["brightness"], abs=0.005)
        assert after["contrast"] == pytest.approx(0.7 * before["contrast"], abs=0.005)
        assert after["sharpness"] == pytest.approx(before["sharpness"], rel=0.03)


def test_blur_lowers_only_sharpness(drawn):
    for picture in drawn:
        before, after = (features(each) for each in (picture, picture.filter(ImageFilter.GaussianBlur(1))))
        assert after["sharpness"] < 0.5 * before["sharpness"]
        assert after["brightness"] == pytest.approx(before["brightness"], abs=0.01)


def test_sharpness_does_not_depend_on_resolution(drawn):
    picture = drawn[0].resize((512, 384), Image.Resampling.BICUBIC)
    larger = picture.resize((2048, 1536), Image.Resampling.BICUBIC)
    assert features(larger)["sharpness"] == pytest.approx(features(picture)["sharpness"], rel=0.1)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (5000, 1)])
def test_sharpness_of_tiny_pictures_is_zero(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    assert features(Image.fromarray(noise))["sharpness"] == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_format_and_bytes_are_those_of_the_file(drawn, kind):
    data = encode(drawn[0], kind)
    found = picture_features(data, drawn[0])
    assert (found["format"], found["bytes"]) == (kind, len(data))
    assert picture_features(b"GIF89a", drawn[0])["format"] == "other"


def test_features_are_finite_and_leave_the_picture_unchanged(drawn):
    before = drawn[0].resize((900, 700))
    data = before.tobytes()
    found = features(before)
    assert set(found) == {*NUMBERS, "format"}
    assert all(type(found[name]) is float and np.isfinite(found[name]) for name in NUMBERS)
    assert before.tobytes() == data
