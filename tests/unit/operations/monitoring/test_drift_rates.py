"""Rates of drift with known truth: few false alarms, and known shifts are found."""

import pytest
import torch

from benchmarks.drift_rates import CLASSES, SCENARIOS, SIZE, draw_pool, measure
from operations.monitoring.distances import Observer
from training.container.picture_model import baseline, network
from training.sources.synthetic import draw_picture

REPETITIONS = 200


@pytest.fixture(scope="module")
def pool():
    """Features of drawn pictures, with the confidences and distances of an untrained network.

    Training takes minutes; the labels are the true classes instead.
    """
    torch.manual_seed(0)
    ensemble = network.Ensemble(1, len(CLASSES), SIZE[0], width=8)
    classifier = network.Classifier(ensemble, list(CLASSES), SIZE[0], [0.5] * 3, [0.25] * 3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several take five times as long on busy cores
    drawn = [draw_picture(name, i, SIZE, seed=0) for name in CLASSES for i in range(100)]
    pixels = torch.stack([network.resize_picture(picture, SIZE[0]) for picture in drawn])
    labels = torch.arange(2).repeat_interleave(100)
    [net] = ensemble.networks()
    net.whiten(classifier.normalise(pixels))
    vectors = baseline.member_vectors(classifier, net, pixels)
    torch.set_num_threads(threads)
    gaussian = baseline.fit_gaussian(vectors, labels, len(CLASSES))
    gaussians = baseline.Gaussians(*(part[None] for part in gaussian))
    return draw_pool(400, Observer(classifier, gaussians).observe, seed=1, truthful=True)


@pytest.mark.parametrize("name", ["same", "same, 30 pictures"])
def test_measure_without_shift_has_few_false_alarms(pool, name):
    found = measure(pool, SCENARIOS[name], repetitions=REPETITIONS)
    assert found["alarms"] <= 0.05, found


@pytest.mark.parametrize("name", ["darker (x 0.7)", "blurred (radius 1)", "class mix (75/25)"])
def test_measure_shift_of_200_pictures_is_found_and_named(pool, name):
    found = measure(pool, SCENARIOS[name], repetitions=REPETITIONS)
    assert found["named"] >= 0.9, found
