"""Read prices and assumptions from the TOML files beside this module."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations.cost.errors import CostError

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Price:
    """Dollars for one unit, and where that was read."""

    usd: float
    unit: str
    what: str
    source: str
    copy: str


@dataclass(frozen=True)
class Assumption:
    """A number that the calculation takes for granted, and why."""

    value: float
    unit: str
    why: str


def read_prices(path: Path = FOLDER / "prices.toml") -> dict[str, Price]:
    """Return the prices by name. Raises CostError for an entry that lacks a field."""
    return {name: _entry(Price, path, name, value) for name, value in _tables(path).items()}


def read_assumptions(path: Path = FOLDER / "assumptions.toml") -> dict[str, Assumption]:
    """Return the assumptions by name. Raises CostError for an entry that lacks a field."""
    return {name: _entry(Assumption, path, name, value) for name, value in _tables(path).items()}


def read_on(path: Path = FOLDER / "prices.toml") -> str:
    """Return the day on which the copies of AWS's prices were read, as YYYY-MM-DD."""
    return str(tomllib.loads(path.read_text(encoding="utf-8"))["read_on"])


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: value for name, value in content.items() if isinstance(value, dict)}


def _entry(kind: Any, path: Path, name: str, value: dict[str, Any]) -> Any:
    try:
        return kind(**value)
    except TypeError as error:
        fields = ", ".join(kind.__dataclass_fields__)
        raise CostError(f"{path.name}: [{name}] needs exactly {fields}") from error
