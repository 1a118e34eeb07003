"""The charts of the demo's page, from evaluation.json, each with what it shows in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.pages.charts import WIDTH, Theme, chart
from common.pages.words import percent
from training.container.picture_model.calibration import Recommendation, reliability_bins
from training.evaluation.plots.confusion import MOST_WITH_NUMBERS, draw_confusion
from training.evaluation.plots.reliability import draw_reliability
from training.evaluation.plots.risk_coverage import Answers, draw_risk_coverage
from training.evaluation.predictions import Prediction
from training.evaluation.summary import acceptable, answered

HEIGHT = 3.5  # inches: the legend stands below the axes, where it hides nothing
CLASS_INCHES = 0.8  # that a class takes in the confusion matrix
MISTAKES_IN_WORDS = 12
NOTHING_ACCEPTED = "Nothing is accepted at the threshold."


@dataclass(frozen=True)
class Chart:
    """A chart's title, its HTML with the text alternative, and how to read it.

    A `wide` one gets a row of its own, and is not made smaller than it was drawn.
    """

    title: str
    html: Any
    words: str
    wide: bool = False


def charts(evaluation: dict[str, Any]) -> list[Chart]:
    """Draw confusion matrix, error against coverage, and whether confidence is deserved."""
    predictions = [Prediction(**p) for p in evaluation["predictions"]]
    return [_confusion(evaluation), _risk(evaluation, predictions), _reliability(predictions)]


def _confusion(evaluation: dict[str, Any]) -> Chart:
    matrix = evaluation["confusion_matrix"]
    classes, counts = matrix["true_rows_predicted_columns"], matrix["counts"]

    def draw(axes: Any, theme: Theme) -> None:
        draw_confusion(axes, theme, counts, classes)

    side = max(WIDTH, CLASS_INCHES * min(len(classes), MOST_WITH_NUMBERS))
    return Chart(
        "Confusion matrix",
        chart(draw, confusion_words(counts, classes), side, 0.85 * side),
        "A row holds the pictures of one class, a column those that the model takes for it.",
        wide=side > WIDTH,
    )


def confusion_words(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Tell what is right of each class, and what is taken for what most often."""
    right = [
        f"{row[place]} of {sum(row)} {name} right"
        for place, (name, row) in enumerate(zip(classes, counts, strict=True))
    ]
    mistakes = sorted(
        (-count, f"{count} {classes[true]} taken for {classes[answer]}")
        for true, row in enumerate(counts)
        for answer, count in enumerate(row)
        if true != answer and count
    )
    told = [words for _, words in mistakes[:MISTAKES_IN_WORDS]]
    if mistakes[MISTAKES_IN_WORDS:]:
        told.append(f"{len(mistakes) - MISTAKES_IN_WORDS} rarer kinds of mistakes")
    return f"Confusion matrix: {', '.join([*right, *told])}."


def _risk(evaluation: dict[str, Any], predictions: Sequence[Prediction]) -> Chart:
    found, threshold = evaluation["recommendation"], evaluation["threshold"]
    confidences, correct = acceptable(predictions)

    def draw(axes: Any, theme: Theme) -> None:
        draw_risk_coverage(
            axes,
            theme,
            held_out=None,
            split=Answers(f"{evaluation['split']} split", confidences, correct),
            threshold=threshold,
            recommendation=Recommendation(**found) if found else None,
        )
        axes.set_ylabel("errors among the accepted")
        axes.set_xlabel("coverage: share that is accepted")
        _legend_below(axes)

    accepted = [r for c, r in zip(confidences, correct, strict=True) if c and c >= threshold]
    alt = (
        f"Error against coverage: of all {len(correct)} answers {correct.count(False)} are wrong;"
        f" at the threshold {threshold:g} {len(accepted)} are accepted"
        f" ({percent(evaluation['coverage'])}), {accepted.count(False)} of them wrongly."
    )
    return Chart(
        "Error against coverage",
        chart(draw, alt, WIDTH, HEIGHT),
        "The further right, the more answers are accepted, the surest first."
        + (" The dot is where the threshold is." if accepted else f" {NOTHING_ACCEPTED}"),
    )


def _reliability(predictions: Sequence[Prediction]) -> Chart:
    confidences, correct = answered(predictions)

    def draw(axes: Any, theme: Theme) -> None:
        draw_reliability(axes, theme, confidences, correct)
        axes.set_xlabel("confidence")
        _legend_below(axes)

    told = [
        f"confidence {percent(b.mean_confidence)}, right {b.correct} of {b.pictures}"
        for b in (reliability_bins(confidences, correct) if confidences else [])
    ]
    alt = f"Accuracy by confidence: {'; '.join(told) or 'no picture got an answer'}."
    return Chart(
        "Is confidence deserved?",
        chart(draw, alt, WIDTH, HEIGHT),
        "On the line, answers are right as often as their confidence says. Each dot is a group of"
        " answers of similar confidence.",
    )


def _legend_below(axes: Any) -> None:
    axes.figure.legend(loc="outside lower center", fontsize=8)
