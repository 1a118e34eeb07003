"""The charts of the demo's page, from evaluation.json, each with a text alternative."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from common.pages.charts import WIDTH, Theme, chart
from common.pages.formatting import percent
from common.predictions import meets_threshold
from training.container.picture_model.calibration import Recommendation, reliability_bins
from training.evaluation.plots.confusion import MOST_WITH_NUMBERS, draw_confusion
from training.evaluation.plots.reliability import draw_reliability
from training.evaluation.plots.risk_coverage import Answers, draw_risk_coverage
from training.evaluation.predictions import EndpointPrediction
from training.evaluation.summary import acceptable, answered

HEIGHT = 3.5  # inches, with the legend below the axes
CLASS_INCHES = 0.8  # of a class in the confusion matrix
LEGEND_BELOW = {"loc": "outside lower center", "fontsize": 8}
MISTAKES_LISTED = 12


class Chart(NamedTuple):
    """A chart's title, its HTML with the text alternative, and its caption; a `wide` one gets a row of its own."""

    title: str
    html: Any
    caption: str
    wide: bool = False


def charts(evaluation: dict[str, Any]) -> list[Chart]:
    """Draw the confusion matrix, the risk-coverage curve and the reliability diagram."""
    predictions = [EndpointPrediction(**p) for p in evaluation["predictions"]]
    return [_confusion(evaluation["confusion_matrix"]), _risk(evaluation, predictions), _reliability(predictions)]


def _confusion(matrix: dict[str, Any]) -> Chart:
    classes, counts = matrix["true_rows_predicted_columns"], matrix["counts"]
    side = max(WIDTH, CLASS_INCHES * min(len(classes), MOST_WITH_NUMBERS))
    return Chart(
        "Confusion matrix",
        chart(
            lambda axes, theme: draw_confusion(axes, theme, counts, classes),
            confusion_text(counts, classes),
            side,
            0.85 * side,
        ),
        "A row holds the pictures of one class, a column those that the model takes for it.",
        wide=side > WIDTH,
    )


def confusion_text(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Describe the correct answers of each class, and the most frequent mistakes."""
    right = [
        f"{row[index]} of {sum(row)} {name} right"
        for index, (name, row) in enumerate(zip(classes, counts, strict=True))
    ]
    mistakes = sorted(
        (-count, f"{count} {classes[true]} taken for {classes[answer]}")
        for true, row in enumerate(counts)
        for answer, count in enumerate(row)
        if true != answer and count
    )
    listed = [text for _, text in mistakes[:MISTAKES_LISTED]]
    if mistakes[MISTAKES_LISTED:]:
        listed.append(f"{len(mistakes) - MISTAKES_LISTED} rarer kinds of mistakes")
    return f"Confusion matrix: {', '.join([*right, *listed])}."


def _risk(evaluation: dict[str, Any], predictions: Sequence[EndpointPrediction]) -> Chart:
    recommendation, threshold = evaluation["recommendation"], evaluation["threshold"]
    confidences, correct = acceptable(predictions)

    def draw(axes: Any, theme: Theme) -> None:
        draw_risk_coverage(
            axes,
            theme,
            held_out=None,
            split=Answers(f"{evaluation['split']} split", confidences, correct),
            threshold=threshold,
            recommendation=Recommendation(**recommendation) if recommendation else None,
        )
        axes.set_ylabel("errors among the accepted")
        axes.set_xlabel("coverage: accepted share")
        axes.figure.legend(**LEGEND_BELOW)

    accepted = [r for c, r in zip(confidences, correct, strict=True) if c and meets_threshold(c, threshold)]
    alt = (
        f"Error against coverage: of all {len(correct)} answers {correct.count(False)} are wrong;"
        f" at the threshold {threshold:g} {len(accepted)} are accepted"
        f" ({percent(evaluation['coverage'])}), {accepted.count(False)} of them wrongly."
    )
    return Chart(
        "Error against coverage",
        chart(draw, alt, WIDTH, HEIGHT),
        "The further right, the more answers are accepted, by falling confidence."
        + (" The dot marks the threshold." if accepted else " Nothing is accepted at the threshold."),
    )


def _reliability(predictions: Sequence[EndpointPrediction]) -> Chart:
    confidences, correct = answered(predictions)

    def draw(axes: Any, theme: Theme) -> None:
        draw_reliability(axes, theme, confidences, correct)
        axes.set_xlabel("confidence")
        axes.figure.legend(**LEGEND_BELOW)

    bins = [
        f"confidence {percent(b.mean_confidence)}, right {b.correct} of {b.pictures}"
        for b in (reliability_bins(confidences, correct) if confidences else [])
    ]
    alt = f"Accuracy by confidence: {'; '.join(bins) or 'no picture got an answer'}."
    return Chart(
        "Reliability",
        chart(draw, alt, WIDTH, HEIGHT),
        "On the line, accuracy equals confidence. Each dot is a group of answers of similar confidence.",
    )
