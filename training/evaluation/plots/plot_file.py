"""Make a figure without a display, and write it as a PNG atomically."""

from pathlib import Path
from typing import Any

from common.reports import replacing


def new_figure(width: float, height: float, rows: tuple[float, ...] = (1,)) -> tuple[Any, Any]:
    """Return a figure of this size in inches and its axes: a single one, or an array from top to bottom.

    `rows` are the relative heights of the axes.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["text.parse_math"] = False  # a class name may contain $
    from matplotlib import pyplot as plt

    return plt.subplots(
        len(rows),
        figsize=(width, height),
        layout="constrained",
        sharex=len(rows) > 1,
        gridspec_kw={"height_ratios": rows},
    )


def write_figure(figure: Any, path: Path) -> None:
    """Replace `path` by the figure, and close it. An error leaves the old file."""
    from matplotlib import pyplot as plt

    with replacing(path) as new:
        figure.savefig(new, dpi=150, format="png", bbox_inches="tight", pad_inches=0.2)
    plt.close(figure)
