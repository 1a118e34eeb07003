"""Checkpoints: one file that lets an interrupted training go on where it was.

SageMaker copies the folder to S3 while a job runs, and back before it starts the job again on
another spot instance. It copies whatever it finds, so that the file has to be whole at any moment.

Its notice of an interruption, SIGTERM two minutes ahead, goes to the container's first process.
Under the SageMaker SDK that is a shell, which does not pass it on. Saving every few seconds is
therefore what counts; a SIGTERM that does arrive only makes the loss smaller still.
"""

import hashlib
import io
import json
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch

CHECKPOINT_FILE = "checkpoint.pt"
PARTIAL_FILE = "checkpoint.pt.partial"  # one name: what a killed process left is written over

# Arguments of train.py that change no weight; what a preset sets is among the others.
AFTERWARDS = {"max_error", "confidence_level", "preset"}

# Saving may take a fiftieth of the time at most, however slow the disk or large the network.
SECONDS_PER_SECOND_OF_SAVING = 50

# What reading a file that is damaged, or that something else wrote, was seen to raise.
_DAMAGE = (OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, pickle.UnpicklingError)


class TrainingInterruptedError(Exception):
    """SIGTERM came, and the training ended before its time; see EXIT_STATUS."""


EXIT_STATUS = 128 + signal.SIGTERM  # a shell's own for a program that ended on SIGTERM: 143


class DamagedCheckpointError(Exception):
    """A checkpoint's bytes are not those that were written."""


def default_folder() -> Path | None:
    """Give the folder in which checkpoints outlast this process, None where there is none.

    That is SM_CHECKPOINT_DIR where it is set. SageMaker sets no such variable: it makes
    /opt/ml/checkpoints, beside the model's folder, in jobs that ask for checkpoints.
    """
    if os.environ.get("SM_CHECKPOINT_DIR"):
        return Path(os.environ["SM_CHECKPOINT_DIR"])
    beside = Path(os.environ.get("SM_MODEL_DIR") or "/opt/ml/model").parent / "checkpoints"
    return beside if beside.is_dir() else None


def fingerprint(arguments: Mapping[str, object], data_digest: str, device: str) -> str:
    """Name a run by what its weights come from; SHA-256, hex.

    That is arguments, pictures, scripts, PyTorch, and the type of device, such as "cpu", whose
    random numbers are its own. Folders among the arguments do not count, for after a restart the
    same pictures may lie elsewhere; nor do those that are not given, those on how checkpoints are
    kept, and those that matter only once the weights are there.
    """
    told = {
        name: value
        for name, value in arguments.items()
        if not (value is None or isinstance(value, Path) or name.startswith("checkpoint_")) and name not in AFTERWARDS
    }
    about = (data_digest, device, torch.__version__)
    parts = [json.dumps(told, sort_keys=True, default=str), *about]
    for script in sorted(Path(__file__).parent.glob("*.py")):
        parts += [script.name, hashlib.sha256(script.read_bytes()).hexdigest()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Checkpoint:
    """The checkpoint of one run, in a folder; without a folder nothing is saved or found.

    Within `with`, a SIGTERM ends the training at its next `step`, with all that was learned saved.
    A second one ends the process at once.
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
        """Wait for SIGTERM, where there is a folder to save to."""
        if self._folder and threading.current_thread() is threading.main_thread():
            self._former = signal.signal(signal.SIGTERM, self._note_sigterm)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do with SIGTERM what was done before."""
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)

    def load(self) -> dict[str, Any] | None:
        """Give the state that was saved last by a run like this one, with tensors on the CPU.

        None, and a printed sentence, for one that is damaged or another run's.
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
        """Save what `state` gives when it is time to; call it after each step of the training.

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
        """Write a state of tensors, numbers, text, lists and dicts, whole or not at all.

        A checkpoint is a help: where it cannot be written, the sentence is printed, the answer is
        False, and the training can go on.
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
                os.fsync(file.fileno())  # or the new name may outlast a crash, and not the bytes
            partial.replace(self._folder / CHECKPOINT_FILE)
        except OSError as error:
            print(f"checkpoint: {partial} cannot be written ({error.strerror})", flush=True)
            return False
        finally:
            self._saved_at = time.monotonic()
            self._saving_s = self._saved_at - started
        return True

    def delete(self) -> None:
        """Delete it, once there is a model. The copy in S3, which SageMaker made, stays."""
        if self._folder:
            for name in (CHECKPOINT_FILE, PARTIAL_FILE):
                (self._folder / name).unlink(missing_ok=True)

    def _note_sigterm(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  signal's
        self._terminated = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _pack(content: dict[str, Any]) -> bytes:
    """Put a checksum before the bytes: PyTorch reads weights with flipped bits without a word."""
    body = io.BytesIO()
    torch.save(content, body)
    return hashlib.sha256(body.getbuffer()).digest() + body.getbuffer()


def _unpack(data: bytes) -> dict[str, Any]:
    """Read what `_pack` made. Raises DamagedCheckpointError for anything else."""
    size = hashlib.sha256().digest_size
    checksum, body = data[:size], data[size:]
    if hashlib.sha256(body).digest() != checksum:
        raise DamagedCheckpointError(f"{len(data)} bytes with a wrong checksum")
    try:
        content: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        if not (isinstance(content["run"], str) and isinstance(content["state"], dict)):
            raise DamagedCheckpointError("not a checkpoint")
    except _DAMAGE as error:
        raise DamagedCheckpointError(f"not a checkpoint: {type(error).__name__}") from error
    return content
