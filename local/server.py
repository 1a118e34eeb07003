"""Where the laptop's AWS answers and keeps its files, and the environment that it runs in."""

import asyncio
import logging
import os
import re
import shutil
import socket
from pathlib import Path

from local.errors import PortInUseError, StateDirError
from local.sagemaker.arns import REGION

HOST = "127.0.0.1"
DEFAULT_PORT = 4566
# Shows that a folder is ours, so that its contents may be deleted; the server keeps it locked.
LOCK_FILE = "laptop-aws.lock"
SOCKET_PATH_BYTES = 103  # macOS's sockaddr_un has 104, Linux's 108, with a zero at the end
_LOOPBACK = (HOST, "localhost")
# Training jobs run below the folder for state, through AWS's drivers, whose shell command has the
# paths unquoted.
_SAFE_PATH = re.compile(r"[A-Za-z0-9._/+@=-]+")

# They would win over what `env` exports, and lead to AWS itself.
UNSET = (
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
)


def endpoint_url(port: int) -> str:
    """Return the URL at which the laptop's AWS answers."""
    return f"http://{HOST}:{port}"


def socket_path(state: Path) -> Path:
    """Return the UNIX socket on which the laptop's AWS answers too, for containers."""
    return state / "socket" / "aws.sock"


def client_environment(port: int) -> dict[str, str]:
    """Return the environment variables that point AWS's tools at the laptop's AWS."""
    no_proxy = _no_proxy()
    return {
        "AWS_ENDPOINT_URL": endpoint_url(port),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",  # no waiting for a metadata server that is not there
        "SAM_CLI_TELEMETRY": "0",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,  # Python takes this one where both are set
    }


def _no_proxy() -> str:
    """Return the hosts to reach without a proxy: the caller's own, and the loopback's names."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in given.split(",") if host.strip()]
    if "*" in hosts:
        return "*"  # counts only by itself
    return ",".join(dict.fromkeys([*_LOOPBACK, *hosts]))


def check_port(port: int) -> None:
    """Make sure that nothing listens on a port.

    Raises:
        PortInUseError: when something does.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server itself does, so that connections of a former one in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortInUseError(
                f"Port {port} of {HOST} is in use by another program. See which with "
                f"`ss -ltnp 'sport = :{port}'` or `lsof -i :{port}` and stop it, or choose "
                "another port: python -m local start --port 4567"
            ) from error


def claim_state(state: Path) -> None:
    """Make the folder for state and mark it as ours; nothing in it is deleted.

    Raises:
        StateDirError: for a path that AWS's training drivers cannot take, and for a folder with
            files of somebody else.
    """
    choose = "choose another folder: python -m local start --state-dir FOLDER"
    if not _SAFE_PATH.fullmatch(str(state)):
        raise StateDirError(
            f"The path {str(state)!r} has a character that SageMaker's training scripts cannot "
            f"take (they take letters of ASCII, digits and ._/+@=-); {choose}"
        )
    mark = state / LOCK_FILE
    try:
        state.mkdir(parents=True, exist_ok=True)
        if any(state.iterdir()) and not mark.exists():
            raise StateDirError(
                f"{state} has files in it and is no folder for state of the laptop's AWS, which "
                f"would delete some of them; empty it, or {choose}"
            )
        mark.touch()
    except OSError as error:
        raise StateDirError(f"{state} cannot be used ({error.strerror}); {choose}") from error


def prepare_state(state: Path) -> None:
    """Empty the folder for state, which the caller has locked: each start is a fresh AWS."""
    for name in ("training-jobs", "endpoints", "children", "tmp"):
        shutil.rmtree(state / name, ignore_errors=True)
    (state / "tmp").mkdir(parents=True)


def serve(port: int, state: Path) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, then end every process that was started.

    The caller holds the lock of the folder for state.

    Raises:
        PortInUseError: when the port is taken.
    """
    check_port(port)
    prepare_state(state)
    _set_ministack_environment(port, state)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)
    from local.serving import serve_ministack  # noqa: PLC0415  MiniStack takes its environment now

    asyncio.run(serve_ministack(port, state))
    logging.shutdown()


def _set_ministack_environment(port: int, state: Path) -> None:
    """Set what MiniStack reads when it is imported."""
    for name in list(os.environ):  # the caller's own must not reach the functions
        if name.startswith("AWS_ENDPOINT_URL") or name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            del os.environ[name]
    os.environ.update(
        client_environment(port),
        GATEWAY_PORT=str(port),
        BIND_HOST=HOST,  # MiniStack's own default is every interface
        MINISTACK_HOST=HOST,  # in queue URLs: localhost may mean ::1, where nothing listens
        MINISTACK_REGION=REGION,
        IOT_MTLS_ENABLED="0",  # these two would listen on ports of their own
        SFTP_ENABLED="0",
        PERSIST_STATE="0",
        S3_PERSIST="0",
        LAMBDA_EXECUTOR="local",
        MINISTACK_WORKER_THREADS="256",  # calls that wait for a worker hold a thread each
        TMPDIR=str(state / "tmp"),  # the functions' code is unpacked there
        DOCKER_HOST="unix:///nonexistent",  # functions run as processes; leave Docker alone
    )
    # MiniStack gives functions AWS_ENDPOINT_URL from GATEWAY_PORT; a value here would win over one
    # that the function's own configuration sets.
    os.environ.pop("AWS_ENDPOINT_URL")
