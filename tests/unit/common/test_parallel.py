"""Parallel tasks: the first error ends them, and results keep the items' order."""

import os
from threading import Barrier, Event
from unittest.mock import Mock

import pytest

from benchmarks.runs import machine
from common.parallel import run_parallel, usable_cores


def unreported(*_):
    pass


def test_first_error_cancels_waiting_tasks_and_stops_running_ones():
    begun, stop = [], Event()

    def work(item):
        begun.append(item)
        if item == 0:
            raise ValueError("the first")
        assert stop.wait(10)  # runs when the other fails

    with pytest.raises(ValueError, match="the first"):
        run_parallel(work, range(100), threads=2, report=unreported, stop=stop)
    assert stop.is_set()
    assert len(begun) < 5


def test_ctrl_c_stops_running_tasks():
    stop, interrupt = Event(), Mock(side_effect=KeyboardInterrupt)

    def work(item):
        assert item == 0 or stop.wait(10)

    with pytest.raises(KeyboardInterrupt):
        run_parallel(work, range(50), threads=2, report=interrupt, stop=stop)
    assert stop.is_set()


def test_ctrl_c_during_submission_cancels_waiting_tasks():
    begun, stop = [], Event()

    def items():
        yield from range(50)
        raise KeyboardInterrupt

    def work(item):
        begun.append(item)
        assert stop.wait(60)

    with pytest.raises(KeyboardInterrupt):
        run_parallel(work, items(), threads=2, report=unreported, stop=stop)
    assert stop.is_set()
    assert len(begun) <= 2


def test_results_keep_the_order_of_the_items():
    together, second_done, reports = Barrier(2, timeout=10), Event(), []

    def work(item):
        together.wait()  # breaks unless both run at the same time
        if item == "a":
            assert second_done.wait(10)
        else:
            second_done.set()
        return item.upper()

    found = run_parallel(work, "ab", threads=2, report=lambda *seen: reports.append(seen))
    assert found == ["A", "B"]
    assert reports == [(1, 2), (2, 2)]


def test_no_items_return_no_results():
    assert run_parallel(str, [], threads=2, report=unreported) == []


def test_usable_cores_are_those_of_the_processes_affinity(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert usable_cores() == 2
    assert machine().endswith(", 2 cores")


@pytest.mark.parametrize(("count", "cores"), [(8, 8), (None, 1)])
def test_usable_cores_without_an_affinity_are_all(monkeypatch, count, cores):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert usable_cores() == cores
