"""The drift benchmark measures and shows each scenario."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import drift
from benchmarks.drift import CHANGES, CLASSES, SCENARIOS, Pool, draw_pool, measure
from operations.monitoring.distances import Observation
from operations.monitoring.sample import Sample

pytestmark = pytest.mark.slow

COUNT = 400


def made_up_pool():
    """Return made-up features: darker or blurred pictures have half of one."""
    generator = np.random.default_rng(0)
    truth = [name for name in CLASSES for _ in range(COUNT)]
    feature = {name: generator.normal(1, 0.1, 2 * COUNT) for name in ("brightness", "sharpness")}
    halved = {"darker": "brightness", "blurred": "sharpness"}
    samples = {
        change: Sample(
            truth,
            generator.random(2 * COUNT),
            {name: values / 2 if halved.get(change) == name else values for name, values in feature.items()},
            ["PNG"] * (2 * COUNT),
            generator.random(2 * COUNT),
        )
        for change in CHANGES
    }
    return Pool(truth, samples)


def test_measure_samples_share_no_picture_and_have_the_class_mix(monkeypatch):
    given = made_up_pool()
    ids = np.arange(2.0 * COUNT)
    for sample in given.samples.values():
        sample.features["bytes"] = ids
    seen = []

    def compare(before, now, *, seed):
        seen.append((before, now))
        return SimpleNamespace(drifted=False, features=[], verdict="")

    monkeypatch.setattr("benchmarks.drift.compare", compare)
    measure(given, SCENARIOS["class mix (75/25)"], repetitions=5)
    for before, now in seen:
        assert (len(before.labels), len(now.labels)) == (400, 200)
        assert not set(before.features["bytes"]) & set(now.features["bytes"])
        assert sorted(now.labels.count(name) for name in CLASSES) == [50, 150]
    assert len({now.labels.count("bicycle") for _, now in seen}) == 2


@pytest.mark.parametrize(("finding", "named"), [("darker", 1), ("flatter", 0)])
def test_measure_feature_listed_without_sentence_is_not_named(monkeypatch, finding, named):
    dark = SimpleNamespace(name="brightness", drifted=True, verdict="The pictures are darker.")
    flat = SimpleNamespace(name="contrast", drifted=True, verdict="The pictures are flatter.")
    verdict = f"Drift in 2 of 10 features: contrast, brightness. The pictures are {finding}."
    drift = SimpleNamespace(drifted=True, features=[dark, flat], verdict=verdict)
    monkeypatch.setattr("benchmarks.drift.compare", lambda *_, **__: drift)

    found = measure(made_up_pool(), SCENARIOS["darker (x 0.7)"], repetitions=3)

    assert (found["alarms"], found["named"]) == (1, named)
    assert found["features"] == {"brightness": 1, "contrast": 1}


def test_main_writes_and_shows_every_scenario(monkeypatch, tmp_path, capsys):
    given = made_up_pool()
    observer = SimpleNamespace(members=1, observe=None)
    monkeypatch.setattr(drift, "load_observer", lambda _: observer)
    monkeypatch.setattr(drift, "read_baseline", lambda _: given.sample("none", np.arange(0, 2 * COUNT, 2)))
    monkeypatch.setattr(drift, "draw_pool", lambda *_, **__: given)
    report = tmp_path / "drift.json"
    assert drift.main(["--model", "model", "--repetitions", "3", "--report", str(report)]) == 0
    found = json.loads(report.read_text())
    assert list(found["scenarios"]) == list(SCENARIOS)
    dark = found["scenarios"]["darker (x 0.7)"]["against_new_drawings"]
    assert (dark["alarms"], dark["named"], dark["features"]["brightness"]) == (1, 1, 1)
    assert found["model"]["accuracy_on_new_drawings"] == 1
    printed = capsys.readouterr().out
    assert "blurred (radius 1)" in printed
    assert "3 repetitions each; accuracy on new drawings: 100.0%" in printed.replace("\n", " ")


def test_main_with_too_few_drawings_is_refused(usage_error):
    assert "at least 400" in usage_error(drift.main, ["--pictures", "300"])


def test_main_with_missing_model_names_it(tmp_path, capsys):
    assert drift.main(["--model", str(tmp_path / "none")]) == 1
    assert "does not exist" in capsys.readouterr().err


@pytest.fixture(scope="module")
def drawn_pool():
    """Features of drawn pictures, with made-up answers."""

    def observe(pictures):
        generator = np.random.default_rng(0)
        labels = [name for name in CLASSES for _ in range(COUNT)]
        return Observation(generator.gamma(9, 1, len(pictures)), labels, generator.beta(8, 2, len(pictures)))

    return draw_pool(COUNT, observe, seed=1)


@pytest.mark.parametrize("name", ["same", "same, 30 pictures"])
def test_measure_without_shift_has_few_false_alarms(drawn_pool, name):
    found = measure(drawn_pool, SCENARIOS[name], repetitions=200)
    assert found["alarms"] <= 0.05, found


@pytest.mark.parametrize("name", ["darker (x 0.7)", "blurred (radius 1)", "class mix (75/25)"])
def test_measure_shift_of_200_pictures_is_found_and_named(drawn_pool, name):
    found = measure(drawn_pool, SCENARIOS[name], repetitions=200)
    assert found["named"] >= 0.9, found
