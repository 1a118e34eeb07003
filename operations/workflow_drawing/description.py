"""The texts of a picture: its title, description, legend and list of steps."""

from datetime import UTC, datetime

from common.pages.formatting import duration
from operations.workflow_drawing.execution import RUNNING, ExecutionPath, Failure, Step
from operations.workflow_drawing.overlay import Overlay
from operations.workflow_drawing.states import END, Definition, Transition
from operations.workflow_drawing.text import printable, shorten

MAX_STEPS = 60  # in a list, the first half and the last of them
MAX_CAUSE = 600  # characters

LEGEND = "Dashed: after an error that no retry solved; hexagon: a choice; cut corners: ends in failure"
PATH_LEGEND = "; number: the step that an arrow led to; pale: not executed"
COUNTS_LEGEND = "; number: how often an arrow was executed, or how many executions ended in a state; pale: never"


def title(definition: Definition, overlay: Overlay) -> str:
    """Return the picture's title."""
    name = f"The state machine {definition.name}"
    if overlay.path is not None:
        return f"{name} with the path of the execution {overlay.path.name}"
    return name if overlay.counts is None else f"{name} with how often each transition was executed"


def legend(overlay: Overlay) -> str:
    """Explain lines, shapes and numbers."""
    if overlay.counts is None:
        return f"{LEGEND}."
    return f"{LEGEND}{COUNTS_LEGEND if overlay.path is None else PATH_LEGEND}."


def describe(definition: Definition, overlay: Overlay) -> str:
    """Describe in sentences what the picture shows."""
    sentences = [definition.comment] if definition.comment else []
    path = overlay.path
    if path is not None:
        status = "is running" if path.status == RUNNING else f"ended {path.status}"
        error = f" with {path.failure.error}" if path.failure else ""
        after = f" after {duration(path.seconds)}" if path.seconds is not None else ""
        steps = [step.state if step else f"{number:,} more" for number, step in listed_steps(path)]
        sentences += [f"The execution {path.name} {status}{error}{after}.", f"Its steps: {', '.join(steps)}."]
        return " ".join(sentences)
    sentences.append(f"It starts with {definition.machine.start_at}.")
    sentences += map(_sentence, definition.transitions)
    for pair, count in sorted((overlay.counts or {}).items()):
        errors = (overlay.after_errors or {}).get(pair)
        after_error = f", {errors:,} of them after an error" if errors else ""
        sentences.append(f"From {pair[0]} to {pair[1]}: {count:,} times{after_error}.")
    return " ".join(sentences)


def _sentence(transition: Transition) -> str:
    verb = "ends" if transition.target == END else f"leads to {transition.target}"
    condition = {"catch": f" after {transition.label}", "choice": f" if {transition.label}", "default": " otherwise"}
    return f"{transition.source} {verb}{condition.get(transition.kind, '')}."


def headline(path: ExecutionPath) -> str:
    """Return the status of an execution in one sentence."""
    after = "" if path.seconds is None else f" after {duration(path.seconds)}"
    error = f" with {error_text(path.failure, MAX_CAUSE)}" if path.failure else ""
    redriven = f", redriven {path.redriven} times" if path.redriven else ""
    started = f"{path.started.astimezone(UTC):%Y-%m-%d} {clock(path.started)} UTC"
    return printable(f"{path.status}{after}{error}; started {started}{redriven}.")


def error_text(failure: Failure, length: int) -> str:
    """Return error and cause on one line; `length` is that of the cause."""
    return printable(f"{failure.error}: {shorten(failure.cause or 'no cause was given', length)}")


def duration_text(step: Step) -> str:
    """Return how long a step took and how often it was attempted."""
    seconds = "running" if step.seconds is None else duration(step.seconds)
    return f"{seconds}, {step.attempts} attempts" if step.attempts > 1 else seconds


def listed_steps(path: ExecutionPath) -> list[tuple[int, Step | None]]:
    """Return (number, step) of the steps to list; of a long path the first and the last ones.

    (number of omitted steps, None) stands between them.
    """
    numbered: list[tuple[int, Step | None]] = list(enumerate(path.steps, start=1))
    if len(numbered) <= MAX_STEPS:
        return numbered
    half = MAX_STEPS // 2
    return [*numbered[:half], (len(numbered) - 2 * half, None), *numbered[-half:]]


def clock(moment: datetime) -> str:
    """Return the time of the day in UTC, to the millisecond."""
    return f"{moment.astimezone(UTC):%H:%M:%S.%f}"[:-3]
