"""Draw the reliability diagram: accuracy against confidence, bin by bin."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.metrics import wilson_interval
from common.pages.charts import LIGHT, Theme
from training.container.picture_model.calibration import expected_calibration_error, reliability_bins
from training.evaluation.plots.plot_file import new_figure, write_figure


def draw_reliability(axes: Any, theme: Theme, confidences: Sequence[float], correct: Sequence[bool]) -> None:
    """Draw the reliability diagram (Guo et al., 2017) with a 95 % interval for each bin.

    The bins are those of the expected calibration error. Without any answer, only the diagonal is drawn.
    """
    axes.plot([0, 1], [0, 1], color=theme.ink, linestyle=":", label="deserved confidence")
    lowest = 0.0
    if confidences:
        bins = reliability_bins(confidences, correct)
        means = [b.mean_confidence for b in bins]
        shares = [b.accuracy for b in bins]
        ends = [wilson_interval(b.correct, b.pictures) for b in bins]
        errors = [
            [share - low for share, (low, _) in zip(shares, ends, strict=True)],
            [high - share for share, (_, high) in zip(shares, ends, strict=True)],
        ]
        label = "accuracy of a bin, with its 95 % interval"
        axes.errorbar(means, shares, yerr=errors, fmt="o", capsize=4, color=theme.series[0], label=label)
        for b in bins:
            axes.axvspan(b.lowest, b.highest, color=theme.series[0], alpha=0.08, linewidth=0)
        lowest = max(0.0, min(*(low for low, _ in ends), *(b.lowest for b in bins)) - 0.02)
    axes.set_xlim(lowest, 1.005)
    axes.set_ylim(lowest, 1.005)
    axes.set_ylabel("accuracy")


def plot_reliability(
    confidences: Sequence[float], correct: Sequence[bool], title: str, interval: tuple[float, float] | None, path: Path
) -> None:
    """Write the diagram as a PNG, with a histogram of the confidences below.

    `interval` is the 95 % interval of the expected calibration error. Without any answer, the title says so.
    """
    figure, (axes, below) = new_figure(7, 7.5, rows=(3, 1))
    draw_reliability(axes, LIGHT, confidences, correct)
    if confidences:
        below.hist(confidences, bins=50, range=(0, 1), color=LIGHT.series[0])
        error = expected_calibration_error(confidences, correct)
        error_text = f"expected calibration error {error:.3f}"
        if interval:
            error_text += f" (95 %: {interval[0]:.3f} to {interval[1]:.3f})"
        counts = ", ".join(str(b.pictures) for b in reliability_bins(confidences, correct))
        axes.set_title(f"{title}\n{error_text}\npictures in the bins: {counts}", fontsize="medium")
    else:
        axes.set_title(f"{title}\nno picture got an answer", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
    below.set_xlabel("confidence")
    below.set_ylabel("pictures")
    below.grid(alpha=0.3)
    write_figure(figure, path)
