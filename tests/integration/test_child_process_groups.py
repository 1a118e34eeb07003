"""How the process group of a job ends: the script below a shell gets its time to save."""

import os
import sys
from pathlib import Path

import pytest

from local.sagemaker.child_process import ChildProcesses, group_runs
from tests.integration.laptop_aws import wait_until

# What SageMaker's drivers are: a shell, below it a script that has something to do at SIGTERM.
SAVES = """
import pathlib, signal, sys, time
def save(*_):
    time.sleep(0.5)
    pathlib.Path("saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
pathlib.Path("ready").touch()
time.sleep(60)
"""
IGNORES = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("ready").touch()
time.sleep(60)
"""


@pytest.fixture
def started(tmp_path):
    """Start a script below a shell; return the children and the shell's process."""
    children = ChildProcesses(tmp_path / "children")

    def start(script):
        (tmp_path / "script.py").write_text(script)
        command = ["/bin/bash", "-c", f"{sys.executable} script.py; echo ended"]
        process = children.start(command, dict(os.environ), tmp_path, tmp_path / "log.txt")
        wait_until((tmp_path / "ready").exists)
        return children, process

    yield start
    children.stop_all()


def test_a_script_that_ignores_sigterm_is_killed_when_its_time_is_over(started, tmp_path):
    children, process = started(IGNORES)
    assert group_runs(process.pid)
    children.stop(process, 0.3)
    assert not group_runs(process.pid)
    assert not list(Path(tmp_path, "children").iterdir())


def test_a_script_below_a_shell_gets_the_time_to_save(started, tmp_path):
    children, process = started(SAVES)
    children.stop(process, 60)
    assert (tmp_path / "saved").exists()
    assert not group_runs(process.pid)


def test_an_end_without_notice_leaves_no_time(started, tmp_path):
    children, process = started(SAVES)
    children.forget(process)
    assert not group_runs(process.pid)
    assert not (tmp_path / "saved").exists()
    children.forget(process)  # the number may be another process's by now
    children.stop(process)


def test_the_end_of_all_is_told_once(started, tmp_path):
    """As training/container/picture_model/checkpoint.py has it, a second SIGTERM ends the script at once."""
    once = "    signal.signal(signal.SIGTERM, signal.SIG_DFL)\n    time.sleep"
    children, process = started(SAVES.replace("    time.sleep", once, 1))
    children.stop_all()
    assert (tmp_path / "saved").exists()
    assert not group_runs(process.pid)
