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


def test_a_white_picture_is_as_bright_as_can_be_and_has_nothing_to_be_sharp():
    found = features(Image.new("RGB", (20, 10), "white"))
    assert found["brightness"] == pytest.approx(1)
    assert (found["contrast"], found["sharpness"]) == (0, 0)
    assert (found["width"], found["height"]) == (20, 10)


def test_half_black_and_half_white_is_the_greatest_contrast():
    picture = Image.new("RGB", (20, 10), "white")
    picture.paste("black", (0, 0, 10, 10))
    found = features(picture)
    assert (found["brightness"], found["contrast"]) == (pytest.approx(0.5), pytest.approx(0.5))


def test_brightness_and_contrast_are_those_of_the_luma(drawn):
    for picture in drawn:
        luma = np.asarray(picture.convert("L"), float) / 255
        found = features(picture)
        assert found["brightness"] == pytest.approx(luma.mean())
        assert found["contrast"] == pytest.approx(luma.std())


def test_sharpness_is_the_laplacians_deviation_over_the_lumas():
    picture = draw_picture("motorcycle", 1, (32, 32), seed=0)
    luma = np.asarray(picture.convert("L"), float)
    laplacian = [
        luma[y - 1, x] + luma[y + 1, x] + luma[y, x - 1] + luma[y, x + 1] - 4 * luma[y, x]
        for y in range(1, 31)
        for x in range(1, 31)
    ]
    assert features(picture)["sharpness"] == pytest.approx(np.std(laplacian) / luma.std(), 1e-4)


def test_darker_pictures_are_darker_and_as_sharp_as_before(drawn):
    for picture in drawn:
        before, after = features(picture), features(picture.point(lambda level: level * 0.7))
        assert after["brightness"] == pytest.approx(0.7 * before["brightness"], abs=0.005)
        assert after["contrast"] == pytest.approx(0.7 * before["contrast"], abs=0.005)
        assert after["sharpness"] == pytest.approx(before["sharpness"], rel=0.03)


def test_blurred_pictures_are_less_sharp_and_as_bright_as_before(drawn):
    for picture in drawn:
        before, after = (features(each) for each in (picture, picture.filter(ImageFilter.GaussianBlur(1))))
        assert after["sharpness"] < 0.5 * before["sharpness"]
        assert after["brightness"] == pytest.approx(before["brightness"], abs=0.01)


def test_more_pixels_of_the_same_scene_are_not_sharper(drawn):
    picture = drawn[0].resize((512, 384), Image.Resampling.BICUBIC)
    larger = picture.resize((2048, 1536), Image.Resampling.BICUBIC)
    assert features(larger)["sharpness"] == pytest.approx(features(picture)["sharpness"], rel=0.1)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (5000, 1)])
def test_pictures_without_a_middle_have_no_sharpness(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    assert features(Image.fromarray(noise))["sharpness"] == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_file_counts_as_it_is(drawn, kind):
    data = encode(drawn[0], kind)
    found = picture_features(data, drawn[0])
    assert (found["format"], found["bytes"]) == (kind, len(data))
    assert picture_features(b"GIF89a", drawn[0])["format"] == "other"


def test_every_number_is_a_finite_float_and_the_picture_is_not_changed(drawn):
    before = drawn[0].resize((900, 700))
    data = before.tobytes()
    found = features(before)
    assert set(found) == {*NUMBERS, "format"}
    assert all(type(found[name]) is float and np.isfinite(found[name]) for name in NUMBERS)
    assert before.tobytes() == data
