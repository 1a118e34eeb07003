"""The machine that a benchmark ran on, for its report."""

import platform

from common.parallel import usable_cores


def machine() -> str:
    """Name the processor and the number of usable cores."""
    return f"{platform.processor() or platform.machine()}, {usable_cores()} cores"
