"""Show how far a command has come: a bar on a terminal, now and then a line in a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

SECONDS_BETWEEN_LINES = 30

Report = Callable[[int, int | None], None]


@contextmanager
def progress_bar(console: Console, title: str, transfer: bool = False) -> Iterator[Report]:
    """Yield a function that takes what is done and the total, None where it is not known.

    Both count pieces, or bytes where `transfer` is set, which adds size, speed and time left.
    """
    if not console.is_terminal:
        yield _lines(console, title, transfer)
        return
    columns: list[ProgressColumn] = [TextColumn(title), BarColumn()]
    columns += [DownloadColumn(), TransferSpeedColumn()] if transfer else [MofNCompleteColumn()]
    # Averaged over minutes, since the speed of a slow host goes up and down.
    with Progress(*columns, TimeRemainingColumn(), console=console, speed_estimate_period=120) as bar:
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
            # The first report may come this late itself: there is no speed to tell yet.
            rate = (done - began[1]) / (now - began[0]) if now > began[0] else 0.0
            console.print(f"{title}: {progress_line(done, total, rate, transfer)}", markup=False)

    return report


def progress_line(done: int, total: int | None, rate: float, transfer: bool) -> str:
    """Put progress in words. `rate` is pieces, or bytes, per second."""
    scale, unit = (1e6, " MB") if transfer else (1, "")
    digits = 1 if transfer else 0
    words = f"{done / scale:.{digits}f}{unit}"
    if total is not None:
        words = f"{done / scale:.{digits}f} of {total / scale:.{digits}f}{unit}"
    if transfer:
        words += f", {rate / 1e3:.0f} kB/s"
    if total is not None and rate > 0:
        words += f", {(total - done) / rate / 60:.0f} minutes left"
    return words
