"""Compare captured calls with a baseline: all of them, or those of an hour."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from operations.monitoring.capture_locations import Captures
from operations.monitoring.distances import MOST_PICTURES, Observer, Seen
from operations.monitoring.drift import Drift, compare
from operations.monitoring.endpoint_facts import Baseline
from operations.monitoring.picks import at_random, with_pictures
from operations.monitoring.predictions import Predictions, Reading
from operations.monitoring.sample import MEMBER, MODEL, SAMPLE_MEMBER, Sample

# Of what was observed, kept in monitor.json, so that a later run can compare with it.
MOST_KEPT = 2_000
NOTHING_OBSERVED = "There are no captured predictions to compare."

Report = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Comparison:
    """What was captured, and what came of comparing it.

    Attributes:
        baseline: what it was compared with.
        observed: all predictions, with the endpoint's own confidences.
        compared: the same as it was compared: of a model's baseline, labels and confidences are
            those of one network a picture, as in the baseline.
        drift: None where a side is missing.
    """

    baseline: Baseline
    observed: Sample
    compared: Sample
    drift: Drift | None

    def figures(self) -> dict[str, Any]:
        """Return monitor.json's members about drift, and what a later run can compare with."""
        drift: dict[str, Any] = {
            "drifted": None,
            "verdict": self.baseline.missing or NOTHING_OBSERVED,
            "notes": [],
            "features": [],
            "baseline": None,
        }
        if self.drift is not None:
            drift = self.drift.to_json()
            drift["notes"] += [self.baseline.unseen] * bool(self.baseline.unseen)
            if not tested(self.drift):
                drift["drifted"] = None
        return {"baseline": self.baseline.place, "drift": drift}


def tested(drift: Drift) -> bool:
    """Tell whether anything could be compared; of a few pictures nothing can."""
    return drift.sensitivity is not None


def compare_predictions(
    captures: Captures,
    reading: Reading,
    predictions: Predictions,
    *,
    baseline: Baseline,
    seed: int,
    report: Report,
) -> Comparison:
    """Compare all predictions of a reading, or some of them.

    With a model for a baseline, its networks look at a random sample of the pictures again;
    `report` gets how many have been read again or looked at, and the total of both. `seed` is of
    all samples.
    """
    observed = as_sample(predictions, "captured calls")
    compared = observed
    if baseline.observer is not None and len(predictions):
        rows = at_random(predictions, MOST_PICTURES, seed)
        seen = _look(captures, reading, predictions.chosen(rows), baseline.observer, report)
        compared = replace(
            observed,
            labels=seen.labels,
            confidences=seen.confidences,
            distances=seen.distances,
            answered_by=MEMBER,
        )
        observed = replace(observed, distances=seen.distances)
    drift = None
    if baseline.sample is not None and len(predictions):
        # An earlier run's sample has the endpoint's confidences, a model's those of its networks.
        own = observed if baseline.sample.answered_by == MODEL else compared
        compared, drift = own, compare(baseline.sample, own, seed=seed)
    return Comparison(baseline, observed, compared, drift)


def as_sample(predictions: Predictions, source: str) -> Sample:
    """Return predictions as a sample without distances; `source` says in words what they are."""
    return Sample(
        labels=predictions.label_names(),
        confidences=predictions.confidences,
        features=predictions.features,
        formats=[predictions.format_names[place] for place in predictions.formats],
        source=source,
        answered_by=MODEL,
    )


def kept_sample(comparison: Comparison, predictions: Predictions, seed: int) -> dict[str, Any]:
    """Return monitor.json's member with a random sample of what was observed, {} of nothing."""
    if not len(predictions):
        return {}
    rows = at_random(predictions, MOST_KEPT, seed)
    kept = as_sample(predictions.chosen(rows), "an earlier time")
    kept = replace(kept, distances=comparison.observed.distances)
    return {SAMPLE_MEMBER: kept.to_json()}


def _look(captures: Captures, reading: Reading, some: Predictions, observer: Observer, report: Report) -> Seen:
    from training.container.picture_model.network import resize_picture

    size = observer.input_size

    def shrink(_: int, picture: Image.Image) -> Image.Image:
        # A thousand photos of a camera would be 70 GB.
        return Image.fromarray(resize_picture(picture, size).permute(1, 2, 0).numpy())

    count = len(some)
    pictures = with_pictures(captures, reading.files, some, shrink, lambda done, _: report(done, 2 * count))
    return observer.look(pictures, lambda done: report(count + done, 2 * count))
