"""Draw a confusion matrix onto given axes, or as a PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.pages.charts import LIGHT, Theme
from training.evaluation.plots.plot_file import new_figure, write_figure

POINTS_PER_INCH = 72
FONT_SHARE = 0.7  # of a class's share of the figure's height, which also has margins and gaps between lines
MOST_WITH_NUMBERS = 15  # classes; with more, the numbers would not fit into the cells


def draw_confusion(axes: Any, theme: Theme, matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Any:
    """Draw the matrix, a row for each true class, colored by its share of the row.

    Returns matplotlib's image, for a color bar.
    """
    from matplotlib.colors import LinearSegmentedColormap

    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    # A share of 0 nearly has the background's color, light or dark.
    colors = LinearSegmentedColormap.from_list("shares", [theme.faint, theme.series[0]])
    image = axes.imshow(shares, cmap=colors, vmin=0, vmax=1)
    axes.grid(visible=False)
    positions = range(len(classes))
    rotation = 0 if len(classes) <= 3 else 30 if len(classes) <= MOST_WITH_NUMBERS else 90
    axes.set_xticks(positions, classes, rotation=rotation, ha="center")
    axes.set_yticks(positions, classes)
    height = POINTS_PER_INCH * axes.figure.get_figheight() / max(1, len(classes))
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set_size(min(label.get_size(), height * FONT_SHARE))
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
