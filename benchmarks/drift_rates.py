"""Rates of false alarms and of detected shifts, on drawn pictures.

Pictures are drawn and classified once. Each repetition takes a baseline and an observed sample from them at random, so
that without a change both come from the same distribution and share no picture.
"""

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from operations.monitoring.distances import Observation
from operations.monitoring.drift import compare
from operations.monitoring.sample import Sample
from training.container.picture_model.picture_features import NUMBERS, picture_features
from training.sources.synthetic import draw_picture

CLASSES = ("bicycle", "motorcycle")
SIZE = (32, 32)

CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none": lambda picture: picture,
    "darker": lambda picture: picture.point(lambda level: round(level * 0.7)),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
}


class Scenario(NamedTuple):
    """What an endpoint receives.

    Attributes:
        pictures: their number.
        change: one of CHANGES.
        share: of one class, at random either; None for the share in the pool.
        feature: that has drifted and must be named; None if none has.
    """

    pictures: int
    change: str = "none"
    share: float | None = None
    feature: str | None = None


SCENARIOS = {
    "same": Scenario(200),
    "same, 30 pictures": Scenario(30),
    "darker (x 0.7)": Scenario(200, change="darker", feature="brightness"),
    "blurred (radius 1)": Scenario(200, change="blurred", feature="sharpness"),
    "class mix (75/25)": Scenario(200, share=0.75, feature="class mix"),
    "darker, 30 pictures": Scenario(30, change="darker", feature="brightness"),
    "blurred, 30 pictures": Scenario(30, change="blurred", feature="sharpness"),
    "class mix, 30 pictures": Scenario(30, share=0.75, feature="class mix"),
}


@dataclass(frozen=True)
class Pool:
    """Drawn pictures: their true classes, and a Sample of all of them for each change."""

    truth: list[str]
    samples: dict[str, Sample]

    def sample(self, change: str, positions: NDArray[np.int64]) -> Sample:
        """Return the changed pictures at these positions."""
        whole = self.samples[change]
        return Sample(
            labels=[whole.labels[position] for position in positions],
            confidences=whole.confidences[positions],
            features={name: values[positions] for name, values in whole.features.items()},
            formats=[whole.formats[position] for position in positions],
            distances=None if whole.distances is None else whole.distances[positions],
        )


def draw_pool(
    count: int,
    observe: Callable[[list[Image.Image]], Observation],
    *,
    seed: int,
    truthful: bool = False,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Pool:
    """Draw `count` pictures per class and observe them, unchanged and changed.

    `truthful` makes the true classes the labels. `report` gets how many changes are done and their total.
    """
    truth = [name for name in CLASSES for _ in range(count)]
    drawn = [draw_picture(name, i, SIZE, seed) for name in CLASSES for i in range(count)]
    samples = {}
    for name, change in CHANGES.items():
        pictures = [change(picture) for picture in drawn]
        observation = observe(pictures)
        features = [picture_features(_png(picture), picture) for picture in pictures]
        samples[name] = Sample(
            labels=truth if truthful else observation.labels,
            confidences=observation.confidences,
            features={number: np.array([float(found[number]) for found in features]) for number in NUMBERS},
            formats=[str(found["format"]) for found in features],
            distances=observation.distances,
        )
        report(len(samples), len(CHANGES))
    return Pool(truth, samples)


def measure(
    pool: Pool,
    scenario: Scenario,
    *,
    repetitions: int,
    baseline_pictures: int = 400,
    baseline: Sample | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how often there is an alarm, and how often the verdict names the right feature in its own sentence.

    The baseline is another random sample each time, unless one is given.
    """
    generator = np.random.default_rng(seed)
    alarms, named, features = 0, 0, Counter[str]()
    for repetition in range(repetitions):
        positions = generator.permutation(len(pool.truth))
        before = baseline or pool.sample("none", positions[:baseline_pictures])
        if baseline is None:
            positions = positions[baseline_pictures:]
        observed = pool.sample(scenario.change, _choose(pool, scenario, positions, generator))
        drift = compare(before, observed, seed=repetition)
        drifted = {feature.name: feature for feature in drift.features if feature.drifted}
        features.update(drifted.keys())
        alarms += drift.drifted
        # The verdict lists the names of all drifted features, and has the sentence of one.
        named += scenario.feature in drifted and drifted[scenario.feature].verdict in drift.verdict
    return {
        "pictures": scenario.pictures,
        "repetitions": repetitions,
        "feature": scenario.feature,
        "alarms": alarms / repetitions,
        "named": named / repetitions if scenario.feature else None,
        "features": {name: count / repetitions for name, count in features.most_common()},
    }


def _choose(pool: Pool, scenario: Scenario, positions: NDArray[np.int64], generator: Generator) -> NDArray[np.int64]:
    """Take the first pictures, with the scenario's share of one class."""
    if scenario.share is None:
        return positions[: scenario.pictures]
    count = round(scenario.share * scenario.pictures)
    is_class = np.array(pool.truth)[positions] == CLASSES[generator.integers(2)]
    chosen = [positions[is_class][:count], positions[~is_class][: scenario.pictures - count]]
    if sum(map(len, chosen)) < scenario.pictures:
        raise ValueError(f"too few drawings for {scenario}: {sum(map(len, chosen))} are left")
    return np.concatenate(chosen)


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
