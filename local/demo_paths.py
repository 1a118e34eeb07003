"""How many executions of a demo run went along each arrow of the state machine."""

from collections.abc import Callable, Sequence
from typing import Any

from training.parallel import run_parallel
from training.workflow_drawing import read_path, transition_counts

# Histories read at a time: as many connections as a client keeps.
THREADS = 8


def count_transitions(
    stepfunctions: Any, executions: Sequence[str], report: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """Read the histories of executions, by their ARNs, and count what came after what.

    Returns {"from", "to", "executions"} of each transition that was taken, those of the first
    execution first, in its order.
    """
    paths = run_parallel(
        lambda arn: read_path(stepfunctions, arn), executions, threads=THREADS, report=report
    )
    return [
        {"from": before, "to": after, "executions": executions}
        for (before, after), executions in transition_counts(paths).items()
    ]
