"""The usable cores of a machine."""

import os

import pytest

from benchmarks import machine


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert machine.usable_cores() == 2
    assert machine.machine().endswith(", 2 cores")


@pytest.mark.parametrize(("count", "cores"), [(8, 8), (None, 1)])
def test_cores_without_an_affinity_are_all(monkeypatch, count, cores):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert machine.usable_cores() == cores
