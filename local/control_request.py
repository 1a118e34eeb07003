"""Checks of the JSON that a client puts below `/_local/`."""

import math
from typing import Any


class ControlRequestError(Exception):
    """A setting is invalid; the message names the field and its valid values."""


def check_members(members: Any, known: Any, example: str) -> dict[str, Any]:
    """Return the members of a JSON object that has no unknown fields.

    Args:
        members: the parsed JSON.
        known: the names of the fields.
        example: a valid object, for the message.

    Raises:
        ControlRequestError: for anything but an object, and for an unknown field.
    """
    if not isinstance(members, dict):
        raise ControlRequestError(f"The body must be a JSON object such as {example}")
    unknown = sorted(set(members) - set(known))
    if unknown:
        raise ControlRequestError(f"Unknown field {unknown[0]!r}; the fields are {', '.join(known)}")
    return members


def number(members: dict[str, Any], name: str, default: float, maximum: float = math.inf) -> float:
    """Return a field's number, at least 0 and at most `maximum`.

    Raises:
        ControlRequestError: for any other value.
    """
    value = members.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= maximum:
        limits = "of at least 0" if maximum == math.inf else f"from 0 to {maximum:g}"
        raise ControlRequestError(f"{name} must be a number {limits}")
    return float(value)


def whole_number(members: dict[str, Any], name: str, default: int, minimum: int) -> int:
    """Return a field's whole number, at least `minimum`.

    Raises:
        ControlRequestError: for any other value.
    """
    value = members.get(name, default)
    if type(value) is not int or value < minimum:
        raise ControlRequestError(f"{name} must be a whole number of at least {minimum}")
    return value


def optional_whole_number(members: dict[str, Any], name: str, minimum: int) -> int | None:
    """Return a field's whole number as `whole_number` does, or None if it is missing or null."""
    return None if members.get(name) is None else whole_number(members, name, minimum, minimum)
