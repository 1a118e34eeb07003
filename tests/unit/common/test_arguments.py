"""Numbers on a command line: the values accepted, and the message about others."""

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from common.arguments import inner_share, port, positive_integer, positive_number, seconds, share


@pytest.mark.parametrize(
    ("parse", "texts", "message"),
    [
        (positive_number, ["0", "-1", "nan", "inf", "ten", ""], "is not a number above 0"),
        (positive_integer, ["0", "-1", "1.5", "1e3", "ten", ""], "is not a whole number above 0"),
        (inner_share, ["0", "1", "-1", "nan", ""], "is not a number between 0 and 1"),
        (share, ["-0.1", "1.1", "nan", "half", ""], "is not a number from 0 to 1"),
        (seconds, ["-1", "inf", "nan", "soon", ""], "is not a number of seconds, 0 or more"),
        (port, ["-1", "65536", "http", ""], "is not a TCP port, 0 to 65535"),
    ],
)
def test_invalid_number_is_refused_with_its_text(parse: Callable[[str], Any], texts: list[str], message: str) -> None:
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError) as refused:
            parse(text)
        assert str(refused.value) == f"{text!r} {message}"


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (positive_number, "0.5", 0.5),
        (positive_number, "1e3", 1000),
        (positive_integer, "12", 12),
        (inner_share, "0.01", 0.01),
        (share, "0", 0),
        (share, "1", 1),
        (seconds, "0", 0),
        (seconds, "2.5", 2.5),
        (port, "0", 0),
        (port, "65535", 65535),
    ],
)
def test_valid_number_is_read(parse: Callable[[str], Any], text: str, value: float) -> None:
    assert parse(text) == value
