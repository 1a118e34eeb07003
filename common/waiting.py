"""Wait for something on AWS, showing its status and the time that has passed."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from common.errors import ExpectedError

# A laptop's AWS answers in seconds, a real one in minutes: ask often at first, then seldom enough
# to stay far from the rate at which SageMaker throttles Describe calls.
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 5.0
DELAY_GROWTH = 1.3


class WaitTimeoutError(ExpectedError):
    """What was waited for did not happen in time. `seconds` is how long it was waited for."""

    def __init__(self, title: str, status: str, seconds: float) -> None:
        """Name what was waited for, and the status that it was left in."""
        self.seconds = seconds
        super().__init__(
            f"{title} was still {status} after {seconds:.0f} s. It may still be running, and cost"
            " money: look at it in the SageMaker console, or remove it with"
            " `python -m training.cleanup`."
        )


@dataclass(frozen=True)
class Status:
    """One look: what the thing is doing, whether it is over, and lines to print once."""

    text: str
    done: bool
    lines: Sequence[str] = ()


def make_console() -> Console:
    """Return a console for a command's output; a CI log gets lines that are not cut at 80."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def wait_until_done(
    look: Callable[[], Status],
    title: str,
    *,
    timeout_s: float,
    console: Console,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Call `look` until its status is done; return the seconds that took.

    Every change of status becomes a line; a terminal also gets a clock that runs.
    Raises WaitTimeoutError after `timeout_s` seconds.
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
            status = look()
            elapsed = time.monotonic() - start
            for line in status.lines:
                console.print(f"  {line}", markup=False)
            if status.text != shown:
                console.print(f"{_clock(elapsed)} {title}: {status.text}", markup=False)
                shown = status.text
            if status.done:
                return elapsed
            if elapsed > timeout_s:
                raise WaitTimeoutError(title, status.text, elapsed)
            progress.update(task, description=f"{title}: {status.text}")
            sleep(delay)
            delay = min(delay * DELAY_GROWTH, LONGEST_DELAY_S)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:2d}:{int(seconds) % 60:02d}"
