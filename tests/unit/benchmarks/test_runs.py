"""Timed trainings of the benchmarks, and the statistics over several."""

import argparse
import subprocess
from typing import Any
from unittest.mock import Mock

import pytest

from benchmarks import runs
from common.waiting import make_console


def test_ctrl_c_ends_the_training_too(tmp_path, monkeypatch):
    started: list[subprocess.Popen[str]] = []

    def popen(*arguments: Any, **options: Any) -> "subprocess.Popen[str]":
        started.append(subprocess_popen(*arguments, **options))
        return started[0]

    (tmp_path / "train.py").write_text("import time\nprint('   1/2 ', flush=True)\ntime.sleep(600)\n")
    subprocess_popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(runs, "SOURCE_DIR", tmp_path)
    monkeypatch.setattr(runs, "EPOCH_LINE", argparse.Namespace(match=Mock(side_effect=KeyboardInterrupt)))

    training = runs.TrainingRun("it", tmp_path, None, tmp_path / "model", tmp_path / "log")
    with pytest.raises(KeyboardInterrupt):
        runs.train(training, [], console=make_console())

    assert started[0].returncode not in (None, 0)


def test_spread_of_one_run_has_no_deviation():
    assert runs.spread([0.5]) == {"mean": 0.5, "deviation": 0.0, "least": 0.5, "most": 0.5}
