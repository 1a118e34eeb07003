"""Draw a confusion matrix as a PNG."""

from collections.abc import Sequence
from pathlib import Path

from training.plot_file import new_figure, write_figure

MOST_WITH_NUMBERS = 15  # classes; with more, the numbers would not fit their cells


def plot_confusion(
    matrix: Sequence[Sequence[int]], classes: Sequence[str], title: str, path: Path
) -> None:
    """Write the matrix, a row for each true class, colored by its share of the row."""
    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    side = 2.2 + 1.1 * min(len(classes), MOST_WITH_NUMBERS)  # inches
    figure, axes = new_figure(side + 1.2, side)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    places = range(len(classes))
    axes.set_xticks(places, classes, rotation=30 if len(classes) > 3 else 0, ha="center")
    axes.set_yticks(places, classes)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title)
    for i, row in enumerate(matrix if len(classes) <= MOST_WITH_NUMBERS else []):
        for j, count in enumerate(row):
            # White on dark, black on light: the middle of the color map is neither.
            color = "white" if shares[i][j] > 0.55 else "black"
            axes.text(j, i, f"{count}\n{shares[i][j]:.0%}", ha="center", va="center", color=color)
    write_figure(figure, path)
