"""The steps of an execution as lines of text, to stand below its picture."""

from datetime import UTC, datetime

from common.pages.words import duration
from operations.workflow_drawing.execution import RUNNING, ExecutionPath, Step
from operations.workflow_drawing.text import clip, printable, shorten, text_width, wrap, xml

MARGIN = 12
LINE = 17  # pixels
SIZE = 12
TIME_AT, STATE_AT, RIGHT = 44, 128, 90  # pixels from the left, and from the right
MOST_STEPS = 60  # in the list, the first half and the last of them
SHOWN = 600  # characters of an input


def step_list(path: ExecutionPath, width: float) -> tuple[str, float]:
    """Return the list as SVG, and its height in pixels."""
    lines: list[str] = []

    def line(*texts: tuple[float, str, str]) -> None:
        y = LINE * (len(lines) + 1)
        lines.append(
            "".join(f'<text class="{style}" x="{x:g}" y="{y:g}">{xml(text)}</text>' for x, text, style in texts)
        )

    room = width - 2 * MARGIN
    line((MARGIN, f"Execution {path.name}", "wf-name"))
    for text in wrap(headline(path), room, SIZE):
        line((MARGIN, text, "wf-ink"))
    line()
    for number, step in shown_steps(path):
        if step is None:
            line((TIME_AT, f"{number:,} more steps", "wf-quiet"))
            continue
        seconds = "still in it" if step.seconds is None else duration(step.seconds)
        if step.attempts > 1:
            seconds += f", {step.attempts} attempts"
        name = clip(step.state, width - STATE_AT - RIGHT - 90, SIZE, bold=True)
        line(
            (MARGIN, str(number), "wf-number"),
            (TIME_AT, clock(step.entered), "wf-quiet"),
            (STATE_AT, name, "wf-number"),
            (
                max(width - RIGHT - 90, STATE_AT + text_width(name, SIZE, True) + 12),
                seconds,
                "wf-ink",
            ),
        )
        if step.input is not None:
            given = clip("input " + shorten(step.input, SHOWN), width - STATE_AT - MARGIN, SIZE)
            line((STATE_AT, given, "wf-quiet"))
        if step.error:
            told = f"{step.error}: {shorten(step.cause or 'no cause was given', SHOWN)}"
            for text in wrap(told, width - STATE_AT - MARGIN, SIZE, bold=True):
                line((STATE_AT, text, "wf-error"))
    return "".join(lines), LINE * len(lines) + 2 * MARGIN


def headline(path: ExecutionPath) -> str:
    """Say in a sentence how an execution went."""
    took = "" if path.seconds is None else f" after {duration(path.seconds)}"
    status = "RUNNING, still" if path.status == RUNNING else path.status
    error = f" with {path.error}: {shorten(path.cause or 'no cause was given', SHOWN)}"
    again = f", redriven {path.redriven} times" if path.redriven else ""
    started = f"{path.started.astimezone(UTC):%Y-%m-%d} {clock(path.started)} UTC"
    return printable(f"{status}{took}{error if path.error else ''}; started {started}{again}.")


def shown_steps(path: ExecutionPath) -> list[tuple[int, Step | None]]:
    """Return (number, step) of the steps to list; of a long path the first and the last ones.

    In between stands (how many are left out, None).
    """
    numbered: list[tuple[int, Step | None]] = list(enumerate(path.steps, start=1))
    if len(numbered) <= MOST_STEPS:
        return numbered
    half = MOST_STEPS // 2
    return [*numbered[:half], (len(numbered) - 2 * half, None), *numbered[-half:]]


def clock(moment: datetime) -> str:
    """Write a time of the day in UTC, to the millisecond."""
    return f"{moment.astimezone(UTC):%H:%M:%S.%f}"[:-3]
