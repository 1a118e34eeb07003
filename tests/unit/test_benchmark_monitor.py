"""The monitoring benchmark measures what it says."""

import os
import sys

import pytest

from benchmarks.monitor import (
    MonitorFailedError,
    capture_lines,
    parse_arguments,
    run_measured,
    session_bytes,
    write_captures,
)
from training.monitoring.capture_line import read_line
from training.waiting import make_console

MEGABYTE = 1_000_000


def test_its_lines_are_captured_calls():
    calls = [read_line(line.encode(), None) for line in capture_lines(5, 32)]

    assert [call.time for call in calls] == sorted(call.time for call in calls)
    assert all(call.picture.startswith(b"\x89PNG") for call in calls)
    assert all(sum(call.probabilities.values()) == pytest.approx(1) for call in calls)


def test_captures_are_written_once(tmp_path):
    arguments = parse_arguments(["--lines", "25", "--work", str(tmp_path)])

    folder = write_captures(arguments, "hourly", 10, make_console())
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jsonl")}

    assert sorted(len(path.read_text().splitlines()) for path in files) == [5, 10, 10]
    assert write_captures(arguments, "hourly", 10, make_console()) == folder
    assert files == {path: path.stat().st_mtime_ns for path in folder.rglob("*.jsonl")}


def test_the_memory_of_a_process_and_its_child_is_seen():
    child = "b = bytes(range(250)) * 400_000; import time; time.sleep(0.5)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"

    seconds, peak = run_measured([sys.executable, "-c", program])

    assert seconds >= 0.5
    assert 100 * MEGABYTE < peak < 300 * MEGABYTE
    assert session_bytes(os.getsid(0)) > 0


def test_a_monitor_that_fails_is_told():
    with pytest.raises(MonitorFailedError, match="ended with 3: no luck"):
        run_measured([sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"])
