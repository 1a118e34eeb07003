"""Wait for a resource on AWS, and show its status and the elapsed time."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from common.errors import ExpectedError

# The laptop's AWS finishes in seconds, a real one in minutes: poll often at first, later far below the rate at
# which SageMaker throttles Describe calls.
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 5.0
DELAY_GROWTH = 1.3


class WaitTimeoutError(ExpectedError):
    """A resource did not reach its final status in time."""


@dataclass(frozen=True)
class Status:
    """Result of one poll: the status as text, whether it is final, and lines to print."""

    text: str
    done: bool
    lines: Sequence[str] = ()


def make_console() -> Console:
    """Return a console for a command's output; a log gets lines of up to 120 characters."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def wait_until_done(
    poll: Callable[[], Status],
    title: str,
    *,
    timeout_s: float,
    console: Console,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Poll until the status is final; return the elapsed seconds.

    Prints a line for each change of status, and shows a clock on a terminal. Raises WaitTimeoutError.
    """
    start = time.monotonic()
    delay, shown = FIRST_DELAY_S, ""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(title, total=None)
        while True:
            status = poll()
            elapsed = time.monotonic() - start
            for line in status.lines:
                console.print(f"  {line}", markup=False)
            if status.text != shown:
                clock = f"{int(elapsed) // 60:2d}:{int(elapsed) % 60:02d}"
                console.print(f"{clock} {title}: {status.text}", markup=False)
                shown = status.text
            if status.done:
                return elapsed
            if elapsed > timeout_s:
                raise WaitTimeoutError(
                    f"{title} was still {status.text} after {elapsed:.0f} s. It may still be running, and cost money:"
                    " look at it in the SageMaker console, or remove it with `python -m training.cleanup`."
                )
            progress.update(task, description=f"{title}: {status.text}")
            sleep(delay)
            delay = min(delay * DELAY_GROWTH, LONGEST_DELAY_S)
