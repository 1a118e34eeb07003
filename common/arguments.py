"""Options that commands share, and the types of numbers on a command line, which raise argparse's error."""

import argparse
import math
from collections.abc import Callable

from common.settings import default_bucket, project


def _number(meaning: str, accepts: Callable[[float], bool]) -> Callable[[str], float]:
    """Return the type of the numbers that `accepts` accepts; `meaning` completes "is not"."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan  # in no range
        if not accepts(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {meaning}")
        return value

    return read


def _integer(meaning: str, accepts: Callable[[int], bool]) -> Callable[[str], int]:
    """Return the type of the non-negative integers that `accepts` accepts; `meaning` completes "is not"."""

    def read(text: str) -> int:
        if not text.isdecimal() or not accepts(int(text)):
            raise argparse.ArgumentTypeError(f"{text!r} is not {meaning}")
        return int(text)

    return read


def at_least(least: int) -> Callable[[str], int]:
    """Return the type of the integers from `least` on, which is not negative."""
    return _integer(f"a whole number, at least {least}", lambda value: value >= least)


positive_number = _number("a number above 0", lambda value: 0 < value < math.inf)
share = _number("a number from 0 to 1", lambda value: 0 <= value <= 1)
inner_share = _number("a number between 0 and 1", lambda value: 0 < value < 1)
seconds = _number("a number of seconds, 0 or more", lambda value: 0 <= value < math.inf)
positive_integer = _integer("a whole number above 0", lambda value: value > 0)
port = _integer("a TCP port, 0 to 65535", lambda value: value <= 65535)  # 0: any free port


def add_endpoint_argument(parser: argparse.ArgumentParser) -> None:
    """Add --endpoint, whose default is the name in samconfig.toml."""
    name = project().endpoint_name
    text = f"name of the endpoint ({name}, from samconfig.toml)"
    parser.add_argument("--endpoint", metavar="NAME", default=name, help=text)


def add_bucket_argument(parser: argparse.ArgumentParser, effect: str = "") -> None:
    """Add --bucket; `effect` ends the help text."""
    text = f"training bucket ({default_bucket('ACCOUNT', 'REGION')}){effect}"
    parser.add_argument("--bucket", metavar="NAME", help=text)
