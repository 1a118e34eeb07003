"""Texts in pictures: how wide they are, near enough without the fonts, and how they are written."""

import json
import re
from html import escape

from operations.workflow_drawing.style import TEXT_SIZE

# Advance widths of Helvetica in thousandths of the size. style.css asks for it, and for Arial and
# Liberation Sans, which share them.
_WIDTHS = {
    **dict.fromkeys("ijl'|", 222),
    **dict.fromkeys('I.,:;/!()[]ft "·', 278),
    **dict.fromkeys("r-{}", 334),
    **dict.fromkeys("ckszvxyJ", 500),
    **dict.fromkeys("abdeghnopqu0123456789_L?$", 556),
    **dict.fromkeys("+=<>~≤≥", 584),
    **dict.fromkeys("FTZ", 611),
    **dict.fromkeys("ABEKPSVXY&", 667),
    **dict.fromkeys("CDHNRUw", 722),
    **dict.fromkeys("GOQ", 778),
    **dict.fromkeys("Mm%", 833 + 30),
    **dict.fromkeys("W…@\N{REPLACEMENT CHARACTER}", 1000),
}
_OTHER = 667
_ROOM = 1.08  # where none of them is there, such as on Android
_BOLD = 1.08
# All but what an XML 1.0 document can hold (its production Char), and the control characters in it
# that a terminal obeys.
_UNFIT = re.compile("[^\t\n -~\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return the width in pixels that a line of text needs at most, in the usual fonts."""
    width = sum(_WIDTHS.get(letter, _OTHER) for letter in text) * size / 1000
    return width * _ROOM * (_BOLD if bold else 1)


def pill_width(number: str) -> float:
    """Return the width in pixels of a number on an arrow, with what is around it."""
    return max(24.0, text_width(number, TEXT_SIZE, bold=True) + 14)


def wrap(text: str, most: float, size: float, bold: bool = False, lines: int = 3) -> list[str]:
    """Break a text into lines of at most `most` pixels, at spaces, or after "_" within words.

    What does not fit into so many lines is cut off with "…".
    """
    pieces = text.replace("_", "_\0").replace(" ", " \0").split("\0")
    found = [""]
    for piece in pieces:
        if found[-1] and text_width((found[-1] + piece).rstrip(), size, bold) > most:
            found.append("")
        found[-1] += piece
    found = [line.rstrip() for line in found]
    if len(found) > lines:
        found = found[:lines]
        found[-1] += "…"
    return [clip(line, most, size, bold) for line in found]


def clip(text: str, most: float, size: float, bold: bool = False) -> str:
    """Cut a line off with "…" where it gets wider than `most` pixels."""
    if text_width(text, size, bold) <= most:
        return text
    while text and text_width(text + "…", size, bold) > most:
        text = text[:-1]
    return text.rstrip("…") + "…"


def printable(text: str) -> str:
    """Replace what cannot stand in an XML document or should not reach a terminal."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)


def xml(text: str) -> str:
    """Return a text as it stands in an XML document, whatever is in it."""
    return escape(printable(text))


def shorten(text: str, most: int) -> str:
    """Return JSON, or any text, on one line of at most `most` printable characters."""
    try:
        text = json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        text = " ".join(text.split())
    return printable(text if len(text) <= most else text[: most - 1] + "…")
