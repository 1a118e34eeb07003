"""What a picture shows, in words: for those who cannot see it, and for those who can."""

from common.pages.words import duration
from operations.workflow_drawing.execution import RUNNING, ExecutionPath
from operations.workflow_drawing.paint import Paint, Pair
from operations.workflow_drawing.states import END, Definition, Transition
from operations.workflow_drawing.step_list import shown_steps

LEGEND = (
    "Solid arrow: goes on",
    "dashed: after an error that no retry mended",
    "turning arrow: tried again after some errors",
    "six corners: a choice",
    "eight corners: ends in failure",
)
PATH_LEGEND = ("number: the step that an arrow led to", "pale: not taken")
COUNTS_LEGEND = (
    "number: how often an arrow was taken",
    "at a state's lower edge: how many ended there",
    "pale: never",
)


def title(definition: Definition, paint: Paint) -> str:
    """Say in a few words what the picture is."""
    words = f"The state machine {definition.name}"
    if paint.path is not None:
        return f"{words} with the path of the execution {paint.path.name}"
    return words if paint.counts is None else f"{words} with how often each way was taken"


def legend(paint: Paint) -> str:
    """Say what lines and shapes mean."""
    more: tuple[str, ...] = ()
    if paint.counts is not None:
        more = PATH_LEGEND if paint.path is not None else COUNTS_LEGEND
    return "; ".join([*LEGEND, *more]) + "."


def describe(definition: Definition, paint: Paint) -> str:
    """Say in sentences what the picture shows."""
    sentences = [definition.comment] if definition.comment else []
    if paint.path is not None:
        sentences += _path_sentences(paint.path)
    else:
        sentences.append(f"It starts with {definition.machine.start_at}.")
        sentences += map(_transition_sentence, definition.transitions)
        sentences += [
            f"From {pair[0]} to {pair[1]}: {count:,} times{_errors_among(paint, pair)}."
            for pair, count in sorted((paint.counts or {}).items())
        ]
    return " ".join(sentences)


def _errors_among(paint: Paint, pair: Pair) -> str:
    count = (paint.after_errors or {}).get(pair)
    return f", {count:,} of them after an error" if count else ""


def _path_sentences(path: ExecutionPath) -> list[str]:
    ended = "is running" if path.status == RUNNING else f"ended {path.status}"
    error = f" with {path.error}" if path.error else ""
    after = f" after {duration(path.seconds)}" if path.seconds is not None else ""
    steps = [step.state if step else f"{n:,} more" for n, step in shown_steps(path)]
    return [
        f"The execution {path.name} {ended}{error}{after}.",
        f"Its steps: {', '.join(steps)}.",
    ]


def _transition_sentence(transition: Transition) -> str:
    ends = transition.target == END
    verb = "ends" if ends else f"leads to {transition.target}"
    when = {
        "catch": f" after {transition.label}",
        "choice": f" if {transition.label}",
        "default": " otherwise",
    }
    return f"{transition.source} {verb}{when.get(transition.kind, '')}."
