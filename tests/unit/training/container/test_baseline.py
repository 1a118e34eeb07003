"""What training stores to compare later pictures with: true, small, and readable by monitoring."""

import json
import shutil
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from operations.monitoring.distances import load_observer
from operations.monitoring.drift import compare
from operations.monitoring.sample import (
    MEMBER,
    MODEL,
    NoBaselineError,
    Sample,
    read_baseline,
)
from training.container.picture_model import baseline, dataset, network, train
from training.endpoint.model_artifact import MissingModelError, ModelArtifactError
from training.sources.synthetic import draw_picture

CLASSES = ("bicycle", "motorcycle")
FAST = ["--epochs", "2", "--batch-size", "16", "--width", "8"]


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("staged")
    for name in CLASSES:
        (folder / name).mkdir()
        for number in range(30):
            picture = draw_picture(name, number, (40, 32), seed=0)
            picture.save(folder / name / f"{number}.{'jpg' if number % 3 else 'png'}")
    return folder


def trained(staged, folder, *, members):
    parts = ["--members", str(members), "--parts", "3"]
    assert train.main(["--train", str(staged), "--model-dir", str(folder), *FAST, *parts]) == 0
    return folder


@pytest.fixture(scope="module")
def model(staged, tmp_path_factory):
    """Three networks, so that each picture has been held out once."""
    return trained(staged, tmp_path_factory.mktemp("three"), members=3)


@pytest.fixture(scope="module")
def classifier(model):
    return network.load_classifier(model, torch.device("cpu"))


@pytest.fixture(scope="module")
def gaussians(model, classifier):
    return baseline.load_gaussians(model, classifier)


@pytest.fixture(scope="module")
def data(staged):
    return dataset.read_channels(staged, None, 32)[1]


@pytest.fixture(scope="module")
def single(staged, tmp_path_factory):
    return trained(staged, tmp_path_factory.mktemp("one"), members=1)


