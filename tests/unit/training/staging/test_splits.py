"""Splits: near-duplicates stay in one split, and every split has pictures."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from training.container.picture_model.near_duplicates import difference_hash, near_groups
from training.staging.splits import Candidate, TooFewPicturesError, admit_to_training, assign_splits, pixel_hash

FAR = 0x9E3779B97F4A7C15  # multiples of it differ in about half of their 64 bits


def candidate(class_name, number, split=None, **changed):
    facts = {"pixel_hash": f"{class_name} {number}", "difference_hash": (number + 1) * FAR % 2**64} | changed
    return Candidate(class_name, f"{class_name}-{number:03d}", split=split, **facts)


def candidates(count, *names):
    return [candidate(name, number) for name in names for number in range(count)]


def splits_of(pictures, seed=0, validation=0.15, test=0.15, **options):
    return assign_splits(pictures, ["bus", "car"], seed=seed, validation_share=validation, test_share=test, **options)


@pytest.mark.parametrize(
    ("cars", "validation", "message"),
    [
        ([], 0.15, "Class car has 0 usable pictures"),
        (candidates(1, "car"), 0.15, "Class car has 1 usable pictures"),
        (candidates(2, "car"), 0.15, "Class car has 2 usable pictures"),
        (
            [candidate("car", number, difference_hash=7) for number in range(50)],
            0.15,
            r"50 usable pictures \(49 of all 50 nearly repeat another\).*add different pictures",
        ),
        (candidates(20, "car"), 0.02, "too few to have some in validation"),
    ],
    ids=["none", "one", "two", "near-duplicates", "small share"],
)
def test_class_with_too_few_different_pictures_fails(cars, validation, message):
    with pytest.raises(TooFewPicturesError, match=message):
        splits_of([*candidates(20, "bus"), *cars], validation=validation)


def test_each_class_is_split_by_the_shares():
    pictures = candidates(40, "bus", "car")
    assignment = splits_of(pictures, validation=0.25, test=0.1)

    counts = Counter((c.class_name, s) for c, s in zip(pictures, assignment.splits, strict=True))
    for name in ("bus", "car"):
        assert counts[name, "validation"] == 10
        assert counts[name, "test"] == 4
        assert counts[name, "train"] == 26


def test_same_seed_gives_the_same_split_in_any_order_of_files():
    pictures = candidates(40, "bus", "car")
    forwards = dict(zip(pictures, splits_of(pictures, seed=3).splits, strict=True))
    backwards = dict(zip(pictures[::-1], splits_of(pictures[::-1], seed=3).splits, strict=True))

    assert forwards == backwards
    assert forwards != dict(zip(pictures, splits_of(pictures, seed=4).splits, strict=True))


def test_identical_and_nearly_identical_pictures_stay_together():
    pictures = candidates(60, "bus", "car")
    for number in range(20):  # in chains of three: a like b, b like c
        for step in range(1, 3):
            near = pictures[number].difference_hash ^ (2 ** (5 * step) - 1)
            pictures.append(candidate("bus", 100 * step + number, difference_hash=near))
    assignment = splits_of(pictures)

    split = {c.name: s for c, s in zip(pictures, assignment.splits, strict=True)}
    for number in range(20):
        assert len({split[f"bus-{number + 100 * step:03d}"] for step in range(3)}) == 1


def test_pictures_that_repeat_a_test_picture_are_left_out_of_training():
    tests = [candidate("bus", number, "test") for number in range(5)]
    exact = candidate("bus", 50, pixel_hash=tests[0].pixel_hash, difference_hash=tests[0].difference_hash)
    near = candidate("bus", 51, difference_hash=tests[1].difference_hash ^ 0b111)
    others = [candidate("bus", number) for number in range(10, 40)]
    cars = [*candidates(30, "car"), candidate("car", 77, "test")]
    pictures = [*tests, exact, near, *others, *cars]
    assignment = splits_of(pictures, test=0)

    assert assignment.repeats_of_test == [exact, near]
    assert assignment.splits[:7] == ["test"] * 5 + [None] * 2
    assert "test" not in assignment.splits[7:-1]


def test_picture_in_two_classes_is_left_out():
    same = {"pixel_hash": "same", "difference_hash": 1}
    pictures = [*candidates(20, "bus", "car"), candidate("bus", 90, **same), candidate("car", 91, **same)]
    assignment = splits_of(pictures)

    assert assignment.contradictions == pictures[-2:]
    assert assignment.splits[-2:] == [None, None]


def test_admit_to_training_leaves_out_repeats_of_test_pictures_and_contradictions():
    own = candidates(3, "bus")
    tested, validated = own[2].difference_hash, own[1].difference_hash
    more = [
        candidate("bus", 10),
        candidate("bus", 11, difference_hash=tested ^ 0b111),
        candidate("car", 12, difference_hash=tested),
        candidate("bus", 13, difference_hash=validated),  # training also learns from validation pictures
        candidate("car", 14, pixel_hash=own[0].pixel_hash),
        candidate("bus", 15, pixel_hash="twice"),
        candidate("car", 16, pixel_hash="twice"),
    ]
    admission = admit_to_training(more, own, ["train", "validation", "test"])

    assert admission.splits == ["train", None, None, "train", None, None, None]
    assert admission.repeats_of_test == more[1:3]
    assert admission.contradictions == more[4:]


def textured(seed, size=(64, 64)):
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def test_pixel_hash_differs_by_pixels_and_shape():
    flat = Image.new("RGB", (4, 2))

    assert pixel_hash(textured(1)) == pixel_hash(textured(1))
    assert pixel_hash(textured(1)) != pixel_hash(textured(2))
    assert pixel_hash(flat) != pixel_hash(Image.new("RGB", (2, 4)))


def test_difference_hash_is_robust_to_light_size_and_noise():
    image = textured(1)
    array = np.asarray(image, dtype=np.float64)
    noisy = array * 0.8 + 20 + np.random.default_rng(0).normal(0, 2, array.shape)
    other = Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).resize((50, 50))

    assert near_groups([difference_hash(image), difference_hash(other)]) == [[0, 1]]
    assert len(near_groups([difference_hash(textured(n)) for n in range(40)])) == 40


def test_near_groups_joins_hashes_over_several_steps():
    hashes = [0, FAR, 0b1, FAR ^ 0b11, 2**63]  # the last is 2 bits from the third, 1 from the first
    reports: list[int] = []

    assert near_groups(hashes, limit=2, report=reports.append) == [[0, 2, 4], [1, 3]]
    assert reports == [3, 5]
    assert near_groups(hashes, limit=1) == [[0, 2, 4], [1], [3]]
    assert near_groups(hashes, limit=0) == [[0], [1], [2], [3], [4]]
    assert near_groups([]) == []


def test_near_groups_of_one_scene_needs_no_memory_of_pairs():
    frames = [2**bit for bit in range(64)] * 300  # 19,200 frames: 184 million pairs

    assert near_groups(frames) == [list(range(len(frames)))]


def test_assign_splits_reports_its_progress_over_all_classes():
    reports: list[tuple[int, int]] = []
    splits_of(candidates(20, "bus", "car"), report=lambda *seen: reports.append(seen))

    assert reports == [(done, 40) for done in range(1, 41)]
