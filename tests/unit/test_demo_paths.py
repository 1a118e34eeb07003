"""Counting the arrows of a state machine, from the histories of executions."""

from collections import Counter
from itertools import pairwise

import pytest

from local import demo_paths
from local.demo_paths import count_transitions

PATHS = {"a1": ["Start", "One", "End"], "a2": ["Start", "One", "Two", "End"]}


@pytest.fixture
def histories(monkeypatch):
    monkeypatch.setattr(demo_paths, "read_path", lambda _, arn: PATHS[arn])
    monkeypatch.setattr(
        demo_paths,
        "transition_counts",
        lambda paths: Counter(step for path in paths for step in pairwise(path)),
    )


def test_every_execution_counts_on_each_arrow_that_it_went_along(histories):
    seen: list[tuple[int, int]] = []
    assert count_transitions(None, ["a1", "a2"], lambda *now: seen.append(now)) == [
        {"from": "Start", "to": "One", "executions": 2},
        {"from": "One", "to": "End", "executions": 1},
        {"from": "One", "to": "Two", "executions": 1},
        {"from": "Two", "to": "End", "executions": 1},
    ]
    assert seen[-1] == (2, 2)


def test_a_history_that_cannot_be_read_ends_the_count(histories):
    with pytest.raises(KeyError, match="gone"):
        count_transitions(None, ["a1", "gone"], lambda *_: None)
