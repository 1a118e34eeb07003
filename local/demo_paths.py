"""How often the executions of a demo run went along each arrow of the state machine."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from training.parallel import run_parallel
from training.workflow_drawing import read_path, transition_counts

# Histories read at a time: as many connections as a client keeps.
THREADS = 8

Passages = Counter[tuple[str, str]]


def count_transitions(
    stepfunctions: Any, executions: Sequence[str], report: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """Read the histories of executions, by their ARNs, and count what came after what.

    Returns {"from", "to", "times"} of each transition that was taken, those of the first execution
    first, in its order. An execution that came to a state twice counts twice.
    """

    def count(arn: str) -> Passages:
        return transition_counts([read_path(stepfunctions, arn, data=False)])

    total: Passages = Counter()
    for passages in run_parallel(count, executions, threads=THREADS, report=report):
        total.update(passages)
    return [{"from": before, "to": after, "times": n} for (before, after), n in total.items()]
