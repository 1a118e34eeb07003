"""Make a figure without a display, and write it as a PNG, whole or not at all."""

from pathlib import Path
from typing import Any

from common.reports import replacing


def new_figure(width: float, height: float, rows: tuple[float, ...] = (1,)) -> tuple[Any, Any]:
    """Return a figure of this size in inches and its axes, one below the other by `rows`' shares.

    A single axes comes by itself, several as an array.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["text.parse_math"] = False  # a class may be called a_$1
    from matplotlib import pyplot as plt

    return plt.subplots(
        len(rows),
        figsize=(width, height),
        layout="constrained",
        sharex=len(rows) > 1,
        gridspec_kw={"height_ratios": rows},
    )


def write_figure(figure: Any, path: Path) -> None:
    """Replace `path` by the figure, and close it. A broken run leaves the old file."""
    from matplotlib import pyplot as plt

    with replacing(path) as new:
        figure.savefig(new, dpi=150, format="png", bbox_inches="tight", pad_inches=0.2)
    plt.close(figure)
