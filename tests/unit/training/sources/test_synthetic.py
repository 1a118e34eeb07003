"""Drawn pictures: reproducible, varied, and classes that brightness and color do not separate."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.container.picture_model.near_duplicates import difference_hash, near_groups
from training.sources.drawing import scene
from training.sources.source import ClassNameError
from training.sources.synthetic import CLASSES, contrast, draw_picture, synthetic_source

COUNT = 60
TINY = (32, 32)


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    """Return COUNT pictures per class as [COUNT, 32, 32, 3]."""
    return {name: np.stack([np.asarray(draw_picture(name, n, TINY, seed=0)) for n in range(COUNT)]) for name in CLASSES}


def test_synthetic_source_with_an_unknown_class_fails():
    with pytest.raises(ClassNameError, match="there are bicycle, bus, car, motorcycle, truck"):
        synthetic_source(["bicycle", "zebra"], 3, TINY, 0)


def test_draw_picture_depends_only_on_seed_class_and_number():
    drawn = {draw_picture(*wanted).tobytes() for wanted in itertools.product(CLASSES, range(3), [TINY], range(3))}

    assert len(drawn) == len(CLASSES) * 3 * 3
    for name in CLASSES:
        one, again = (draw_picture(name, 1, TINY, 5).tobytes() for _ in range(2))
        assert one == again


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (100, 100), (160, 120), (40, 90)])
@pytest.mark.parametrize("name", CLASSES)
def test_draw_picture_has_the_requested_size(name, size):
    picture = draw_picture(name, 0, size, 0)

    assert (picture.size, picture.mode) == (size, "RGB")


@pytest.mark.parametrize("size", [(160, 90), (90, 160), (100, 100)])
@pytest.mark.parametrize("ground", [0.5, 0.8, 1.0, 1.02])
def test_background_has_its_ground_at_the_vehicles_wheels(monkeypatch, size, ground):
    """The picture need not be square, and the ground can be just below its lower edge."""

    def white_above(_, side, row):
        square = Image.new("L", (side, side))
        square.paste(255, (0, 0, side, round(row)))
        return square

    monkeypatch.setattr(scene, "_draw_square", white_above)
    row = round(ground * size[1])
    drawn = scene.draw_background(random.Random(0), size, row)  # noqa: S311  pictures

    rows = np.asarray(drawn).all(axis=1)
    assert drawn.size == size
    assert rows.tolist() == [number < row for number in range(size[1])]


@pytest.mark.parametrize("name", CLASSES)
def test_draw_picture_of_a_larger_size_shows_the_same_scene(name):
    """Reduced to the smaller size, only noise and antialiasing differ."""
    small = np.asarray(draw_picture(name, 3, TINY, 0), dtype=float)
    large = draw_picture(name, 3, (128, 128), 0).resize((32, 32), Image.Resampling.BOX)

    assert np.abs(small - np.asarray(large, dtype=float)).mean() < 12


def test_synthetic_source_yields_its_total():
    source = synthetic_source(["motorcycle", "bicycle"], 4, (16, 16), 0)
    pictures: list[Any] = list(source.pictures())

    assert len(pictures) == source.total == 8
    assert source.classes == ["bicycle", "motorcycle"]
    assert source.description == {"kind": "synthetic", "count": 4, "size": 16, "seed": 0}
    assert [p.name for p in pictures[:2]] == ["bicycle-00000", "bicycle-00001"]
    assert all(p.split is None for p in pictures)


@pytest.mark.parametrize("pair", list(itertools.combinations(sorted(CLASSES), 2)), ids="-".join)
def test_brightness_and_color_do_not_separate_the_classes(drawn, pair):
    """The best threshold on any channel's mean or standard deviation is far from a classifier.

    A little better than chance is allowed, since a truck covers more of the background than a bicycle.
    """
    features = [np.concatenate([drawn[name][..., channel].reshape(COUNT, -1) for name in pair]) for channel in range(3)]
    truth = np.repeat([0, 1], COUNT)
    for pixels in features:
        for feature in (pixels.mean(1), pixels.std(1)):
            right = [((feature > cut) == truth).mean() for cut in feature]
            assert max(*right, 1 - min(right)) < 0.75


def test_drawn_pictures_have_contrast(drawn):
    for pictures in drawn.values():
        assert (pictures.reshape(COUNT, -1).std(1) > 4).all()


def test_drawn_pictures_are_rarely_near_duplicates(drawn):
    hashes = [difference_hash(Image.fromarray(p)) for ps in drawn.values() for p in ps]

    assert len(near_groups(hashes)) >= 0.97 * len(hashes)


def test_contrast_counts_only_covered_pixels():
    layer = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
    layer.paste((200, 200, 200, 255), (0, 0, 64, 128))
    scene = Image.new("RGB", (128, 128), (150, 150, 150))

    assert contrast(layer, scene) == pytest.approx(50)
    assert contrast(Image.new("RGBA", (128, 128)), scene) == 0
