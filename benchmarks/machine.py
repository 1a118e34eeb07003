"""The machine that a benchmark ran on, for its report."""

import os
import platform


def usable_cores() -> int:
    """Return how many processor cores this process may use, as a container's share."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> str:
    """Name the processor and the number of usable cores."""
    return f"{platform.processor() or platform.machine()}, {usable_cores()} cores"
