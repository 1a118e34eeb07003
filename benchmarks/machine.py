"""What a benchmark ran on, as its report says it."""

import os
import platform


def usable_cores() -> int:
    """Return how many processor cores this process may use: of a container's, its share."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> str:
    """Name the processor and the cores of it that this process may use."""
    return f"{platform.processor() or platform.machine()}, {usable_cores()} cores"
