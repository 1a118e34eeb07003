"""What a comparison says: which feature, which way, how far, and what it could not tell."""

import json
from dataclasses import replace

import numpy as np
import pytest

from operations.monitoring.drift import MIN_EFFECT, compare
from operations.monitoring.feature_drift import FEATURES, MOST_PICTURES
from operations.monitoring.sample import MEMBER, Sample


def sample(pictures=300, *, seed=0, motorcycles=0.5, **changes):
    generator = np.random.default_rng(seed)
    labels = ["motorcycle" if x < motorcycles else "bicycle" for x in generator.random(pictures)]
    made = Sample(
        labels=labels,
        confidences=generator.beta(8, 2, pictures),
        features={
            "brightness": generator.normal(0.5, 0.1, pictures),
            "contrast": generator.normal(0.2, 0.04, pictures),
            "sharpness": generator.normal(1.2, 0.3, pictures),
            "width": np.full(pictures, 32.0),
            "height": np.full(pictures, 32.0),
            "bytes": generator.integers(1800, 2600, pictures).astype(float),
        },
        formats=["PNG"] * pictures,
        distances=generator.gamma(9, 1, pictures),
    )
    return replace(made, **changes)


def with_feature(given, name, values):
    return replace(given, features={**given.features, name: values})


def feature(drift, name):
    [found] = [found for found in drift.features if found.name == name]
    return found


def test_each_feature_is_told_in_its_order_with_what_it_takes_to_judge_it():
    drift = compare(sample(), sample(200, seed=1))
    assert [found.name for found in drift.features] == list(FEATURES)
    assert not drift.drifted
    brightness = feature(drift, "brightness")
    assert brightness.pictures == (300, 200)
    assert brightness.baseline["50%"] == pytest.approx(0.5, abs=0.03)
    assert brightness.low <= brightness.effect <= brightness.high
    assert brightness.p <= brightness.adjusted_p
    mix = feature(drift, "class mix")
    assert sum(mix.observed.values()) == pytest.approx(1)
    assert drift.verdict.startswith("No drift: pictures and answers are like those of training")
    assert "200 pictures against 300" in drift.verdict
    assert drift.notes == []


@pytest.mark.parametrize(
    ("name", "factor", "words"),
    [
        ("brightness", 0.7, "The pictures are darker than in training: median brightness 0.3"),
        ("brightness", 1.4, "The pictures are brighter than in training: median brightness 0."),
        ("sharpness", 0.4, "The pictures are more blurred than in training"),
        ("contrast", 0.5, "The pictures are poorer in contrast than in training"),
        ("width", 2, "The pictures are wider than in training: median width 64 pixels, was 32."),
        ("height", 2, "The pictures are taller than in training: median height 64 pixels, was 32."),
        ("bytes", 20, "The files are larger than in training: median size 4"),
    ],
)
def test_a_shift_is_called_by_its_direction_with_its_figures(name, factor, words):
    observed = sample(200, seed=1)
    drift = compare(sample(), with_feature(observed, name, observed.features[name] * factor))
    assert [found.name for found in drift.features if found.drifted] == [name]
    assert words in drift.verdict
    assert "in 100 pictures" in feature(drift, name).verdict
    tested = sum(found.p is not None for found in drift.features)
    assert drift.verdict.startswith(f"Drift in 1 of {tested} features: {name}.")


def test_less_confidence_and_strange_pictures_are_drift():
    drift = compare(
        sample(),
        sample(200, seed=1, confidences=np.full(200, 0.55), distances=np.full(200, 40.0)),
    )
    assert {found.name for found in drift.features if found.drifted} == {"confidence", "distance"}
    assert "less confident than in training" in feature(drift, "confidence").verdict
    assert "stranger to the network than in training" in feature(drift, "distance").verdict


def test_a_cause_is_named_before_what_follows_from_it():
    observed = sample(200, seed=1, confidences=np.full(200, 0.5))
    observed = with_feature(observed, "bytes", observed.features["bytes"] / 2)
    drift = compare(sample(), with_feature(observed, "sharpness", observed.features["sharpness"] * 0.6))
    assert drift.verdict.startswith("Drift in 3 of 7 features: sharpness, bytes, confidence. The")
    assert "The pictures are more blurred than in training" in drift.verdict


def test_other_shares_of_the_classes_are_told_class_by_class():
    drift = compare(sample(), sample(200, seed=1, motorcycles=0.8))
    assert [found.name for found in drift.features if found.drifted] == ["class mix"]
    assert "The classes come in other shares than in training: motorcycle 80%, was" in drift.verdict
    drift = compare(sample(), sample(200, seed=1, labels=["car"] * 200))
    assert "car 100%, was 0%, " in drift.verdict


