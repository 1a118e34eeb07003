"""Processes that the laptop's AWS starts for jobs and endpoints, and how each of them ends."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

_TERM_SECONDS = 5.0  # what a process gets to end on SIGTERM before SIGKILL
_KILL_SECONDS = 5.0  # what SIGKILL may take with a script below a shell, which nobody waits for
_LOOK_SECONDS = 0.05


class StoppingError(Exception):
    """The laptop's AWS is stopping and starts nothing more."""


class ChildProcesses:
    """Starts processes and keeps note of them, in memory and as files.

    Each gets a process group of its own, so that its own children end with it. The files
    (`<folder>/<pid>`) let `python -m local stop` end what a killed server left behind.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder for the notes; it need not exist yet."""
        self._folder = folder
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(
        self, command: list[str], environment: dict[str, str], folder: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a command in a folder, with its output appended to a log file.

        Raises:
            OSError: for a command that cannot be started.
            StoppingError: after `stop_all`.
        """
        with self._lock, log.open("ab") as output:
            if self._closed:
                raise StoppingError("the laptop's AWS is stopping")
            process = subprocess.Popen(  # noqa: S603  the command is the job's own, as on AWS
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            self._running[process.pid] = process
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / str(process.pid)).touch()
        return process

    def stop(
        self,
        process: subprocess.Popen[bytes],
        seconds: float = _TERM_SECONDS,
        *,
        told: bool = False,
    ) -> None:
        """End a process and its group: SIGTERM, then SIGKILL once `seconds` have passed.

        One that was `told` already gets no second SIGTERM, which might end it while it saves.
        """
        with self._lock:
            if process.pid not in self._running:
                return  # ended before; its number may belong to another process by now
        if not told:
            signal_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        # A shell ends at once; the script that it started may be saving what it has.
        while group_runs(process.pid) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        self.forget(process)

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """End what is left of a process's group and drop the note of it, unless that was done."""
        with self._lock:
            if process.pid not in self._running:
                return
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + _KILL_SECONDS
        while group_runs(process.pid) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        with self._lock:
            self._running.pop(process.pid, None)
            (self._folder / str(process.pid)).unlink(missing_ok=True)

    def stop_all(self) -> None:
        """End every process, all at the same time, and start no more."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        for process in running:
            signal_group(process.pid, signal.SIGTERM)
        for process in running:
            self.stop(process, 2.0, told=True)


def group_runs(group: int) -> bool:
    """Tell whether a process of a group runs; one that has ended and was not yet seen does not."""
    if not Path("/proc/self/stat").exists():  # macOS, where init sees to the ended ones at once
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which is in brackets and may hold any character.
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):  # it ended while it was being looked at
            continue
        if int(its_group) == group and state not in "ZX":
            return True
    return False


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group that may have ended already."""
    # macOS answers PermissionError for a group that has only zombies left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
