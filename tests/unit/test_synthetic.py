"""Drawn pictures: the same for a seed, different otherwise, no class given away by its light."""

import hashlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.sources.source import UnknownClassError
from training.sources.synthetic import CLASSES, contrast, draw_picture, synthetic_source
from training.staging.fingerprint import difference_hash, near_groups

COUNT = 60


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    """Return COUNT pictures per class as [COUNT, 32, 32, 3]."""
    return {
        name: np.stack([np.asarray(draw_picture(name, n, 32, seed=0)) for n in range(COUNT)])
        for name in CLASSES
    }


def test_a_class_that_cannot_be_drawn_is_named():
    with pytest.raises(UnknownClassError, match="there are bicycle, motorcycle"):
        synthetic_source(["bicycle", "zebra"], 3, 32, 0)


def test_a_picture_depends_on_seed_class_and_number_only():
    digests = {
        hashlib.sha256(draw_picture(name, number, 32, seed).tobytes()).hexdigest()
        for name in CLASSES
        for number in range(3)
        for seed in range(3)
    }

    assert len(digests) == 2 * 3 * 3
    assert (
        draw_picture("bicycle", 1, 32, 5).tobytes() == draw_picture("bicycle", 1, 32, 5).tobytes()
    )


@pytest.mark.parametrize("size", [16, 32, 100, 256])
def test_a_picture_has_the_size_that_was_asked_for(size):
    picture = draw_picture("motorcycle", 0, size, 0)

    assert (picture.size, picture.mode) == ((size, size), "RGB")


def test_a_larger_picture_shows_the_same_scene():
    """Only noise and antialiasing differ: reduced, it is the smaller picture."""
    small = np.asarray(draw_picture("bicycle", 3, 32, 0), dtype=float)
    large = draw_picture("bicycle", 3, 128, 0).resize((32, 32), Image.Resampling.BOX)

    assert np.abs(small - np.asarray(large, dtype=float)).mean() < 12


def test_the_source_yields_what_it_says():
    source = synthetic_source(["motorcycle", "bicycle"], 4, 16, 0)
    pictures: list[Any] = list(source.pictures())

    assert len(pictures) == source.total == 8
    assert source.classes == ["bicycle", "motorcycle"]
    assert [p.name for p in pictures[:2]] == ["bicycle-00000", "bicycle-00001"]
    assert all(p.split is None for p in pictures)


def test_brightness_and_color_hardly_tell_the_classes_apart(drawn):
    """The best single threshold on any channel's mean or spread stays far from a classifier."""
    features = [
        np.concatenate([drawn[name][..., channel].reshape(COUNT, -1) for name in sorted(drawn)])
        for channel in range(3)
    ]
    truth = np.repeat([0, 1], COUNT)
    for pixels in features:
        for feature in (pixels.mean(1), pixels.std(1)):
            right = [((feature > cut) == truth).mean() for cut in feature]
            assert max(*right, 1 - min(right)) < 0.7


def test_the_pictures_are_sharp_enough_to_hold_something(drawn):
    for pictures in drawn.values():
        assert (pictures.reshape(COUNT, -1).std(1) > 4).all()


def test_few_pictures_look_alike(drawn):
    hashes = [difference_hash(Image.fromarray(p)) for ps in drawn.values() for p in ps]

    assert len(near_groups(hashes)) >= len(hashes) - 2


def test_contrast_counts_only_what_is_covered():
    layer = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
    layer.paste((200, 200, 200, 255), (0, 0, 64, 128))
    scene = Image.new("RGB", (128, 128), (150, 150, 150))

    assert contrast(layer, scene) == pytest.approx(50)
    assert contrast(Image.new("RGBA", (128, 128)), scene) == 0