def test_another_format_is_told_although_each_side_has_but_one():
    drift = compare(sample(), sample(200, seed=1, formats=["JPEG"] * 200))
    assert "The formats are others than in training: JPEG 100%, was 0%" in drift.verdict
    assert feature(drift, "format").effect == 1


def test_what_goes_both_ways_is_spread_otherwise():
    generator = np.random.default_rng(3)
    both = 0.5 + 0.25 * generator.choice([-1, 1], 200) + generator.normal(0, 0.02, 200)
    drift = compare(sample(), with_feature(sample(200, seed=1), "brightness", both))
    assert "The brightness is spread otherwise than in training: half of them from" in drift.verdict


def test_a_shift_that_is_sure_but_small_is_none():
    generator = np.random.default_rng(0)
    before, now = (
        sample(5000, seed=seed, distances=generator.normal(mean, 1, 5000)) for seed, mean in ((0, 0.0), (1, 0.15))
    )
    drift = compare(before, now)
    distance = feature(drift, "distance")
    assert distance.adjusted_p < 0.001
    assert distance.effect < MIN_EFFECT
    assert not drift.drifted
    assert "differs from that in training, but by too little: median distance" in distance.verdict


def test_values_that_never_vary_are_the_same_and_cost_the_others_nothing():
    drift = compare(sample(), sample(200, seed=1))
    width = feature(drift, "width")
    assert (width.effect, width.p, width.drifted) == (0, None, False)
    assert width.verdict == "The width is the same in all pictures, as in training."
    tested = [(found.p, found.adjusted_p) for found in drift.features if found.p is not None]
    least, adjusted = min(tested)
    assert adjusted == pytest.approx(min(1, least * len(tested)))


def test_thirty_pictures_show_only_large_shifts_and_the_report_says_from_where_on():
    drift = compare(sample(), sample(30, seed=1))
    assert not drift.drifted
    assert drift.sensitivity == pytest.approx(0.47, abs=0.02)
    assert drift.notes == [
        "30 pictures against 300 are too few to tell anything but large shifts: those of"
        f" {100 * (drift.sensitivity or 0):.0f} in 100 pictures or more."
    ]


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (0, "Nothing can be said about drift: there are no pictures."),
        (1, "Nothing can be said about drift: 1 picture is too few to compare with training, 10"),
        (9, "Nothing can be said about drift: 9 pictures are too few to compare with training"),
    ],
)
def test_too_few_pictures_are_no_reason_for_a_verdict(pictures, words):
    drift = compare(sample(), sample(pictures, seed=1))
    assert drift.verdict.startswith(words)
    assert (drift.drifted, drift.sensitivity, drift.notes) == (False, None, [])
    json.dumps(drift.to_json(), allow_nan=False)


def test_a_baseline_without_pictures_is_said_to_be_so():
    drift = compare(sample(0), sample(200))
    assert drift.verdict.endswith("there is nothing in training to compare with.")
    assert not drift.drifted


def test_a_baseline_of_few_pictures_is_said_to_be_so():
    drift = compare(sample(5), sample(200))
    assert drift.verdict == (
        "Nothing can be said about drift: 5 pictures are too few in training to compare with, 10 are needed."
    )


def test_one_picture_over_and_over_is_no_drift():
    def same(pictures):
        return Sample(["bicycle"] * pictures, np.full(pictures, 0.9))

    drift = compare(same(200), same(50))
    assert drift.verdict == "No drift: all pictures are one and the same, as in training."
    assert feature(drift, "confidence").effect == 0


def test_missing_distances_are_a_note():
    drift = compare(sample(), sample(200, seed=1, distances=None))
    assert drift.notes == ["Of what was observed, distance is not known."]
    assert feature(drift, "distance").effect is None
    drift = compare(sample(distances=None), sample(200, seed=1))
    assert drift.notes == ["The baseline does not tell distance."]


def test_confidences_of_one_network_are_not_compared_with_those_of_all():
    drift = compare(sample(answered_by=MEMBER), sample(200, confidences=np.full(200, 0.5)))
    assert not drift.drifted
    assert drift.notes == [
        "The baseline's confidence is that of one network a picture, the observed that of all of"
        " the model's networks together."
    ]


def test_very_many_pictures_are_sampled_the_same_way_each_time():
    many, few = sample(3 * MOST_PICTURES), sample(seed=1)
    drift = compare(few, many, seed=4)
    assert feature(drift, "brightness").pictures == (300, MOST_PICTURES)
    assert drift == compare(few, many, seed=4)
    assert drift != compare(few, many, seed=5)


def test_the_result_is_json():
    drift = compare(sample(), sample(200, seed=1, motorcycles=0.9))
    written = json.loads(json.dumps(drift.to_json(), allow_nan=False))
    assert written["drifted"] is True
    assert written["features"][1]["name"] == "class mix"
    assert written["features"][1]["observed"]["motorcycle"] > 0.8
    assert written["baseline"] == "training"
