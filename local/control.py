"""Start, find and stop the server process in the background, and its state folder."""

import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from local.address import check_port, endpoint_url
from local.errors import AlreadyRunningError, NotRunningError, PortInUseError, StateDirError
from local.sagemaker.child_process import signal_group, wait_until
from local.sagemaker.log import last_lines

# Marks a folder whose content may be deleted; the server holds a lock on it.
LOCK_FILE = "laptop-aws.lock"
# AWS's training drivers use paths below the state folder unquoted in a shell command.
_SAFE_PATH = re.compile(r"[A-Za-z0-9._/+@=-]+")
DEFAULT_STATE = Path(__file__).resolve().parent.parent / ".local"
_START_SECONDS = 120.0  # about two with a warm disk cache, several with a cold one, more on a busy machine
_STOP_SECONDS = 15.0  # the server's own clean-up: 5 for jobs and endpoints, 2 each for the rest
_KILLED_SECONDS = 2.0  # a PID 1 that does not collect its children keeps zombies forever


@dataclass(frozen=True)
class Running:
    """A running server: process id, port, state folder and session id."""

    pid: int
    port: int
    state: str
    session: int = 0

    @property
    def url(self) -> str:
        """Its URL."""
        return endpoint_url(self.port)


def find_running(state: Path) -> Running | None:
    """Return the server of a state folder, or None."""
    recorded = _read_record(state)
    return None if recorded is None or _is_free(state) else recorded


def start(port: int, state: Path, *, fresh: bool = False) -> tuple[Running, bool]:
    """Start the server in the background, wait until it answers, and return it, and whether this call started it.

    Args:
        port: TCP port on 127.0.0.1.
        state: folder for logs and files of jobs and endpoints.
        fresh: fail instead of returning a server that is already running.

    Raises:
        AlreadyRunningError: when `fresh` is set and a server is running, or a concurrent start won.
        PortInUseError: when another program uses the port, or this folder's server has another port.
        NotRunningError: when the server does not start.
        StateDirError: when the state folder cannot be used.
    """
    running = find_running(state)
    if running is not None and fresh:
        raise AlreadyRunningError(
            f"The laptop's AWS is already running at {running.url} (process {running.pid}), but a "
            f"fresh one is required. Stop it first, if it is not needed: {_command('stop', state)}"
        )
    if running is not None and running.port != port:
        raise PortInUseError(
            f"The laptop's AWS is already running on port {running.port}. Use it, or stop it first: "
            f"{_command('stop', state)}"
        )
    if running is not None:
        return running, False
    claim_state(state)
    other = _health(port)
    if other is not None:
        raise PortInUseError(
            f"Port {port} is in use by another laptop's AWS (process {other}, with another state folder). "
            f"Stop it with `kill {other}`, or choose another port: python -m local start --port 4567"
        )
    check_port(port)
    log = state / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  our own module and interpreter
            [sys.executable, "-m", "local", "run", "--port", str(port), "--state-dir", str(state)],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        ready = wait_until(lambda: process.poll() is not None or _health(port) == process.pid, _START_SECONDS)
        if not ready or process.poll() is not None:
            if process.poll() is not None and not _is_free(state):
                raise AlreadyRunningError(
                    f"A concurrent start of the laptop's AWS with the state folder {state} won. See it "
                    f"with `{_command('status', state)}`, or try again after it has stopped"
                )
            raise NotRunningError(
                f"The laptop's AWS did not start; {log} ends with:\n"
                + last_lines(log.read_text(errors="replace"), 2000)
            )
    except BaseException:  # also for Ctrl-C: the server is in another session and would stay
        if process.poll() is None:
            signal_group(process.pid, signal.SIGKILL)
            process.wait()
        raise
    return Running(process.pid, port, str(state), process.pid), True


