"""A small fake demo run with its files: pictures, summary and evaluation."""

from collections import Counter
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from common.predictions import Outcome
from common.reports import write_json
from demo.outcomes import PictureOutcome, figures
from training.container.picture_model.calibration import recommend_threshold
from training.evaluation.predictions import EndpointPrediction
from training.evaluation.summary import answered, summarise
from training.sources.synthetic import draw_picture

CLASSES = ("bicycle", "motorcycle")
PER_CLASS = 20
THRESHOLD = 0.8123
HOSTILE_ERROR = "NotAPictureError: <b>cut off</b> & 'done'"
READ = ("Start", "Locate Picture", "Serialize Image Data")
DECIDED = (*READ, "Image Classification", "Filter Low Confidence", "Is Accepted")
PATHS = {
    "accepted": (*DECIDED, "Record Prediction", "End"),
    "review": (*DECIDED, "Claim Review", "Send To Review", "Confirm Review", "Threshold Confidence Not Met", "End"),
    "failed": (*READ, "Notify Failure", "Workflow Failed", "End"),
}


class Run(NamedTuple):
    """The folders of a run, and the contents of two of its files."""

    reports: Path
    staged: Path
    summary: dict[str, Any]
    evaluation: dict[str, Any]


def outcome(class_name: str, number: int) -> PictureOutcome:
    """Return the outcome of a picture: one of four labels is wrong, the first picture failed."""
    key = f"inbox/{class_name}/{class_name}-{number:05d}.png"
    if (class_name, number) == ("bicycle", 0):
        return PictureOutcome(key, class_name, "failed", error=HOSTILE_ERROR)
    confidence = 0.5125 + number * 0.025
    label = CLASSES[(CLASSES.index(class_name) + (number % 4 == 3)) % 2]
    result: Outcome = "accepted" if confidence >= THRESHOLD else "review"
    return PictureOutcome(key, class_name, result, label, confidence)


PICTURES = [outcome(name, number) for name in CLASSES for number in range(PER_CLASS)]


def make_run(folder: Path) -> Run:
    """Write a run below the folder."""
    reports, staged = folder / "reports", folder / "data" / "staged"
    for picture in PICTURES:
        name = Path(picture.key).name
        path = staged / "test" / picture.truth / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_picture(picture.truth, int(path.stem[-5:]), (32, 32), seed=0).save(path)
    evaluation, summary = make_evaluation(), make_summary()
    write_json(reports / "demo" / "summary.json", summary)
    write_json(reports / "evaluate" / "evaluation.json", evaluation)
    return Run(reports, staged, summary, evaluation)


def make_evaluation() -> dict[str, Any]:
    """Return an evaluation with the same answers, and one for the failed picture."""
    predictions = []
    for number, picture in enumerate(PICTURES):
        label, confidence = picture.label or "bicycle", picture.confidence or 0.5125
        probabilities = {label: confidence, CLASSES[1 - CLASSES.index(label)]: 1 - confidence}
        key, latency = f"test/{picture.truth}/{Path(picture.key).name}", 0.004 + 0.0001 * number
        predictions.append(EndpointPrediction(key, picture.truth, label, confidence, probabilities, latency, None))
    confidences, correct = answered(predictions)
    found = recommend_threshold(confidences, correct, 0.01)
    return {
        "endpoint": "scones-unlimited",
        "split": "test",
        "threshold_source": "recommendation",
        "recommendation": asdict(found) | {"threshold": THRESHOLD, "met": False},
        **summarise(predictions, THRESHOLD),
    }


def make_summary(**changes: object) -> dict[str, Any]:
    """Return the summary of the run."""
    evaluation = make_evaluation()
    transitions = Counter(step for p in PICTURES for step in pairwise(PATHS[p.outcome]))
    calls = sum(p.outcome != "failed" for p in PICTURES) + 1
    summary = {
        "began": "2026-11-23T08:15:00+00:00",
        "source": {"kind": "archive", "name": "cifar-100-vehicles.tar.gz"},
        "data": {
            "train": dict.fromkeys(CLASSES, 4 * PER_CLASS),
            "validation": dict.fromkeys(CLASSES, PER_CLASS),
            "test": dict.fromkeys(CLASSES, PER_CLASS),
        },
        "training": {"seconds": 107, "validation_accuracy": 0.9444},
        **figures(PICTURES, THRESHOLD),
        "recommendation": evaluation["recommendation"],
        "evaluated_threshold": evaluation["threshold"],
        "expected_calibration_error": evaluation["expected_calibration_error"],
        "monitor": {
            "files": 3,
            "lines": calls,
            "damaged": 0,
            "predictions": calls,
            "threshold": THRESHOLD,
            "coverage": 0.4,
            "mean_confidence": 0.75,
            "drifted": False,
            "drift_verdict": "No drift <b>was</b> found.",
        },
        "failures": [f"{p.key}: {p.error}" for p in PICTURES if p.outcome == "failed"],
        "transitions": [
            {"from": before, "to": after, "times": times, "after_errors": 0}
            for (before, after), times in transitions.items()
        ],
        "pictures": [asdict(p) for p in PICTURES],
        "resources_left": 0,
        "seconds": {"laptop_aws": 3.2, "create_endpoint": 130.9, "workflow": 25.9, "total": 160.0},
    }
    return summary | changes
