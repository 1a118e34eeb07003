"""Where the laptop's AWS answers, and the environment that leads AWS's tools there."""

import os
import socket
from pathlib import Path

from local.errors import PortInUseError
from local.sagemaker.arns import REGION

HOST = "127.0.0.1"
DEFAULT_PORT = 4566
SOCKET_PATH_BYTES = 103  # macOS's sockaddr_un has 104, Linux's 108, with a zero at the end
_LOOPBACK = (HOST, "localhost")

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
