"""The monitoring benchmark writes captures and measures time and memory."""

import json
import os
import sys

import pytest

import operations.monitor
from benchmarks.monitor import (
    capture_lines,
    main,
    parse_arguments,
    run_measured,
    session_bytes,
    write_captures,
)
from benchmarks.runs import BenchmarkError
from common.waiting import make_console
from operations.monitoring.capture_line import read_line

MEGABYTE = 1_000_000


def test_capture_lines_are_captured_calls():
    calls = [read_line(line.encode(), None) for line in capture_lines(5, 32)]

    assert [call.time for call in calls] == sorted(call.time for call in calls)
    assert all(call.picture.startswith(b"\x89PNG") for call in calls)
    assert all(sum(call.probabilities.values()) == pytest.approx(1) for call in calls)


def test_captures_are_written_once(tmp_path):
    arguments = (parse_arguments(["--work", str(tmp_path)]), "hourly", 25, 10, make_console())

    folder = write_captures(*arguments)
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jsonl")}

    assert sorted(len(path.read_text().splitlines()) for path in files) == [5, 10, 10]
    assert write_captures(*arguments) == folder
    assert files == {path: path.stat().st_mtime_ns for path in folder.rglob("*.jsonl")}


def test_main_measures_every_layout(tmp_path, monkeypatch, capsys):
    def run_here(command):
        assert command[1:3] == ["-m", "operations.monitor"]
        assert operations.monitor.main(command[3:]) == 0
        return 1.0, MEGABYTE

    monkeypatch.setattr("benchmarks.monitor.run_measured", run_here)
    options = ["--lines", "30", "--single-lines", "7", "--runs", "1"]
    report = tmp_path / "monitor.json"

    assert main([*options, "--work", str(tmp_path), "--report", str(report)]) == 0

    figures = json.loads(report.read_text())
    counts = {name: (figures[name]["lines"], figures[name]["files"]) for name in ("hourly", "single")}
    assert counts == {"hourly": (30, 1), "single": (7, 7)}
    assert "single" in capsys.readouterr().out


def test_run_measured_counts_the_memory_of_children():
    child = "b = bytes(range(250)) * 400_000; import time; time.sleep(0.5)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"

    seconds, peak = run_measured([sys.executable, "-c", program])

    assert seconds >= 0.5
    assert 100 * MEGABYTE < peak < 300 * MEGABYTE
    assert session_bytes(os.getsid(0)) > 0


def test_run_measured_failure_has_the_output():
    with pytest.raises(BenchmarkError, match="ended with 3: no luck"):
        run_measured([sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"])
