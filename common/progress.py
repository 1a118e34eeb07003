"""Show a command's progress: a bar on a terminal, a line every 30 seconds in a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress
from rich.console import Console

SECONDS_BETWEEN_LINES = 30

Report = Callable[[int, int | None], None]


@contextmanager
def progress_bar(console: Console, title: str, transfer: bool = False) -> Iterator[Report]:
    """Yield a function that takes the number done and the total, None if unknown.

    They count items, with `transfer` bytes: then size, speed and time left are shown.
    """
    if not console.is_terminal:
        yield _lines(console, title, transfer)
        return
    columns: list[progress.ProgressColumn] = [progress.TextColumn(title), progress.BarColumn()]
    columns += (
        [progress.DownloadColumn(), progress.TransferSpeedColumn()] if transfer else [progress.MofNCompleteColumn()]
    )
    # Averaged over minutes, since the speed of a slow host varies.
    with progress.Progress(*columns, progress.TimeRemainingColumn(), console=console, speed_estimate_period=120) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int | None) -> None:
            if bar.tasks[task].total != total:
                bar.reset(task, total=total, completed=done)
            bar.update(task, completed=done, total=total)

        yield report


def _lines(console: Console, title: str, transfer: bool) -> Report:
    began: tuple[float, int] | None = None
    last = time.monotonic()

    def report(done: int, total: int | None) -> None:
        nonlocal began, last
        now = time.monotonic()
        began = began or (now, done)
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            # If the first report comes this late, there is no speed yet.
            rate = (done - began[1]) / (now - began[0]) if now > began[0] else 0.0
            console.print(f"{title}: {progress_line(done, total, rate, transfer)}", markup=False)

    return report


def progress_line(done: int, total: int | None, rate: float, transfer: bool) -> str:
    """Return the progress as text. `rate` is in items, or bytes, per second."""
    scale, unit, digits = (1e6, " MB", 1) if transfer else (1, "", 0)
    text = f"{done / scale:.{digits}f}"
    if total is not None:
        text += f" of {total / scale:.{digits}f}"
    text += unit
    if transfer:
        text += f", {rate / 1e3:.0f} kB/s"
    if total is not None and rate > 0:
        text += f", {(total - done) / rate / 60:.0f} minutes left"
    return text
