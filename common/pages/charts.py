"""Charts inside a page, drawn by matplotlib in a light and a dark theme, with a text alternative."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Size of a chart in inches, at 96 pixels each: a phone with 360 pixels shows it unscaled.
WIDTH = 3.6
HEIGHT = 2.5


@dataclass(frozen=True)
class Theme:
    """The colors of a chart; `series` distinguishes classes and samples, also for color-blind people.

    They are those of Okabe and Ito, "Color Universal Design", 2008, ordered so that neighbours differ in brightness.
    """

    name: str
    ink: str  # letters and axes
    faint: str  # grid and background
    accent: str  # the one line that matters, such as the threshold
    series: tuple[str, ...]


LIGHT = Theme(
    "light",
    "#1f2328",
    "#d0d7de",
    "#b3261e",
    ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"),
)
DARK = Theme(
    "dark",
    "#e6edf3",
    "#3d444d",
    "#ff8a80",
    ("#56b4e9", "#e69f00", "#2bc79b", "#e5a3c7", "#8ab4f8", "#ff9e5e", "#ffffff"),
)

Draw = Callable[[Any, Theme], None]  # axes of matplotlib, and the colors to use


def chart(draw: Draw, alt: str, width: float = WIDTH, height: float = HEIGHT) -> Any:
    """Draw a chart in both themes; return the HTML of a `<picture>` that shows the preferred one.

    `draw` gets an axes and the theme. `alt` is the text alternative, with the numbers. `width` and `height` are in
    inches.
    """
    import markupsafe

    sources = {theme.name: data_uri("image/svg+xml", _svg(draw, theme, width, height)) for theme in (LIGHT, DARK)}
    return markupsafe.Markup(
        '<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        '<img src="{light}" alt="{alt}" width="{width}" height="{height}"></picture>'
    ).format(**sources, alt=alt, width=round(96 * width), height=round(96 * height))


def data_uri(media_type: str, content: bytes) -> str:
    """Return a data URI with the content of a file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _svg(draw: Draw, theme: Theme, width: float, height: float) -> bytes:
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib.figure import Figure

    settings: Any = {
        "font.size": 9,
        "svg.hashsalt": "",  # equal charts have equal bytes
        "svg.fonttype": "path",  # an embedded picture has no fonts
        "text.parse_math": False,  # a class may have the name "$x"
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.ink,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": theme.faint,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "axes.prop_cycle": cycler(color=list(theme.series)),
    }
    with mpl.rc_context(settings):
        # Unlike pyplot's, a Figure needs no closing and no display.
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots(), theme)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return stream.getvalue()
