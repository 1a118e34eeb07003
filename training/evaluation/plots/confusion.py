"""Draw a confusion matrix: onto given axes for a page, or as a PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.pages.charts import LIGHT, Theme
from training.evaluation.plots.plot_file import new_figure, write_figure

POINTS_AN_INCH = 72
LETTERS = 0.7  # of a class's share of the height: the axes are not all of it, and lines stay apart
MOST_WITH_NUMBERS = 15  # classes; with more, the numbers would not fit their cells


def draw_confusion(axes: Any, theme: Theme, matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Any:
    """Draw the matrix, a row for each true class, colored by its share of the row.

    Returns matplotlib's image, for a color bar.
    """
    from matplotlib.colors import LinearSegmentedColormap

    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    # A share of nothing is nearly the paper, light or dark, and all of a class stands out from it.
    colors = LinearSegmentedColormap.from_list("shares", [theme.faint, theme.series[0]])
    image = axes.imshow(shares, cmap=colors, vmin=0, vmax=1)
    axes.grid(visible=False)
    places = range(len(classes))
    rotation = 0 if len(classes) <= 3 else 30 if len(classes) <= MOST_WITH_NUMBERS else 90
    axes.set_xticks(places, classes, rotation=rotation, ha="center")
    axes.set_yticks(places, classes)
    room = POINTS_AN_INCH * axes.figure.get_figheight() / max(1, len(classes))
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set_size(min(label.get_size(), room * LETTERS))
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    for i, row in enumerate(matrix if len(classes) <= MOST_WITH_NUMBERS else []):
        for j, count in enumerate(row):
            # White on dark, black on light: the middle of the color map is neither.
            red, green, blue, _ = image.cmap(image.norm(shares[i][j]))
            color = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else "black"
            axes.text(j, i, f"{count}\n{shares[i][j]:.0%}", ha="center", va="center", color=color)
    return image


def plot_confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str], title: str, path: Path) -> None:
    """Write the matrix as a PNG."""
    side = 2.2 + 1.1 * min(len(classes), MOST_WITH_NUMBERS)  # inches
    figure, axes = new_figure(side + 1.2, side)
    image = draw_confusion(axes, LIGHT, matrix, classes)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    axes.set_title(title)
    write_figure(figure, path)
