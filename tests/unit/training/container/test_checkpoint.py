"""Checkpoints are atomic and used only by the same run; SIGTERM saves one."""

import argparse
import os
import signal
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from training.container.picture_model import checkpoint
from training.container.picture_model.checkpoint import (
    Checkpoint,
    TrainingInterruptedError,
    default_folder,
    fingerprint,
)

RUN = "a" * 64


def training_state():
    """The kinds of values in the state of a training: weights, an optimizer, random numbers, metrics."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    network(torch.randn(2, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    return {
        "network": network.state_dict(),
        "optimizers": [optimizer.state_dict()],
        "generator": torch.Generator().manual_seed(7).get_state(),
        "epochs": [{"epoch": 1, "train_loss": 0.25, "temperature": None}],
        "done": True,
    }


def damaged(data, how):
    if how == "cut":
        return data[: len(data) // 2]
    if how == "flipped":  # in the middle of the weights, where PyTorch notices nothing
        return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    return {"empty": b"", "text": b"not a checkpoint"}[how]


@pytest.mark.parametrize("how", ["empty", "text", "cut", "flipped"])
def test_load_of_damaged_file_prints_the_reason_and_returns_none(tmp_path, capsys, how):
    kept = Checkpoint(tmp_path, RUN)
    assert kept.save(training_state())
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(damaged(file.read_bytes(), how))
    assert kept.load() is None
    out = capsys.readouterr().out
    assert out.startswith(f"checkpoint: {file} cannot be used (")
    assert out.endswith("wrong checksum): starting anew\n")
    # The next save replaces it.
    kept.save({"step": 2})
    assert kept.load() == {"step": 2}


@pytest.mark.parametrize("content", [{"run": RUN}, {"run": 1, "state": {}}, [1, 2], {"run": RUN, "state": Path()}])
def test_load_of_another_file_prints_the_reason_and_returns_none(tmp_path, capsys, content):
    (tmp_path / "checkpoint.pt").write_bytes(checkpoint._pack(content))
    assert Checkpoint(tmp_path, RUN).load() is None
    assert "cannot be used (not a checkpoint" in capsys.readouterr().out


def test_load_of_executable_pickle_runs_no_code(tmp_path, capsys):
    class Touch:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "checkpoint.pt").write_bytes(checkpoint._pack({"run": RUN, "state": Touch()}))
    assert Checkpoint(tmp_path, RUN).load() is None
    assert not (tmp_path / "ran").exists()
    assert "UnpicklingError" in capsys.readouterr().out


def test_load_of_another_runs_checkpoint_returns_none(tmp_path, capsys):
    Checkpoint(tmp_path, "b" * 64).save({"step": 9})
    assert Checkpoint(tmp_path, RUN).load() is None
    assert "of a run with other arguments, pictures, scripts" in capsys.readouterr().out


def test_failed_save_keeps_the_last_checkpoint(tmp_path, capsys, monkeypatch):
    kept = Checkpoint(tmp_path, RUN, every_s=0)
    kept.step(lambda: {"step": 1})

    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
    kept._saving_s = 0
    kept.step(lambda: {"step": 2})
    assert "cannot be written (No space left on device)" in capsys.readouterr().out
    assert kept.load() == {"step": 1}


def test_failed_save_at_sigterm_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with Checkpoint(tmp_path / "file", RUN) as kept:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(TrainingInterruptedError, match="could not be written"):
            kept.step(lambda: {"step": 1})


def test_step_after_sigterm_saves_and_raises(tmp_path):
    with Checkpoint(tmp_path, RUN, every_s=3600) as kept:
        kept.step(lambda: {"step": 1})
        os.kill(os.getpid(), signal.SIGTERM)
        # A second one must not be waited with: the process may be past its last step.
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with pytest.raises(TrainingInterruptedError, match="what was learned is in the checkpoint"):
            kept.step(lambda: {"step": 2})
    assert Checkpoint(tmp_path, RUN).load() == {"step": 2}


def test_sigterm_handler_is_restored(tmp_path):
    calls = []
    former = signal.signal(signal.SIGTERM, lambda *_: calls.append("former"))
    try:
        with Checkpoint(None, RUN):  # nowhere to save: SIGTERM is left as it is
            os.kill(os.getpid(), signal.SIGTERM)
        with Checkpoint(tmp_path, RUN):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, former)
    assert calls == ["former", "former"]


def test_checkpoint_outside_the_main_thread_saves(tmp_path):
    def train():
        with Checkpoint(tmp_path, RUN, every_s=0) as kept:
            kept.step(lambda: {"step": 1})

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert Checkpoint(tmp_path, RUN).load() == {"step": 1}


def test_load_returns_the_saved_state(tmp_path, capsys):
    state = training_state()
    kept = Checkpoint(tmp_path / "made" / "here", RUN)
    assert kept.load() is None
    assert capsys.readouterr().out == ""
    kept.save(state)
    found = kept.load()
    assert found is not None
    assert f"going on from {tmp_path}/made/here/checkpoint.pt" in capsys.readouterr().out
    torch.testing.assert_close(found, state, rtol=0, atol=0)
    assert [file.name for file in (tmp_path / "made" / "here").iterdir()] == ["checkpoint.pt"]


def test_step_saves_at_the_interval(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    kept, asked = Checkpoint(tmp_path, RUN, every_s=10), []

    def state():
        asked.append(now)
        return {"step": len(asked)}

    for second in range(100, 135):
        now = float(second)
        kept.step(state)
    assert asked == [110.0, 120.0, 130.0]
    # WHEN a save has taken two seconds, THEN the next comes when they are 2 % of the time
    kept._saving_s = 2.0
    now = 229.0
    kept.step(state)
    assert len(asked) == 3
    now = 231.0
    kept.step(state)
    assert asked[3:] == [231.0]


def test_checkpoint_without_folder_does_nothing():
    kept = Checkpoint(None, RUN, every_s=0)
    kept.step(lambda: pytest.fail("nobody wants the state"))
    assert not kept.save({"step": 1})
    assert kept.load() is None
    kept.delete()


def test_partial_file_of_a_killed_process_is_ignored_and_deleted(tmp_path):
    kept = Checkpoint(tmp_path, RUN)
    (tmp_path / "checkpoint.pt.partial").write_bytes(b"half")
    assert kept.load() is None
    kept.save({"step": 1})
    (tmp_path / "checkpoint.pt.partial").write_bytes(b"half")
    kept.delete()
    kept.delete()
    assert list(tmp_path.iterdir()) == []


def test_fingerprint_depends_on_what_the_run_learns_from(monkeypatch):
    arguments = vars(argparse.Namespace(epochs=3, learning_rate=0.1, train=Path("a"), mode=None))
    own = fingerprint(arguments, "pictures", "cpu")
    assert own == fingerprint(dict(reversed(arguments.items())), "pictures", "cpu")
    assert own == fingerprint({**arguments, "train": Path("elsewhere")}, "pictures", "cpu")
    assert own == fingerprint({**arguments, "train": None, "checkpoint_every": 1.0}, "pictures", "cpu")
    assert own == fingerprint({**arguments, "max_error": 0.02, "preset": "fast"}, "pictures", "cpu")
    assert own != fingerprint(arguments, "pictures", "cuda")
    assert own != fingerprint({**arguments, "epochs": 4}, "pictures", "cpu")
    assert own != fingerprint(arguments, "other pictures", "cpu")
    monkeypatch.setattr(torch, "__version__", "0.1")
    assert own != fingerprint(arguments, "pictures", "cpu")


def test_fingerprint_depends_on_the_scripts(tmp_path, monkeypatch):
    (tmp_path / "train.py").write_text("print(1)\n")
    monkeypatch.setattr(checkpoint, "__file__", str(tmp_path / "checkpoint.py"))
    own = fingerprint({}, "pictures", "cpu")
    (tmp_path / "notes.txt").touch()
    assert fingerprint({}, "pictures", "cpu") == own
    (tmp_path / "train.py").write_text("print(2)\n")
    assert fingerprint({}, "pictures", "cpu") != own


def test_default_folder_is_that_of_sagemaker(tmp_path, monkeypatch):
    monkeypatch.delenv("SM_CHECKPOINT_DIR", raising=False)
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path / "model"))
    assert default_folder() is None  # a job without checkpoints
    (tmp_path / "checkpoints").mkdir()
    assert default_folder() == tmp_path / "checkpoints"
    monkeypatch.setenv("SM_CHECKPOINT_DIR", "/somewhere/else")
    assert default_folder() == Path("/somewhere/else")
