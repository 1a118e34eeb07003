"""Start, stop and look after the server process in the background."""

import contextlib
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from local.address import check_port, endpoint_url
from local.errors import AlreadyRunningError, NotRunningError, PortInUseError
from local.sagemaker.child_process import signal_group
from local.sagemaker.log_stream import last_lines
from local.state_folder import LOCK_FILE, claim_state

DEFAULT_STATE = Path(__file__).resolve().parent.parent / ".local"
_START_SECONDS = 60.0  # a cold disk cache takes several seconds; a warm one about two
_STOP_SECONDS = 15.0  # the server's own clean-up: 5 for jobs and endpoints, 2 each for the rest
_KILLED_SECONDS = 2.0  # a PID 1 that does not collect its children keeps them listed for ever


@dataclass(frozen=True)
class Running:
    """A running server: its process id, port, folder for state, and the session it runs in."""

    pid: int
    port: int
    state: str
    session: int = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return endpoint_url(self.port)


def find_running(state: Path) -> Running | None:
    """Return the server that uses a folder for state, or None when there is none."""
    noted = _noted(state)
    return None if noted is None or _is_free(state) else noted


def start(port: int, state: Path, *, fresh: bool = False) -> tuple[Running, bool]:
    """Start the server in the background and wait until it answers.

    Args:
        port: TCP port on 127.0.0.1.
        state: folder for logs and files of jobs and endpoints.
        fresh: whether only a server that this call starts will do.

    Returns:
        The server, and whether this call started it: False when it ran already.

    Raises:
        AlreadyRunningError: when it has to be fresh and runs already, or somebody else's start
            was quicker than this one.
        PortInUseError: when another program has the port, or this folder's server has another one.
        NotRunningError: when the server does not come up.
        StateDirError: when the folder for state cannot be used.
    """
    running = find_running(state)
    if running is not None:
        if fresh:
            raise AlreadyRunningError(
                f"The laptop's AWS runs already, at {running.url} (process {running.pid}), and a "
                f"fresh one is wanted. End it first, if nobody needs it: {_command('stop', state)}"
            )
        if running.port != port:
            raise PortInUseError(
                f"The laptop's AWS runs already, on port {running.port}. Use that one, or end it "
                f"first: {_command('stop', state)}"
            )
        return running, False
    claim_state(state)
    _refuse_other_server(port)
    check_port(port)
    log = state / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  our own module under our own interpreter
            [sys.executable, "-m", "local", "run", "--port", str(port), "--state-dir", str(state)],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        ready = _wait(lambda: process.poll() is not None or _health(port) == process.pid, _START_SECONDS)
        if not ready or process.poll() is not None:
            if process.poll() is not None and not _is_free(state):
                raise AlreadyRunningError(
                    f"Another start of the laptop's AWS, with its state in {state}, was quicker "
                    f"than this one. See it with `{_command('status', state)}`, or start "
                    "this one again when that one has ended"
                )
            raise NotRunningError(
                f"The laptop's AWS did not start; {log} ends with:\n"
                + last_lines(log.read_text(errors="replace"), 2000)
            )
    except BaseException:  # Ctrl-C too: the server has a session of its own and would stay
        if process.poll() is None:
            signal_group(process.pid, signal.SIGKILL)
            process.wait()
        raise
    return Running(process.pid, port, str(state), process.pid), True


@contextlib.contextmanager
def recorded(port: int, state: Path) -> Iterator[None]:
    """Be the server of a folder for state: nobody else can be, until this is left.

    The lock, and not the process id, says whether the server runs: the number of one that was
    killed may belong to another program by now.

    Raises:
        PortInUseError: when the folder has a server already.
        StateDirError: when the folder cannot be used.
    """
    claim_state(state)
    with _lock_file(state) as lock:
        if not _take(lock):
            raise PortInUseError(
                f"The laptop's AWS runs already, with its state in {state}. End it first: {_command('stop', state)}"
            )
        _end_left_behind(state)
        note = state / "server.json"
        running = Running(os.getpid(), port, str(state), os.getsid(0))
        note.write_text(json.dumps(asdict(running)))
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def stop(state: Path) -> Running:
    """End the server and every process that it started.

    Raises:
        NotRunningError: when it is not running.
    """
    running = find_running(state)
    if running is None:
        _end_left_behind(state)
        raise NotRunningError("The laptop's AWS is not running.")
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself by now
            os.kill(running.pid, number)
        if _wait(lambda: _is_free(state), _STOP_SECONDS):
            break
    if running.session == running.pid:  # as `start` makes it; MiniStack's workers are in there too
        signal_group(running.pid, signal.SIGKILL)
    _wait(lambda: not _is_alive(running.pid), _KILLED_SECONDS)
    _end_left_behind(state)
    return running


def _command(name: str, state: Path) -> str:
    """Return the command line that does something to the server of a folder for state."""
    words = ["python", "-m", "local", name]
    if state.resolve() != DEFAULT_STATE:
        words += ["--state-dir", str(state)]
    return shlex.join(words)


def _end_left_behind(state: Path) -> None:
    """End the processes of a server that was killed before it could, and drop its note.

    A note counts only for a process of the server's own session, since the number may have been
    given to another program since.
    """
    server = _noted(state)
    if server is None:
        return
    for note in (state / "children").glob("*"):
        if not note.name.isdecimal():
            continue
        pid = int(note.name)
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == server.session:
                signal_group(pid, signal.SIGKILL)
        note.unlink(missing_ok=True)
    (state / "server.json").unlink(missing_ok=True)


def _noted(state: Path) -> Running | None:
    try:
        return Running(**json.loads((state / "server.json").read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def _is_free(state: Path) -> bool:
    """Tell whether no server holds the folder for state."""
    if not (state / LOCK_FILE).exists():
        return True
    with _lock_file(state) as lock:
        return _take(lock)


def _lock_file(state: Path) -> IO[bytes]:
    return (state / LOCK_FILE).open("ab")


def _take(lock: IO[bytes]) -> bool:
    """Take the lock until the file is closed; tell whether it was free."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refuse_other_server(port: int) -> None:
    pid = _health(port)
    if pid is not None:
        raise PortInUseError(
            f"Port {port} is in use by another laptop's AWS (process {pid}, with another folder "
            f"for state). Stop that one with `kill {pid}`, or choose another port: "
            "python -m local start --port 4567"
        )


def _health(port: int) -> int | None:
    """Return the process id of the laptop's AWS on a port, or None when none answers there."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{endpoint_url(port)}/_local/health", timeout=2) as answer:
            about = json.loads(answer.read())
            return int(about["pid"])
    except (OSError, urllib.error.URLError, ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # collects the server when this process has started it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
