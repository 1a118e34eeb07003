"""Format numbers and times for pages."""

import math
from datetime import UTC, datetime

MISSING = "-"


def count(value: int | None) -> str:
    """Return a count with thousands separators, as in 12,345."""
    return MISSING if value is None else f"{value:,}"


def percent(share: float | None, decimals: int = 1) -> str:
    """Return a share in [0, 1] as a percentage."""
    return MISSING if share is None or math.isnan(share) else f"{share:.{decimals}%}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with this many significant digits, a large one as a whole number."""
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 10**digits - 0.5 else f"{value:.{digits}g}"


def duration(seconds: float | None) -> str:
    """Return a duration: 0.31 s, 12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    for unit, smaller, size, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole} s"


def moment(value: datetime | None) -> str:
    """Return a time, which must have a time zone, in UTC to the minute."""
    return MISSING if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
