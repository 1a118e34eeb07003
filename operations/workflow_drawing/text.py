"""Texts in pictures: shortened, wrapped, and escaped."""

import json
import re
from html import escape

# Everything but the characters of an XML 1.0 document (its production Char) that do not control a terminal.
_UNPRINTABLE = re.compile("[^\t\n -~\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    """Replace the characters that an XML document cannot contain or that control a terminal."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def xml(text: str) -> str:
    """Escape a text for an XML document or an HTML-like label of Graphviz."""
    return escape(printable(text))


def shorten(text: str, length: int) -> str:
    """Return JSON, or any text, on one line of at most `length` printable characters."""
    try:
        text = json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        text = " ".join(text.split())
    return printable(text if len(text) <= length else text[: length - 1] + "…")


def wrap(text: str, width: int, lines: int = 3) -> list[str]:
    """Break a text into lines of at most `width` characters, at spaces or after "_".

    The text is cut off with "…" after `lines` lines.
    """
    found = re.findall(rf"\S.{{0,{width - 1}}}(?:(?<=_)|(?=\s)|$)|\S{{1,{width}}}", printable(text))
    if len(found) <= lines:
        return found
    return [*found[: lines - 1], found[lines - 1][: width - 1].rstrip() + "…"]
