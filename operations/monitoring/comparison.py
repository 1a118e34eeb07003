"""Compare captured calls with a baseline: all of them, or those of an hour."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from operations.monitoring.capture_locations import Captures
from operations.monitoring.captured_pictures import at_random, with_pictures
from operations.monitoring.distances import MOST_PICTURES, Observation, Observer
from operations.monitoring.drift import Drift, compare
from operations.monitoring.endpoint_facts import Baseline
from operations.monitoring.predictions import Predictions, Reading
from operations.monitoring.sample import MEMBER, MODEL, SAMPLE_MEMBER, Sample

MOST_KEPT = 2_000  # observed pictures in monitor.json, for a later run to compare with
NOTHING_OBSERVED = "There are no captured predictions to compare."


@dataclass(frozen=True)
class Comparison:
    """A comparison with a baseline.

    Attributes:
        baseline: what was compared with.
        observed: all predictions, with the endpoint's own confidences.
        compared: the same as it was compared. With a model as the baseline, labels and confidences are those of one
            ensemble member per picture, as in the baseline.
        drift: None where a side is missing.
    """

    baseline: Baseline
    observed: Sample
    compared: Sample
    drift: Drift | None

    def figures(self) -> dict[str, Any]:
        """Return monitor.json's members about drift."""
        drift: dict[str, Any]
        if self.drift is None:
            drift = {
                "drifted": None,
                "verdict": self.baseline.missing or NOTHING_OBSERVED,
                "notes": [],
                "features": [],
                "baseline": None,
            }
        else:
            drift = self.drift.to_json()
            drift["notes"] += [self.baseline.no_observer] * bool(self.baseline.no_observer)
            if not self.drift.tested:
                drift["drifted"] = None
        return {"baseline": self.baseline.location, "drift": drift}


def compare_predictions(
    captures: Captures,
    reading: Reading,
    predictions: Predictions,
    *,
    baseline: Baseline,
    seed: int,
    report: Callable[[int, int | None], None],
) -> Comparison:
    """Compare predictions of a reading, all or some.

    With a model as the baseline, its ensemble members classify a random sample of the pictures; `report` gets how many
    were read again or classified, and the total of both. `seed` is that of all samples.
    """
    observed = compared = as_sample(predictions, "captured calls")
    if baseline.observer is not None and len(predictions):
        rows = at_random(predictions, MOST_PICTURES, seed)
        observation = _observe(captures, reading, predictions.select(rows), baseline.observer, report)
        observed = replace(observed, distances=observation.distances)
        compared = replace(observed, labels=observation.labels, confidences=observation.confidences, answered_by=MEMBER)
    drift = None
    if baseline.sample is not None and len(predictions):
        # An earlier run's sample has the endpoint's confidences, a model's those of its ensemble members.
        if baseline.sample.answered_by == MODEL:
            compared = observed
        drift = compare(baseline.sample, compared, seed=seed)
    return Comparison(baseline, observed, compared, drift)


def as_sample(predictions: Predictions, source: str) -> Sample:
    """Return predictions as a sample without distances."""
    return Sample(
        labels=predictions.label_names(),
        confidences=predictions.confidences,
        features=predictions.features,
        formats=predictions.formats.tolist(),
        source=source,
        answered_by=MODEL,
    )


def kept_sample(comparison: Comparison, predictions: Predictions, seed: int) -> dict[str, Any]:
    """Return monitor.json's member with a random sample of the predictions, {} if there are none."""
    if not len(predictions):
        return {}
    kept = as_sample(predictions.select(at_random(predictions, MOST_KEPT, seed)), "an earlier time")
    return {SAMPLE_MEMBER: replace(kept, distances=comparison.observed.distances).to_json()}


def _observe(
    captures: Captures,
    reading: Reading,
    predictions: Predictions,
    observer: Observer,
    report: Callable[[int, int | None], None],
) -> Observation:
    from training.container.picture_model.network import resize_picture

    def shrink(_: int, picture: Image.Image) -> Image.Image:
        # A thousand photos of a camera would take 70 GB.
        return Image.fromarray(resize_picture(picture, observer.input_size).permute(1, 2, 0).numpy())

    count = len(predictions)
    pictures = with_pictures(captures, reading.files, predictions, shrink, lambda done, _: report(done, 2 * count))
    return observer.observe(pictures, lambda done: report(count + done, 2 * count))
