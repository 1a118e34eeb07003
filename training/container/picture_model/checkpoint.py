"""Checkpoints: one file from which an interrupted training resumes.

SageMaker copies the folder to S3 while a job runs, and back before it restarts the job on another
spot instance. It may copy at any moment, so the file is replaced atomically.

Its notice of an interruption, SIGTERM two minutes ahead, goes to the container's first process. Under
the SageMaker SDK that is a shell, which does not forward it. Saving every few seconds is therefore
what counts; a SIGTERM that does arrive only makes the loss smaller.
"""

import hashlib
import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch

from .network import DAMAGE

CHECKPOINT_FILE = "checkpoint.pt"
PARTIAL_FILE = "checkpoint.pt.partial"  # a fixed name: the file of a killed process is overwritten

# Arguments of train.py that change no weight; the values of a preset are arguments themselves.
WITHOUT_EFFECT = {"max_error", "confidence_level", "preset"}

# Saving takes at most a fiftieth of the time, however slow the disk or large the network.
SECONDS_PER_SECOND_OF_SAVING = 50


class TrainingInterruptedError(Exception):
    """SIGTERM ended the training; see EXIT_STATUS."""


EXIT_STATUS = 128 + signal.SIGTERM  # 143, as a shell reports it


class DamagedCheckpointError(Exception):
    """The file is not a whole checkpoint."""


def default_folder() -> Path | None:
    """Return the folder in which checkpoints outlast this process, or None.

    SageMaker sets no variable for it: in jobs with checkpoints it creates /opt/ml/checkpoints, beside
    the model's folder. SM_CHECKPOINT_DIR overrides that.
    """
    if os.environ.get("SM_CHECKPOINT_DIR"):
        return Path(os.environ["SM_CHECKPOINT_DIR"])
    beside = Path(os.environ.get("SM_MODEL_DIR") or "/opt/ml/model").parent / "checkpoints"
    return beside if beside.is_dir() else None


def fingerprint(arguments: Mapping[str, object], data_digest: str, device: str) -> str:
    """Identify a run by what determines its weights; SHA-256, hex.

    That is arguments, pictures, scripts, PyTorch, and the type of device, such as "cpu", which has its
    own random numbers. Folders do not count: after a restart the same pictures may lie elsewhere. Nor
    do options that are not set, those of checkpoints, and those that matter only after training.
    """
    relevant = {
        name: value
        for name, value in arguments.items()
        if not (value is None or isinstance(value, Path) or name.startswith("checkpoint_"))
        and name not in WITHOUT_EFFECT
    }
    parts = [json.dumps(relevant, sort_keys=True, default=str), data_digest, device, torch.__version__]
    for script in sorted(Path(__file__).parent.glob("*.py")):
        parts += [script.name, hashlib.sha256(script.read_bytes()).hexdigest()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Checkpoint:
    """The checkpoint of one run in a folder; without a folder nothing is saved or loaded.

    As a context manager it handles SIGTERM: the next `step` saves and ends the training. A second
    SIGTERM ends the process at once.
    """

    def __init__(self, folder: Path | None, run: str, every_s: float = 10.0) -> None:
        """Keep the checkpoint of the run with this fingerprint, saved every `every_s` seconds."""
        self._folder = folder
        self._run = run
        self._every_s = every_s
        self._saved_at = time.monotonic()
        self._saving_s = 0.0
        self._terminated = False
        self._former: Any = None

    def __enter__(self) -> Self:
        """Handle SIGTERM if there is a folder; only the main thread may."""
        if self._folder and threading.current_thread() is threading.main_thread():
            self._former = signal.signal(signal.SIGTERM, self._note_sigterm)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous SIGTERM handler."""
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)

    def load(self) -> dict[str, Any] | None:
        """Return the last saved state of the same run, with tensors on the CPU.

        None, with a printed reason, if the checkpoint is damaged or of another run.
        """
        if not self._folder:
            return None
        file = self._folder / CHECKPOINT_FILE
        try:
            content = _unpack(file.read_bytes())
        except FileNotFoundError:
            return None
        except (DamagedCheckpointError, OSError) as error:
            print(f"checkpoint: {file} cannot be used ({error}): starting anew", flush=True)
            return None
        if content["run"] != self._run:
            print(
                f"checkpoint: {file} is of a run with other arguments, pictures, scripts or PyTorch: starting anew",
                flush=True,
            )
            return None
        print(f"checkpoint: going on from {file}", flush=True)
        state: dict[str, Any] = content["state"]
        return state

    def step(self, state: Callable[[], dict[str, Any]]) -> None:
        """Save what `state` returns if it is time; call it after each epoch.

        Raises:
            TrainingInterruptedError: SIGTERM came; the state has been saved.
        """
        if self._terminated:
            saved = self.save(state())
            raise TrainingInterruptedError(
                "SIGTERM: what was learned is in the checkpoint"
                if saved
                else "SIGTERM, and the checkpoint could not be written"
            )
        if self._folder:
            wait = max(self._every_s, SECONDS_PER_SECOND_OF_SAVING * self._saving_s)
            if time.monotonic() - self._saved_at >= wait:
                self.save(state())

    def save(self, state: dict[str, Any]) -> bool:
        """Write a state of tensors, numbers, text, lists and dicts atomically.

        A failure is printed and returned as False: the training can go on without a checkpoint.
        """
        if not self._folder:
            return False
        started = time.monotonic()
        partial = self._folder / PARTIAL_FILE
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(_pack({"run": self._run, "state": state}))
                file.flush()
                os.fsync(file.fileno())  # or after a crash the new name may have no content
            partial.replace(self._folder / CHECKPOINT_FILE)
        except OSError as error:
            print(f"checkpoint: {partial} cannot be written ({error.strerror})", flush=True)
            return False
        finally:
            self._saved_at = time.monotonic()
            self._saving_s = self._saved_at - started
        return True

    def delete(self) -> None:
        """Delete the checkpoint, once there is a model. SageMaker's copy in S3 stays."""
        if self._folder:
            for name in (CHECKPOINT_FILE, PARTIAL_FILE):
                (self._folder / name).unlink(missing_ok=True)

    def _note_sigterm(self, *_: object) -> None:
        self._terminated = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _pack(content: dict[str, Any]) -> bytes:
    """Serialise, with a checksum in front: PyTorch does not notice flipped bits in weights."""
    body = io.BytesIO()
    torch.save(content, body)
    return hashlib.sha256(body.getbuffer()).digest() + body.getbuffer()


def _unpack(data: bytes) -> dict[str, Any]:
    """Read what `_pack` returned; raise DamagedCheckpointError for anything else."""
    size = hashlib.sha256().digest_size
    checksum, body = data[:size], data[size:]
    if hashlib.sha256(body).digest() != checksum:
        raise DamagedCheckpointError(f"{len(data)} bytes with a wrong checksum")
    try:
        content: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        if not (isinstance(content["run"], str) and isinstance(content["state"], dict)):
            raise DamagedCheckpointError("not a checkpoint")
    except (*DAMAGE, OSError) as error:
        raise DamagedCheckpointError(f"not a checkpoint: {type(error).__name__}") from error
    return content
