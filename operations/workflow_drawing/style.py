"""How large things in the pictures are, in pixels; their colors are in style.css."""

from functools import cache
from pathlib import Path

NAME_SIZE, TEXT_SIZE = 13, 12  # of letters
LINE = 15  # from line to line
PILL = 18  # the height of a number on an arrow


@cache
def css() -> str:
    """Return the style sheet that each picture brings along."""
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
