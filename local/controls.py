"""The HTTP API below `/_local/`: health, and settings of fault injection, whose dataclasses declare valid values."""

import json
import math
import re
from dataclasses import MISSING, field, fields
from typing import Any, TypeVar

_SETTINGS = re.compile(r"/_local/(uploads|faults/[^/]+|interruptions/[^/]+)")
Setting = TypeVar("Setting")


class ControlRequestError(Exception):
    """A setting is invalid; the message names the field and its valid values."""


def number(default: Any = MISSING, *, maximum: float = math.inf, zero: bool = True) -> Any:
    """Return a dataclass field for a number from 0, or above 0 unless `zero` is valid, up to `maximum`."""

    def check(name: str, value: Any) -> float:
        if type(value) not in (int, float) or not 0 <= value <= maximum or (value == 0 and not zero):
            limits = ("at least 0" if zero else "above 0") + (f" and at most {maximum:g}" if maximum < math.inf else "")
            raise ControlRequestError(f"{name} must be a number, {limits}")
        return float(value)

    return field(default=default, metadata={"check": check})


def whole_number(default: Any, minimum: int) -> Any:
    """Return a dataclass field for a whole number of at least `minimum`."""

    def check(name: str, value: Any) -> int:
        if type(value) is not int or value < minimum:
            raise ControlRequestError(f"{name} must be a whole number of at least {minimum}")
        return value

    return field(default=default, metadata={"check": check})


def parse_setting(setting: type[Setting], example: str, members: Any) -> Setting:
    """Return the instance of a dataclass that a request's JSON describes.

    The `check` in a field's metadata gets the field's name and the value, and returns the value or raises. A field
    with the default None also accepts null. Raise ControlRequestError for anything but an object such as `example`, an
    unknown field, or an invalid value.
    """
    if not isinstance(members, dict):
        raise ControlRequestError(f"The body must be a JSON object such as {example}")
    known = {each.name: each for each in fields(setting)}  # type: ignore[arg-type]  # a dataclass
    unknown = sorted(set(members) - set(known))
    if unknown:
        raise ControlRequestError(f"Unknown field {unknown[0]!r}; the fields are {', '.join(known)}")
    values = {}
    for name, each in known.items():
        value = members.get(name, each.default)
        is_unset = value is None and each.default is None
        values[name] = None if is_unset else each.metadata["check"](name, value)
    return setting(**values)


class Controls:
    """Answers the requests of this API."""

    def __init__(self, health: dict[str, Any], **settings: Any) -> None:
        """Set up the answers: `health`, and for each path an object with `parse`, `put`, `get` and `clear`."""
        self._health = health
        self._settings = settings

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and the JSON object that answer one request."""
        if (method, path) == ("GET", "/_local/health"):
            return 200, self._health
        matched = _SETTINGS.fullmatch(path)
        if matched is None or method not in ("PUT", "GET", "DELETE"):
            return 404, {"error": f"No {method} {path}; see docs/laptop-aws.md"}
        kind, *name = matched.group(1).split("/")  # no name for `uploads`
        setting = self._settings[kind]
        try:
            if method == "PUT":
                setting.put(*name, setting.parse(json.loads(body)))
            elif method == "DELETE":
                setting.clear(*name)
        except ControlRequestError as error:
            return 400, {"error": str(error)}
        except ValueError as error:
            return 400, {"error": f"The body is not JSON: {error}"}
        return 200, setting.get(*name)
