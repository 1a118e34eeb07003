"""End of a job's process group, with a script below a shell."""

import os
import sys
from pathlib import Path

import pytest

from local.sagemaker.child_process import ChildProcesses, group_runs
from tests.integration.laptop_aws import wait_until

# As with SageMaker's drivers: the script below a shell saves at SIGTERM.
SAVES = """
import pathlib, signal, sys, time
def save(*_):
    time.sleep(0.5)
    pathlib.Path("saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
pathlib.Path("ready").touch()
time.sleep(3600)
"""
IGNORES = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("ready").touch()
time.sleep(3600)
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


def test_stop_of_script_that_ignores_sigterm_kills_it(started, tmp_path):
    children, process = started(IGNORES)
    assert group_runs(process.pid)
    children.stop(process, 0.3)
    assert not group_runs(process.pid)
    assert not list(Path(tmp_path, "children").iterdir())


def test_forget_kills_without_notice(started, tmp_path):
    children, process = started(SAVES)
    children.forget(process)
    assert not group_runs(process.pid)
    assert not (tmp_path / "saved").exists()
    children.forget(process)  # no effect: the id may belong to another process now
    children.stop(process)


@pytest.mark.parametrize("stop_all", [False, True])
def test_stop_signals_the_script_once_and_gives_it_time_to_save(started, tmp_path, stop_all):
    """A second SIGTERM would end the script at once, as in picture_model/checkpoint.py."""
    once = "    signal.signal(signal.SIGTERM, signal.SIG_DFL)\n    time.sleep"
    children, process = started(SAVES.replace("    time.sleep", once, 1))
    if stop_all:
        children.stop_all(60)
    else:
        children.stop(process, 60)
    assert (tmp_path / "saved").exists()
    assert not group_runs(process.pid)
