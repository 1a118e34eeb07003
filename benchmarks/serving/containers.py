"""The servers of SageMaker's own PyTorch containers, on this machine instead of in a container.

The PyTorch containers run TorchServe today, and ran multi-model-server before; each has its inference toolkit
(`sagemaker-pytorch-inference`, `sagemaker-inference`) in front of the model's program. They are installed from the
package index into separate environments, which also see this project's PyTorch, NumPy and Pillow. Both keep their
defaults, as on an instance: a worker process per core, one request at a time each.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks.serving.subjects import Subject, SubjectError, free_ports, http_connection
from local.sagemaker.child_process import signal_group

# For both, with --no-deps: their other dependencies are in the project's own environment.
_COMMON = (
    "enum-compat==0.0.3",
    "psutil==7.2.2",
    "retrying==1.3.7",
    "scipy==1.17.1",
    "setuptools==80.9.0",  # one of the last with pkg_resources, which the toolkits import
)
# An environment for each: both toolkits bring a package sagemaker_inference, and not the same.
PACKAGES = {
    "torchserve": (
        "torchserve==0.12.0",
        "torch-model-archiver==0.12.0",
        "sagemaker-pytorch-inference==2.0.25",
        *_COMMON,
    ),
    "multi-model-server": (
        "multi-model-server==1.1.11",
        "model-archiver==1.0.3",
        "sagemaker-inference==1.10.1",
        "future==1.0.0",
        *_COMMON,
    ),
}
SERVERS = {"torchserve": "TorchServe", "multi-model-server": "multi-model-server"}
STARTUP_S = 180.0
POLL_S = 0.2
_ENTRY = Path(__file__).with_name("container_entry.py")
_LOG_CHARACTERS = 1500


class ContainerServerError(SubjectError):
    """A server cannot be installed or does not start; the message says why."""


def install(server: str, folder: Path, console: Console) -> Path:
    """Create the environment of one of SERVERS unless it exists; return its Python. Raises ContainerServerError."""
    if shutil.which("java") is None:
        raise ContainerServerError(
            "no java on the PATH, and the server is a Java program: on Debian, apt-get install default-jre-headless"
        )
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join((sys.version, *PACKAGES[server]))
    if installed.exists() and installed.read_text() == wanted:
        return python
    uv = str(Path(sys.executable).with_name("uv"))
    with console.status(f"Installing {server}"):
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--no-deps", "--python", str(python), *PACKAGES[server]],
        ):
            ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own
            if ended.returncode:
                output = (ended.stderr or ended.stdout)[-_LOG_CHARACTERS:].strip()
                raise ContainerServerError(f"cannot be installed: {output}")
        [packages] = folder.glob("lib/python3*/site-packages")
        (packages / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
        installed.write_text(wanted)
    return python


@contextmanager
def container_server(server: str, python: Path, model: Path, folder: Path, picture: bytes) -> Iterator[Subject]:
    """Run one of SERVERS on the model until the end.

    Args:
        server: its command's name.
        python: the Python of its environment.
        model: the unpacked model.tar.gz.
        folder: for its configuration and logs; is emptied.
        picture: sent until it answers.

    Raises ContainerServerError if it does not start.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "base").mkdir(parents=True)
    shutil.copytree(model, folder / "base" / "model")
    folder = folder.resolve()
    port, *_ = free_ports(4)
    # For sockets: below a deep checkout their paths would exceed the 103 bytes that macOS allows.
    short = tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True)
    with short as temporary, (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own program
            [str(python.absolute()), "-W", "ignore", str(_ENTRY), server, str(port), str(folder)],
            env=_environment(folder, temporary),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # and a process group, which contains its workers
        )
        try:
            _wait(process, port, picture, folder / "log.txt")
            yield Subject(server, SERVERS[server], lambda: http_connection(port, "/invocations"))
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                signal_group(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)


def _environment(folder: Path, temporary: str) -> dict[str, str]:
    """Return a container's environment variables, with the folders of this machine."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TEMP": temporary,
        "TMPDIR": temporary,  # the servers' pid file
        "SAGEMAKER_BASE_DIR": str(folder / "base"),
        "SAGEMAKER_PROGRAM": "inference.py",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        **{name: os.environ[name] for name in ("JAVA_HOME",) if name in os.environ},
    }


def _wait(process: "subprocess.Popen[bytes]", port: int, picture: bytes, log: Path) -> None:
    """Wait until a server answers the picture. Raises ContainerServerError."""
    deadline = time.monotonic() + STARTUP_S
    while True:
        try:
            with http_connection(port, "/invocations") as ask:
                ask(picture)
            return
        except (OSError, SubjectError, ValueError) as error:
            reason = str(error)
        if process.poll() is not None:
            reason = f"it ended with status {process.returncode}"
        if process.poll() is not None or time.monotonic() > deadline:
            end = log.read_text(errors="replace")[-_LOG_CHARACTERS:]
            raise ContainerServerError(f"does not come up: {reason}\n{end}")
        time.sleep(POLL_S)
