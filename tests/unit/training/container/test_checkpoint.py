"""A checkpoint is whole or absent, of this very run or not used; SIGTERM saves before the end."""

import argparse
import os
import signal
import threading
import time
from pathlib import Path

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


def whole_state():
    """What a training has to keep: weights, two optimizers, a schedule, random numbers, figures."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    network(torch.randn(2, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    schedule.step()
    generator = torch.Generator().manual_seed(7)
    generator_state = generator.get_state()
    return {
        "network": network.state_dict(),
        "optimizers": [optimizer.state_dict()],
        "schedules": [schedule.state_dict()],
        "generator": generator_state,
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
    assert kept.save(whole_state())
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(damaged(file.read_bytes(), how))
    assert kept.load() is None
    out = capsys.readouterr().out
    assert out.startswith(f"checkpoint: {file} cannot be used (")
    assert out.endswith("wrong checksum): starting anew\n")
    # AND the next save puts it right
    kept.save({"step": 2})
    assert kept.load() == {"step": 2}


@pytest.mark.parametrize("content", [{"run": RUN}, {"run": 1, "state": {}}, [1, 2], {"run": RUN, "state": Path()}])
def test_load_of_another_file_prints_the_reason_and_returns_none(tmp_path, capsys, content):
    (tmp_path / "checkpoint.pt").write_bytes(checkpoint._pack(content))
    assert Checkpoint(tmp_path, RUN).load() is None
    assert "cannot be used (not a checkpoint" in capsys.readouterr().out


def test_a_file_that_would_run_code_runs_none(tmp_path, capsys):
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


def test_a_save_that_fails_keeps_the_last_one_and_lets_the_training_go_on(tmp_path, capsys, monkeypatch):
    kept = Checkpoint(tmp_path, RUN, every_s=0)
    kept.step(lambda: {"step": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
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


def test_sigterm_saves_at_the_next_step_and_ends_the_training(tmp_path):
    with Checkpoint(tmp_path, RUN, every_s=3600) as kept:
        kept.step(lambda: {"step": 1})
        os.kill(os.getpid(), signal.SIGTERM)
        # A second one must not be waited with: the process may be past its last step.
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with pytest.raises(TrainingInterruptedError, match="what was learned is in the checkpoint"):
            kept.step(lambda: {"step": 2})
    assert Checkpoint(tmp_path, RUN).load() == {"step": 2}


def test_sigterm_does_what_it_did_before_and_after(tmp_path):
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


def test_a_thread_that_may_not_ask_for_signals_still_saves(tmp_path):
    def train():
        with Checkpoint(tmp_path, RUN, every_s=0) as kept:
            kept.step(lambda: {"step": 1})

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert Checkpoint(tmp_path, RUN).load() == {"step": 1}


def test_all_that_a_training_keeps_comes_back_as_it_was(tmp_path, capsys):
    state = whole_state()
    kept = Checkpoint(tmp_path / "made" / "here", RUN)
    assert kept.load() is None
    assert capsys.readouterr().out == ""  # a first start is nothing to speak of
    kept.save(state)
    found = kept.load()
    assert found is not None
    assert f"going on from {tmp_path}/made/here/checkpoint.pt" in capsys.readouterr().out
    for name, tensor in state["network"].items():
        assert torch.equal(found["network"][name], tensor)
    torch.testing.assert_close(found["optimizers"], state["optimizers"], rtol=0, atol=0)
    assert found["schedules"] == state["schedules"]
    assert (found["epochs"], found["done"]) == (state["epochs"], True)
    first, second = torch.Generator(), torch.Generator()
    first.set_state(state["generator"])
    second.set_state(found["generator"])
    assert torch.equal(torch.randn(9, generator=first), torch.randn(9, generator=second))
    assert [file.name for file in (tmp_path / "made" / "here").iterdir()] == ["checkpoint.pt"]


def test_it_is_saved_every_so_many_seconds_and_no_oftener(tmp_path, monkeypatch):
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


def test_without_a_folder_nothing_is_saved_or_asked_for():
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


def test_a_changed_script_makes_another_run(tmp_path, monkeypatch):
    (tmp_path / "train.py").write_text("print(1)\n")
    monkeypatch.setattr(checkpoint, "__file__", str(tmp_path / "checkpoint.py"))
    own = fingerprint({}, "pictures", "cpu")
    (tmp_path / "notes.txt").touch()
    assert fingerprint({}, "pictures", "cpu") == own
    (tmp_path / "train.py").write_text("print(2)\n")
    assert fingerprint({}, "pictures", "cpu") != own


def test_the_folder_is_the_one_that_sagemaker_keeps(tmp_path, monkeypatch):
    monkeypatch.delenv("SM_CHECKPOINT_DIR", raising=False)
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path / "model"))
    assert default_folder() is None  # a job without checkpoints
    (tmp_path / "checkpoints").mkdir()
    assert default_folder() == tmp_path / "checkpoints"
    monkeypatch.setenv("SM_CHECKPOINT_DIR", "/somewhere/else")
    assert default_folder() == Path("/somewhere/else")
