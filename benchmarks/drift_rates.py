"""How often drift is found where there is none, and where there is: on drawn pictures.

Pictures are drawn and looked at once. Each repetition deals some of them out to a baseline and to
an endpoint's sample, so that without a change both come from the same pictures and share none.
"""

import io
from collections import Counter
from collections.abc import Callable, Sequence
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

Places = Sequence[int] | NDArray[np.int64]
Look = Callable[[list[Image.Image]], Observation]

CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none": lambda picture: picture,
    "darker": lambda picture: picture.point(lambda level: round(level * 0.7)),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
}


class Scenario(NamedTuple):
    """What an endpoint gets: how many pictures, changed how, and of which share of one class.

    `feature` has to be named; None: nothing has drifted.
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
    """Drawn pictures with their true classes, and a Sample of all of them for each change."""

    truth: list[str]
    samples: dict[str, Sample]

    def sample(self, change: str, places: Places) -> Sample:
        """Return the pictures at these places, changed so."""
        whole, chosen = self.samples[change], np.array(places)
        return Sample(
            labels=[whole.labels[place] for place in chosen],
            confidences=whole.confidences[chosen],
            features={name: values[chosen] for name, values in whole.features.items()},
            formats=[whole.formats[place] for place in chosen],
            distances=None if whole.distances is None else whole.distances[chosen],
        )


def draw_pool(
    count: int,
    look: Look,
    *,
    seed: int,
    truthful: bool = False,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Pool:
    """Draw `count` pictures per class and look at them, as they are and changed.

    `truthful`: the labels are the true classes, whatever the network says. `report` gets how many
    changes have been looked at, and of how many.
    """
    truth = [name for name in CLASSES for _ in range(count)]
    drawn = [draw_picture(name, i, SIZE, seed) for name in CLASSES for i in range(count)]
    samples = {}
    for name, change in CHANGES.items():
        pictures = [change(picture) for picture in drawn]
        seen = look(pictures)
        features = [picture_features(_png(picture), picture) for picture in pictures]
        samples[name] = Sample(
            labels=truth if truthful else seen.labels,
            confidences=seen.confidences,
            features={number: np.array([float(found[number]) for found in features]) for number in NUMBERS},
            formats=[str(found["format"]) for found in features],
            distances=seen.distances,
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
    """Return how often anything is said to have drifted, and how often the right feature is named.

    It is named where the verdict's own sentence is about it. The baseline is dealt out anew each
    time, unless one is given.
    """
    generator = np.random.default_rng(seed)
    alarms, named, features = 0, 0, Counter[str]()
    for repetition in range(repetitions):
        places = generator.permutation(len(pool.truth))
        before = baseline or pool.sample("none", places[:baseline_pictures])
        if baseline is None:
            places = places[baseline_pictures:]
        observed = pool.sample(scenario.change, _choose(pool, scenario, places, generator))
        drift = compare(before, observed, seed=repetition)
        drifted = {feature.name: feature for feature in drift.features if feature.drifted}
        features.update(drifted.keys())
        alarms += drift.drifted
        # The name alone is in a list of all that has drifted: the sentence has to be about it.
        named += scenario.feature in drifted and drifted[scenario.feature].verdict in drift.verdict
    return {
        "pictures": scenario.pictures,
        "repetitions": repetitions,
        "feature": scenario.feature,
        "alarms": alarms / repetitions,
        "named": named / repetitions if scenario.feature else None,
        "features": {name: count / repetitions for name, count in features.most_common()},
    }


def _choose(pool: Pool, scenario: Scenario, places: Places, generator: Generator) -> list[int]:
    """Take the first pictures; with a share, so many of one class, either one by turns of luck."""
    if scenario.share is None:
        return [int(place) for place in places[: scenario.pictures]]
    more = CLASSES[generator.integers(2)]
    of_more = round(scenario.share * scenario.pictures)
    chosen: list[int] = []
    for name in CLASSES:
        wanted = of_more if name == more else scenario.pictures - of_more
        chosen += [int(place) for place in places if pool.truth[place] == name][:wanted]
    if len(chosen) < scenario.pictures:
        raise ValueError(f"too few drawings for {scenario}: {len(chosen)} are left")
    return chosen


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
