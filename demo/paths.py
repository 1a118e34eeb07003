"""How often the executions of a demo run went along each arrow of the state machine."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from common.parallel import run_parallel
from operations.workflow_drawing import error_counts, read_path, transition_counts

# Histories read at a time: as many connections as a client keeps.
THREADS = 8

Passages = Counter[tuple[str, str]]


def count_transitions(
    stepfunctions: Any, executions: Sequence[str], report: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """Read the histories of executions, by their ARNs, and count what came after what.

    Returns {"from", "to", "times", "after_errors"} of each transition that was taken, those of the
    first execution first, in its order; the last is how many of the times were after an error that
    was caught. An execution that came to a state twice counts twice.
    """

    def count(arn: str) -> tuple[Passages, Passages]:
        path = [read_path(stepfunctions, arn, data=False)]
        return transition_counts(path), error_counts(path)

    total: Passages = Counter()
    after_errors: Passages = Counter()
    for passages, errors in run_parallel(count, executions, threads=THREADS, report=report):
        total.update(passages)
        after_errors.update(errors)
    return [
        {"from": way[0], "to": way[1], "times": times, "after_errors": after_errors[way]}
        for way, times in total.items()
    ]
