"""Numbers on a command line: `type=` of argparse, which prints why one is refused."""

import argparse
import math


def positive_number(text: str) -> float:
    """Read a finite number above 0. Raises argparse's error."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def positive_integer(text: str) -> int:
    """Read a whole number above 0. Raises argparse's error."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def non_negative_integer(text: str) -> int:
    """Read a whole number, 0 or more. Raises argparse's error."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def port(text: str) -> int:
    """Read a TCP port, 0 to 65535; 0 stands for a free one. Raises argparse's error."""
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a TCP port, 0 to 65535")
    return number


def share(text: str) -> float:
    """Read a number from 0 to 1, both included. Raises argparse's error."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def inner_share(text: str) -> float:
    """Read a number between 0 and 1, neither of them included. Raises argparse's error."""
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value


def seconds(text: str) -> float:
    """Read a finite number of seconds, 0 or more. Raises argparse's error."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return value


def _number(text: str) -> float:
    """Return the number, NaN where it is none: NaN is in no range."""
    try:
        return float(text)
    except ValueError:
        return math.nan
