"""Progress: a line every 30 seconds in a log, a bar on a terminal."""

import io
import time

import pytest
from rich.console import Console

from common.progress import progress_bar, progress_line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((50, 200, 0.5, False), "50 of 200, 5 minutes left"),
        ((50, None, 0.5, False), "50"),
        ((50, 200, 0, False), "50 of 200"),
        ((50e6, 169e6, 70e3, True), "50.0 of 169.0 MB, 70 kB/s, 28 minutes left"),
        ((50e6, None, 70e3, True), "50.0 MB, 70 kB/s"),
    ],
)
def test_progress_line(arguments, text):
    assert progress_line(*arguments) == text


def test_log_gets_a_line_every_half_minute(monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    log = io.StringIO()
    with progress_bar(Console(file=log, width=100), "Pictures") as report:
        for done in range(10):
            report(done, 100)

    # Every report is 10 s after the one before, so a rate of 0.1 pictures a second.
    assert log.getvalue().splitlines() == [
        "Pictures: 2 of 100, 16 minutes left",
        "Pictures: 5 of 100, 16 minutes left",
        "Pictures: 8 of 100, 15 minutes left",
    ]


def test_first_report_that_comes_late_shows_no_speed(monkeypatch):
    clock = iter([0, 31, 62])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    log = io.StringIO()
    with progress_bar(Console(file=log, width=100), "Objects") as report:
        report(10, 100)
        report(20, 100)
    assert log.getvalue().splitlines() == [
        "Objects: 10 of 100",
        "Objects: 20 of 100, 4 minutes left",
    ]


def test_terminal_gets_a_bar():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with progress_bar(console, "Download", transfer=True) as report:
        report(0, 2_000_000)
        report(2_000_000, 2_000_000)

    assert "2.0/2.0 MB" in screen.getvalue()
