"""Divide the time that captures span into minutes, hours or days."""

from datetime import UTC, datetime
from typing import Literal

import numpy as np

from operations.monitoring.predictions import Floats, Integers

Length = Literal["minute", "hour", "day"]

SECONDS: dict[Length, int] = {"minute": 60, "hour": 3600, "day": 86400}
# A chart shows about this many periods clearly.
MOST_MINUTES = 90
MOST_HOURS = 72


def period_length(times: Floats) -> Length:
    """Return the length that suits the span of these times, in seconds since 1970."""
    span = float(times.max() - times.min()) if len(times) else 0.0
    if span < MOST_MINUTES * SECONDS["minute"]:
        return "minute"
    return "hour" if span < MOST_HOURS * SECONDS["hour"] else "day"


def period_starts(times: Floats, length: Length) -> Integers:
    """Return the start of each time's period, in UTC: seconds since 1970."""
    return np.floor_divide(times, SECONDS[length]).astype(np.int64) * SECONDS[length]


def moment(seconds: float) -> datetime:
    """Return seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(float(seconds), UTC)


def iso(seconds: float) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC, to the second."""
    return f"{moment(seconds):%Y-%m-%dT%H:%M:%SZ}"
