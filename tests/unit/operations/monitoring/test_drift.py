"""The verdict of a comparison: which feature has drifted, in which direction, how far, and what was not tested."""

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
    return {found.name: found for found in drift.features}[name]


def drifted(drift):
    return [found.name for found in drift.features if found.drifted]


def test_compare_similar_samples_finds_no_drift():
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
    assert drift.verdict.startswith("No drift: 200 pictures against 300 show no difference from training.")
    assert drift.notes == []
    width = feature(drift, "width")
    assert (width.effect, width.p, width.drifted) == (0, None, False)  # it is constant, so it is not tested
    assert width.verdict == "The width is the same in all pictures, as in training."
    tested = [(found.p, found.adjusted_p) for found in drift.features if found.p is not None]
    least, adjusted = min(tested)
    assert adjusted == pytest.approx(min(1, least * len(tested)))


@pytest.mark.parametrize(
    ("name", "factor", "finding"),
    [
        ("brightness", 0.7, "The pictures are darker than in training: median brightness 0.3"),
        ("brightness", 1.4, "The pictures are brighter than in training: median brightness 0."),
        ("sharpness", 0.4, "The pictures are more blurred than in training"),
        ("contrast", 0.5, "The pictures have less contrast than in training"),
        ("width", 2, "The pictures are wider than in training: median width 64 pixels, was 32."),
        ("height", 2, "The pictures are taller than in training: median height 64 pixels, was 32."),
        ("bytes", 20, "The files are larger than in training: median size 4"),
    ],
)
def test_compare_shifted_feature_names_direction_and_figures(name, factor, finding):
    observed = sample(200, seed=1)
    drift = compare(sample(), with_feature(observed, name, observed.features[name] * factor))
    assert drifted(drift) == [name]
    assert finding in drift.verdict
    assert "in 100 pictures" in feature(drift, name).verdict
    tested = sum(found.p is not None for found in drift.features)
    assert drift.verdict.startswith(f"Drift in 1 of {tested} features: {name}.")


def test_compare_lower_confidence_and_larger_distances_is_drift():
    observed = sample(200, seed=1, confidences=np.full(200, 0.55), distances=np.full(200, 40.0))
    drift = compare(sample(), observed)
    assert drifted(drift) == ["confidence", "distance"]
    assert "less confident than in training" in feature(drift, "confidence").verdict
    assert "less familiar than in training" in feature(drift, "distance").verdict


def test_verdict_names_causes_before_consequences():
    observed = sample(200, seed=1, confidences=np.full(200, 0.5))
    observed = with_feature(observed, "bytes", observed.features["bytes"] / 2)
    drift = compare(sample(), with_feature(observed, "sharpness", observed.features["sharpness"] * 0.6))
    assert drift.verdict.startswith("Drift in 3 of 7 features: sharpness, bytes, confidence. The")
    assert "The pictures are more blurred than in training" in drift.verdict


def test_compare_different_class_mix_names_the_classes():
    drift = compare(sample(), sample(200, seed=1, motorcycles=0.8))
    assert drifted(drift) == ["class mix"]
    assert "The shares of the classes are different than in training: motorcycle 80%, was" in drift.verdict
    drift = compare(sample(), sample(200, seed=1, labels=["car"] * 200))
    assert "car 100%, was 0%, " in drift.verdict
    written = json.loads(json.dumps(drift.to_json(), allow_nan=False))
    assert (written["drifted"], written["baseline"]) == (True, "training")
    assert written["features"][1]["observed"] == {"car": 1}


def test_compare_different_constant_format_is_drift():
    drift = compare(sample(), sample(200, seed=1, formats=["JPEG"] * 200))
    assert "The formats are different than in training: JPEG 100%, was 0%" in drift.verdict
    assert feature(drift, "format").effect == 1


def test_compare_shift_in_both_directions_is_a_different_spread():
    generator = np.random.default_rng(3)
    both = 0.5 + 0.25 * generator.choice([-1, 1], 200) + generator.normal(0, 0.02, 200)
    drift = compare(sample(), with_feature(sample(200, seed=1), "brightness", both))
    assert "The brightness has a different spread than in training: half of them from" in drift.verdict


def test_compare_significant_but_small_shift_is_no_drift():
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


def test_compare_thirty_pictures_notes_the_detectable_shift():
    drift = compare(sample(), sample(30, seed=1))
    assert not drift.drifted
    assert drift.sensitivity == pytest.approx(0.47, abs=0.02)
    assert drift.notes == [
        f"30 pictures against 300 show only large shifts: those of {100 * (drift.sensitivity or 0):.0f} in 100 pictures"
        " or more."
    ]


@pytest.mark.parametrize(
    ("before", "now", "obstacle"),
    [
        (300, 0, "10 captured pictures and has 0"),
        (300, 9, "10 captured pictures and has 9"),
        (0, 200, "10 pictures in training and has 0"),
        (5, 200, "10 pictures in training and has 5"),
    ],
)
def test_compare_too_few_pictures_has_no_verdict(before, now, obstacle):
    drift = compare(sample(before), sample(now, seed=1))
    assert drift.verdict == f"Drift cannot be assessed: a comparison needs {obstacle}."
    assert (drift.drifted, drift.tested, drift.notes) == (False, False, [])
    json.dumps(drift.to_json(), allow_nan=False)


def test_compare_identical_pictures_is_no_drift():
    drift = compare(*(Sample(["bicycle"] * pictures, np.full(pictures, 0.9)) for pictures in (200, 50)))
    assert drift.verdict == "No drift: all pictures are the same, as in training."
    assert feature(drift, "confidence").effect == feature(drift, "class mix").effect == 0


@pytest.mark.parametrize(
    ("baseline", "observed", "note"),
    [
        ({}, {"distances": None}, "The captured calls have no distance."),
        ({"distances": None}, {}, "The baseline has no distance."),
        (
            {"answered_by": MEMBER},
            {"confidences": np.full(200, 0.5)},
            "The baseline's confidence is that of one ensemble member per picture, the observed that of the whole"
            " ensemble.",
        ),
    ],
)
def test_compare_incomparable_feature_is_noted(baseline, observed, note):
    drift = compare(sample(**baseline), sample(200, seed=1, **observed))
    assert drift.notes == [note]
    assert not drift.drifted
    assert sum(found.effect is None for found in drift.features) == 1


def test_compare_very_large_sample_is_sampled_by_seed():
    few, many = sample(seed=1), sample(3 * MOST_PICTURES)
    drift = compare(few, many, seed=4)
    assert feature(drift, "brightness").pictures == (300, MOST_PICTURES)
    assert drift == compare(few, many, seed=4)
    assert drift != compare(few, many, seed=5)
