"""Draw whether confidence is deserved: accuracy against confidence, bin by bin."""

from collections.abc import Sequence
from pathlib import Path

from training.calibration import expected_calibration_error, reliability_bins
from training.metrics import wilson_interval
from training.plot_file import new_figure, write_figure


def plot_reliability(
    confidences: Sequence[float],
    correct: Sequence[bool],
    title: str,
    interval: tuple[float, float] | None,
    path: Path,
) -> None:
    """Write the reliability diagram (Guo et al., 2017) with a 95 % interval for each bin.

    The bins are those of the expected calibration error, whose 95 % interval is `interval`. Without
    an answer, the diagram is empty and says so.
    """
    figure, (axes, below) = new_figure(7, 7.5, rows=(3, 1))
    axes.plot([0, 1], [0, 1], color="black", linestyle=":", label="deserved confidence")
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
        axes.errorbar(means, shares, yerr=errors, fmt="o", capsize=4, color="tab:blue",
                      label="accuracy of a bin, with its 95 % interval")  # fmt: skip
        for b in bins:
            axes.axvspan(b.lowest, b.highest, color="tab:blue", alpha=0.08, linewidth=0)
        below.hist(confidences, bins=50, range=(0, 1), color="tab:blue")
        lowest = max(0.0, min(*(low for low, _ in ends), *(b.lowest for b in bins)) - 0.02)
        error = expected_calibration_error(confidences, correct)
        found = f"expected calibration error {error:.3f}"
        if interval:
            found += f" (95 %: {interval[0]:.3f} to {interval[1]:.3f})"
        counts = ", ".join(str(b.pictures) for b in bins)
        axes.set_title(f"{title}\n{found}\npictures in the bins: {counts}", fontsize="medium")
    else:
        axes.set_title(f"{title}\nno picture got an answer", fontsize="medium")
    axes.set_xlim(lowest, 1.005)
    axes.set_ylim(lowest, 1.005)
    axes.set_ylabel("accuracy")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
    below.set_xlabel("confidence")
    below.set_ylabel("pictures")
    below.grid(alpha=0.3)
    write_figure(figure, path)
