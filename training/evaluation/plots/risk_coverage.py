"""Draw risk-coverage curves: the error among accepted answers against the share accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.metrics import wilson_interval
from common.pages.charts import LIGHT, Theme
from common.predictions import meets_threshold
from training.container.picture_model.calibration import (
    Recommendation,
    accepted_and_errors,
    error_bound,
    simultaneous_level,
)
from training.evaluation.plots.plot_file import new_figure, write_figure

MOST_POINTS = 400  # of a curve; more could not be distinguished


@dataclass(frozen=True)
class Answers:
    """Confidences, 0 for answers that are never accepted, and whether each answer was right; `name` is the legend's."""

    name: str
    confidences: Sequence[float]
    correct: Sequence[bool]


def draw_risk_coverage(
    axes: Any,
    theme: Theme,
    *,
    held_out: Answers | None,
    split: Answers,
    threshold: float,
    recommendation: Recommendation | None,
) -> None:
    """Draw the risk-coverage curves of a split and of held-out answers, if there are any.

    Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017. The dashed line
    is the bound by which the recommended threshold was chosen.
    """
    from matplotlib.ticker import PercentFormatter

    highest = 0.02
    if held_out:
        level = None
        if recommendation:
            pictures = len(held_out.confidences)
            level = simultaneous_level(pictures, recommendation.max_error, recommendation.confidence_level)
        highest = max(highest, _draw(axes, held_out, theme.series[0], threshold, level))
    highest = max(highest, _draw(axes, split, theme.series[1], threshold, None))
    if recommendation:
        wanted = recommendation.max_error
        axes.axhline(wanted, color=theme.ink, linestyle=":", label=f"wanted: at most {100 * wanted:g}%")
        highest = max(highest, 3 * wanted)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, min(1, 1.15 * highest))
    axes.set_xlabel("coverage: share of all pictures that is accepted")
    axes.set_ylabel("risk: share of errors among the accepted")
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, 1))


def plot_risk_coverage(
    held_out: Answers | None, split: Answers, threshold: float, recommendation: Recommendation | None, path: Path
) -> None:
    """Write the curves as a PNG."""
    figure, axes = new_figure(8, 5.5)
    draw_risk_coverage(axes, LIGHT, held_out=held_out, split=split, threshold=threshold, recommendation=recommendation)
    axes.set_title(f"Threshold {threshold:g}" + _verdict_text(recommendation, threshold))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize="small")
    write_figure(figure, path)


def _draw(axes: Any, answers: Answers, color: str, threshold: float, level: float | None) -> float:
    """Draw a curve, its uncertainty and the threshold's point; return its highest risk.

    The highest risk leaves out the first few pictures, since one error among them would flatten the
    curve. The uncertainty is the bound of this level, or without a level the 95 % interval.
    """
    total = len(answers.confidences)
    counts = accepted_and_errors(answers.confidences, answers.correct)
    if not counts:
        axes.plot([], [], color=color, label=f"{answers.name}: nothing that could be accepted")
        return 0.0
    # The last one is where all are accepted.
    shown = [*counts[: -1 : -(-len(counts) // MOST_POINTS)], counts[-1]]
    coverages = [accepted / total for _, accepted, _ in shown]
    risks = [errors / accepted for _, accepted, errors in shown]
    axes.step(coverages, risks, where="post", color=color, label=f"{answers.name}: {total} pictures")
    if level:
        bounds = [error_bound(errors, accepted, level) for _, accepted, errors in shown]
        axes.plot(coverages, bounds, color=color, linestyle="--", label="upper bound of its risk")
    else:
        ends = [wilson_interval(errors, accepted) for _, accepted, errors in shown]
        low, high = zip(*ends, strict=True)
        axes.fill_between(coverages, low, high, color=color, alpha=0.15, label="95 % interval")
    above = [(accepted, errors) for lowest, accepted, errors in counts if meets_threshold(lowest, threshold)]
    if above:
        accepted, errors = above[-1]
        label = f"at {threshold:g}: {accepted} accepted, {errors} wrong"
        axes.plot(accepted / total, errors / accepted, "o", color=color, clip_on=False, zorder=3, label=label)
    return max(r for r, c in zip(risks, coverages, strict=True) if c >= min(0.2, coverages[-1]))


def _verdict_text(recommendation: Recommendation | None, threshold: float) -> str:
    if recommendation is None:
        return ", the model recommends none"
    if recommendation.threshold != threshold:
        return f", {recommendation.threshold:g} is recommended"
    if not recommendation.met:
        return f", as expected: shown is a risk of at most {recommendation.error_bound:.1%}"
    return (
        f", recommended: risk at most {100 * recommendation.max_error:g}%"
        f" with confidence {recommendation.confidence_level:g}"
    )