def vectors_of_two_classes(count=400, size=6):
    generator = torch.Generator().manual_seed(0)
    spread = torch.diag(torch.arange(1.0, size + 1)).double()
    labels = torch.arange(2).repeat(count // 2)
    noise = torch.randn(count, size, generator=generator, dtype=torch.float64)
    return noise @ spread + 20 * labels[:, None], labels


def test_network_head_scores_its_feature_vectors():
    torch.manual_seed(0)
    net = network.Network(2, 32, width=8).eval()
    pictures = torch.randn(5, 3, 32, 32)
    vectors = net.features(pictures)
    assert vectors.shape == (5, net.head.in_features)
    assert torch.equal(net.head(vectors).view(5, 2, 4), net(pictures))


def test_fit_gaussian_whitens_the_vectors():
    vectors, labels = vectors_of_two_classes(20_000)
    means, whitener = baseline.fit_gaussian(vectors, labels, 2)
    assert means.shape == (2, 6)
    assert torch.allclose(means[1] - means[0], torch.full((6,), 20.0), atol=0.5)
    white = (vectors - means.double()[labels]) @ whitener.double()
    assert torch.allclose(torch.cov(white.T), torch.eye(6).double(), atol=0.03)


def test_fit_gaussian_shrinks_like_ledoit_wolf():
    covariance = pytest.importorskip("sklearn.covariance")
    vectors, labels = vectors_of_two_classes(40, 20)  # hardly more vectors than numbers in each
    means, whitener = baseline.fit_gaussian(vectors, labels, 2)
    expected, share = covariance.ledoit_wolf((vectors - means.double()[labels]).numpy(), assume_centered=True)
    assert share > 0.05
    precision = (whitener.double() @ whitener.double().T).numpy()
    assert np.allclose(np.linalg.inv(precision), expected, rtol=1e-3, atol=1e-3)


def test_fit_gaussian_of_constant_vectors_is_finite():
    vectors, labels = torch.ones(10, 4).double(), torch.arange(2).repeat(5)
    means, whitener = baseline.fit_gaussian(vectors, labels, 2)
    assert torch.isfinite(whitener).all()
    assert torch.equal(means, torch.ones(2, 4))


def test_baseline_has_the_held_out_answers(model):
    held_out = json.loads((model / "held_out.json").read_text())
    sample = read_baseline(model)
    rows = held_out["probabilities"]
    assert sample.labels == [held_out["classes"][row.index(max(row))] for row in rows]
    assert sample.confidences == pytest.approx([max(row) for row in rows], abs=1e-5)
    assert len(sample.labels) == 60
    assert sample.answered_by == MEMBER


def test_baseline_has_the_features_of_the_original_files(model):
    sample = read_baseline(model)
    assert {name: len(values) for name, values in sample.features.items()} == dict.fromkeys(
        ("brightness", "contrast", "sharpness", "width", "height", "bytes"), 60
    )
    assert set(sample.features["width"]) == {40}
    assert set(sample.features["height"]) == {32}
    assert (sample.formats.count("PNG"), sample.formats.count("JPEG")) == (20, 40)


def test_baseline_of_one_network_is_answered_by_model(single):
    sample = read_baseline(single)
    assert sample.answered_by == MODEL
    assert len(sample.labels) == 20
    assert len(sample.formats) == 60


def test_held_out_distances_are_those_of_the_unseen_member(model, classifier, gaussians, data):
    parts = train.split_into_parts(data, 3, seed=0)
    expected = [
        gaussians.distances(classifier, int(part), data.pixels[place : place + 1]).item()
        for place, part in enumerate(parts)
    ]
    assert read_baseline(model).distances == pytest.approx(np.array(expected), rel=1e-3)


def test_distances_of_learned_pictures_are_smaller_than_of_noise(classifier, gaussians, data):
    learned = data.pixels[train.split_into_parts(data, 3, seed=0) != 0]
    noise = torch.randint(256, (40, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    near, far = (gaussians.distances(classifier, 0, some) for some in (learned, noise))
    # In each class the squares of all 80 deviations or so add up to their number, by definition.
    assert near.square().mean() < gaussians.means.shape[2] * 1.5
    assert far.median() > 2 * near.median()


def test_observer_assigns_pictures_to_members_in_turn_and_restores_the_threads(model):
    threads = torch.get_num_threads()
    observer = load_observer(model)
    drawn = [draw_picture("bicycle", number, (40, 32), seed=5) for number in range(140)]
    done: list[int] = []
    seen = observer.observe(drawn, done.append)
    assert torch.get_num_threads() == threads
    assert (observer.members, observer.input_size) == (3, 32)
    assert done[-1] == 140
    assert len(done) == 3
    pixels = torch.stack([network.resize_picture(picture, 32) for picture in drawn])
    for member, net in enumerate(observer.classifier.ensemble.networks()):
        mine = slice(member, None, 3)
        expected = observer.gaussians.distances(observer.classifier, member, pixels[mine])
        assert seen.distances[mine] == pytest.approx(expected.numpy(), rel=1e-4)
        logs = observer.classifier.member_log_probabilities(net, observer.classifier.normalise(pixels[mine]))
        assert seen.confidences[mine] == pytest.approx(logs.exp().amax(1).numpy(), rel=1e-4)
        labels = [observer.classifier.classes[place] for place in logs.argmax(1)]
        assert seen.labels[mine] == labels
    assert len(observer.observe([]).labels) == 0


def test_compare_finds_drift_in_noise_and_none_in_new_drawings(model):
    observer, before = load_observer(model), read_baseline(model)
    generator = np.random.default_rng(0)
    noise = [Image.fromarray(generator.integers(0, 256, (32, 40, 3), dtype=np.uint8)) for _ in range(60)]
    drawn = [draw_picture(name, number, (40, 32), seed=7) for name in CLASSES for number in range(30)]

    def observed(pictures):
        seen = observer.observe(pictures)
        return Sample(seen.labels, seen.confidences, distances=seen.distances, answered_by=MEMBER)

    names = {found.name: found for found in compare(before, observed(noise)).features}
    assert names["distance"].drifted
    assert "less familiar" in names["distance"].verdict
    assert not compare(before, observed(drawn)).drifted


def test_archive_and_folder_give_the_same_baseline(model, tmp_path):
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(model, ".")
    observer = load_observer(tmp_path / "model.tar.gz")
    picture = draw_picture("bicycle", 0, (40, 32), seed=5)
    assert observer.observe([picture]).distances == load_observer(model).observe([picture]).distances
    assert read_baseline(tmp_path / "model.tar.gz").to_json() == read_baseline(model).to_json()


def copy_network(model, folder):
    for name in ("model.pt", "metadata.json"):
        shutil.copy(model / name, folder)


def test_load_observer_without_gaussians_or_model_fails(model, tmp_path):
    copy_network(model, tmp_path)
    with pytest.raises(NoBaselineError, match=r"no baseline\.pt: the model is older"):
        load_observer(tmp_path)
    with pytest.raises(MissingModelError, match="does not exist"):
        load_observer(tmp_path / "nothing")


def test_load_observer_with_foreign_or_damaged_gaussians_fails(model, single, tmp_path):
    copy_network(single, tmp_path)
    file = tmp_path / "baseline.pt"
    file.write_bytes((model / "baseline.pt").read_bytes())
    with pytest.raises(ModelArtifactError, match="does not fit the model beside it"):
        load_observer(tmp_path)
    for content in (b"", b"text", (model / "baseline.pt").read_bytes()[:500]):
        file.write_bytes(content)
        with pytest.raises(ModelArtifactError, match=r"baseline\.pt cannot be loaded"):
            load_observer(tmp_path)
    for value in (print, {"means": 1}, {"means": 1, "whiteners": 2}, [1]):
        torch.save(value, file)
        with pytest.raises(ModelArtifactError, match=r"baseline\.pt cannot be loaded"):
            load_observer(tmp_path)


def test_baseline_sample_of_many_pictures_is_seeded_and_ordered():
    fixed: dict[str, float | str] = {"contrast": 0.123456789, "sharpness": 1.23456789, "width": 32.0, "height": 32.0}
    features = [fixed | {"brightness": n / 9000, "bytes": 2000.0 + n, "format": "PNG"} for n in range(9000)]
    answers = [(CLASSES[n % 2], 0.5 + n / 20_000) for n in range(9000)]

    def made(count, seed=0):
        distances = [n + 0.123456 for n in range(count)]
        return baseline.baseline_sample(features[:count], answers[:count], distances, answered_by="model", seed=seed)

    many = made(9000)
    sample = Sample.from_json(many)
    assert len(sample.formats) == len(sample.labels) == baseline.MOST_PICTURES
    assert list(sample.features["bytes"]) == sorted(sample.features["bytes"])
    # A picture's answer and distance stay together.
    places = np.floor(sample.distances if sample.distances is not None else np.zeros(1))
    assert sample.confidences == pytest.approx(0.5 + places / 20_000, abs=1e-3)
    assert many == made(9000)
    assert many != made(9000, seed=1)
    assert len(json.dumps(made(800))) < 200_000
    assert made(800)["features"]["bytes"] == [2000.0 + n for n in range(800)]
