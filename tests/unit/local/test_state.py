"""The folder for state: whose it is, and how long a server holds it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local import control
from local.__main__ import main
from local.errors import NotRunningError, StateDirError
from local.state_folder import LOCK_FILE, claim_state, prepare_state

# Holds the folder's lock like a server, lets go of it on SIGTERM, and stays: a zombie does too.
HOLDER = """
import fcntl, signal, sys
lock = open(sys.argv[1], "ab")
fcntl.flock(lock, fcntl.LOCK_EX)
signal.signal(signal.SIGTERM, lambda *_: lock.close())
print("held", flush=True)
while True:
    signal.pause()
"""


def test_a_folder_with_files_of_somebody_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # GIVEN a folder that has a folder `tmp` of its own, as / has
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "thesis.tex").touch()
    # WHEN it is given for the state
    assert main(["start", "--state-dir", str(tmp_path)]) == 1
    # THEN it is refused, and nothing is deleted or added
    assert "has files in it and is no folder for state" in capsys.readouterr().err
    assert main(["run", "--state-dir", str(tmp_path)]) == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp", "thesis.tex"]


@pytest.mark.parametrize("name", ["my files", "état", "a&b", "a'b", "$HOME", "a~b", "a,b"])
def test_a_path_that_the_training_scripts_cannot_take_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StateDirError, match="has a character that SageMaker's training scripts"):
        claim_state(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_file_in_its_place_is_an_error_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StateDirError, match=r"cannot be used \(File exists\); choose another"):
        claim_state(tmp_path / "state")
    assert main(["start", "--state-dir", str(tmp_path / "state")]) == 1
    assert "cannot be used (File exists)" in capsys.readouterr().err


def test_claiming_again_deletes_nothing_and_preparing_only_what_is_ours(tmp_path: Path) -> None:
    state = tmp_path / "a+b@c=d-e_f"
    claim_state(state)
    (state / "training-jobs" / "old").mkdir(parents=True)
    (state / "notes.txt").touch()
    claim_state(state)
    assert (state / "training-jobs" / "old").exists()
    prepare_state(state)
    assert sorted(path.name for path in state.iterdir()) == [LOCK_FILE, "notes.txt", "tmp"]


def test_stop_waits_for_the_lock_and_not_for_the_process_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_KILLED_SECONDS", 0.0)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / LOCK_FILE)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            note = {"pid": holder.pid, "port": 4599, "state": str(tmp_path)}
            (tmp_path / "server.json").write_text(json.dumps(note))
            assert control.stop(tmp_path).pid == holder.pid
            assert holder.poll() is None, "SIGTERM was enough"
        finally:
            holder.kill()


def test_stop_after_a_killed_server_passes_over_stray_files(tmp_path: Path) -> None:
    (tmp_path / "children").mkdir()
    (tmp_path / "children" / ".DS_Store").touch()
    note = {"pid": 1, "port": 4599, "state": str(tmp_path)}
    (tmp_path / "server.json").write_text(json.dumps(note))
    with pytest.raises(NotRunningError, match=r"^The laptop's AWS is not running\.$"):
        control.stop(tmp_path)
    assert not (tmp_path / "server.json").exists()
