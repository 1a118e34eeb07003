"""Processes of jobs and endpoints: start, and end with their whole process group."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

_TERM_SECONDS = 5.0  # between SIGTERM and SIGKILL
_KILL_SECONDS = 5.0  # until a killed script below a shell has ended; it is not our child
_POLL_SECONDS = 0.05


class StoppingError(Exception):
    """The laptop's AWS is stopping and starts nothing more."""


class ChildProcesses:
    """Starts processes and records them, in memory and as files.

    Each process leads a process group, so that its own children end with it. The files
    (`<folder>/<pid>`) let `python -m local stop` end the processes of a killed server.
    """

    def __init__(self, folder: Path) -> None:
        """Set the folder for the files; it need not exist yet."""
        self._folder = folder
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(
        self, command: list[str], environment: dict[str, str], folder: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a command in a folder and append its output to a log file.

        Raise OSError when the command cannot start, and StoppingError after `stop_all`.
        """
        with self._lock, log.open("ab") as output:
            if self._closed:
                raise StoppingError("the laptop's AWS is stopping")
            process = subprocess.Popen(  # noqa: S603  the job's own command, as on AWS
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
        self, process: subprocess.Popen[bytes], seconds: float = _TERM_SECONDS, *, signalled: bool = False
    ) -> None:
        """End a process and its group: SIGTERM, then SIGKILL after `seconds`.

        A process that was already `signalled` gets no second SIGTERM, which could end it while it saves.
        """
        with self._lock:
            if process.pid not in self._running:
                return  # already ended; its id may belong to another process now
        if not signalled:
            signal_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        # A shell ends at once; the script that it started may still be saving.
        wait_until(lambda: not group_runs(process.pid), deadline - time.monotonic())
        self.forget(process)

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """Kill the rest of a process's group and drop its record, unless that was done before."""
        with self._lock:
            if process.pid not in self._running:
                return
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: not group_runs(process.pid), _KILL_SECONDS)
        with self._lock:
            self._running.pop(process.pid, None)
            (self._folder / str(process.pid)).unlink(missing_ok=True)

    def stop_all(self, seconds: float = 2.0) -> None:
        """End every process at the same time, each within `seconds`, and start no more."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        for process in running:
            signal_group(process.pid, signal.SIGTERM)
        for process in running:
            self.stop(process, seconds, signalled=True)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition until it holds; return whether it did within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def group_runs(group: int) -> bool:
    """Return whether a process of a group is running; a zombie is not."""
    if not Path("/proc/self/stat").exists():  # macOS, where init collects zombies at once
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The fields after the name, which is in brackets and may contain any character.
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):  # it ended in the meantime
            continue
        if int(process_group) == group and state not in "ZX":
            return True
    return False


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group that may have ended already."""
    # macOS answers PermissionError for a group that has only zombies left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
