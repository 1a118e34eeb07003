"""What a report says of the machine is what the benchmark had of it."""

import os

import pytest

from benchmarks import machine


def test_of_more_cores_only_those_count_that_may_be_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert machine.usable_cores() == 2
    assert machine.machine().endswith(", 2 cores")


@pytest.mark.parametrize(("count", "cores"), [(8, 8), (None, 1)])
def test_all_cores_count_where_the_system_reports_no_share(
    monkeypatch: pytest.MonkeyPatch, count: int | None, cores: int
):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert machine.usable_cores() == cores
