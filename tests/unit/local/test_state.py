"""The state folder: its mark, its lock, and the end of its server."""

import json
import subprocess
import sys

import pytest

from local import control
from local.__main__ import main
from local.control import LOCK_FILE, claim_state, prepare_state
from local.errors import NotRunningError, StateDirError

# Holds the lock like a server, releases it on SIGTERM, and keeps running, like a zombie.
HOLDER = """
import fcntl, signal, sys
lock = open(sys.argv[1], "ab")
fcntl.flock(lock, fcntl.LOCK_EX)
signal.signal(signal.SIGTERM, lambda *_: lock.close())
print("held", flush=True)
while True:
    signal.pause()
"""


def test_start_in_foreign_folder_fails_and_keeps_it(tmp_path, capsys):
    # GIVEN a folder with its own folder `tmp`, as / has
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "thesis.tex").touch()
    # WHEN it is used as state folder
    assert main(["start", "--state-dir", str(tmp_path)]) == 1
    # THEN the start fails, and nothing is deleted or added
    assert "is not empty and not a state folder" in capsys.readouterr().err
    assert main(["run", "--state-dir", str(tmp_path)]) == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp", "thesis.tex"]


@pytest.mark.parametrize("name", ["my files", "état", "a&b", "a'b", "$HOME", "a~b", "a,b"])
def test_claim_path_with_unsupported_character_fails(tmp_path, name):
    with pytest.raises(StateDirError, match="has a character that SageMaker's training scripts"):
        claim_state(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_claim_path_of_file_fails(tmp_path):
    (tmp_path / "state").touch()
    with pytest.raises(StateDirError, match=r"cannot be used \(File exists\); choose another"):
        claim_state(tmp_path / "state")


def test_claim_keeps_files_and_prepare_deletes_only_its_own(tmp_path):
    state = tmp_path / "a+b@c=d-e_f"
    claim_state(state)
    (state / "training-jobs" / "old").mkdir(parents=True)
    (state / "notes.txt").touch()
    claim_state(state)
    assert (state / "training-jobs" / "old").exists()
    prepare_state(state)
    assert sorted(path.name for path in state.iterdir()) == [LOCK_FILE, "notes.txt", "tmp"]


def test_stop_waits_for_the_lock_and_not_for_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "_KILLED_SECONDS", 0.0)
    monkeypatch.setattr(control, "_STOP_SECONDS", 120.0)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / LOCK_FILE)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            record = {"pid": holder.pid, "port": 4599, "state": str(tmp_path)}
            (tmp_path / "server.json").write_text(json.dumps(record))
            assert control.stop(tmp_path).pid == holder.pid
            assert holder.poll() is None, "SIGTERM was enough"
        finally:
            holder.kill()


def test_stop_after_killed_server_ignores_other_files(tmp_path):
    (tmp_path / "children").mkdir()
    (tmp_path / "children" / ".DS_Store").touch()
    record = {"pid": 1, "port": 4599, "state": str(tmp_path)}
    (tmp_path / "server.json").write_text(json.dumps(record))
    with pytest.raises(NotRunningError, match=r"^The laptop's AWS is not running\.$"):
        control.stop(tmp_path)
    assert not (tmp_path / "server.json").exists()