@contextlib.contextmanager
def recorded(port: int, state: Path) -> Iterator[None]:
    """Hold the lock of a state folder and record this process as its server.

    The lock, not the process id, shows that a server is running: the id of a killed server may belong to another
    program now. Raise PortInUseError when the folder already has a server, and StateDirError when it cannot be used.
    """
    claim_state(state)
    with (state / LOCK_FILE).open("ab") as lock:
        if not _acquire(lock):
            raise PortInUseError(
                f"The laptop's AWS is already running with the state folder {state}. Stop it first: "
                f"{_command('stop', state)}"
            )
        _end_orphans(state)
        record = state / "server.json"
        running = Running(os.getpid(), port, str(state), os.getsid(0))
        record.write_text(json.dumps(asdict(running)))
        try:
            yield
        finally:
            record.unlink(missing_ok=True)


def stop(state: Path) -> Running:
    """Stop the server and every process that it started; raise NotRunningError when it is not running."""
    running = find_running(state)
    if running is None:
        _end_orphans(state)
        raise NotRunningError("The laptop's AWS is not running.")
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # it may have ended in the meantime
            os.kill(running.pid, number)
        if wait_until(lambda: _is_free(state), _STOP_SECONDS):
            break
    if running.session == running.pid:  # as `start` sets it; MiniStack's workers are in that session too
        signal_group(running.pid, signal.SIGKILL)
    wait_until(lambda: not _is_alive(running.pid), _KILLED_SECONDS)
    _end_orphans(state)
    return running


def claim_state(state: Path) -> None:
    """Create and mark the state folder; delete nothing in it.

    Raise StateDirError for a path that AWS's training drivers cannot use, and an unmarked folder with other files.
    """
    choose = "choose another folder: python -m local start --state-dir FOLDER"
    if not _SAFE_PATH.fullmatch(str(state)):
        raise StateDirError(
            f"The path {str(state)!r} has a character that SageMaker's training scripts do not support "
            f"(they support ASCII letters, digits and ._/+@=-); {choose}"
        )
    mark = state / LOCK_FILE
    try:
        state.mkdir(parents=True, exist_ok=True)
        if any(state.iterdir()) and not mark.exists():
            raise StateDirError(
                f"{state} is not empty and not a state folder of the laptop's AWS, which would delete "
                f"some of its files; empty it, or {choose}"
            )
        mark.touch()
    except OSError as error:
        raise StateDirError(f"{state} cannot be used ({error.strerror}); {choose}") from error


def prepare_state(state: Path) -> None:
    """Delete the files of the last run; the caller holds the lock of the state folder."""
    for name in ("training-jobs", "endpoints", "children", "tmp"):
        shutil.rmtree(state / name, ignore_errors=True)
    (state / "tmp").mkdir(parents=True)


def _command(name: str, state: Path) -> str:
    """Return a command line for the server of a state folder."""
    option = [] if state.resolve() == DEFAULT_STATE else ["--state-dir", str(state)]
    return shlex.join(["python", "-m", "local", name, *option])


def _end_orphans(state: Path) -> None:
    """End the processes that a killed server left running, and delete its record.

    Only a process in the server's session counts: the system may have given its id to another program.
    """
    server = _read_record(state)
    if server is None:
        return
    for file in (state / "children").glob("*"):
        if not file.name.isdecimal():
            continue
        pid = int(file.name)
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == server.session:
                signal_group(pid, signal.SIGKILL)
        file.unlink(missing_ok=True)
    (state / "server.json").unlink(missing_ok=True)


def _read_record(state: Path) -> Running | None:
    try:
        return Running(**json.loads((state / "server.json").read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def _is_free(state: Path) -> bool:
    """Return whether no server holds the lock of a state folder."""
    file = state / LOCK_FILE
    if not file.exists():
        return True
    with file.open("ab") as lock:
        return _acquire(lock)


def _acquire(lock: IO[bytes]) -> bool:
    """Acquire the lock until the file is closed; return whether it was free."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _health(port: int) -> int | None:
    """Return the process id of the laptop's AWS on a port, or None."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{endpoint_url(port)}/_local/health", timeout=2) as answer:
            return int(json.loads(answer.read())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # collects a server that this process started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
