"""Address of the laptop's AWS, and the environment variables that point AWS's tools at it."""

import os
import socket
from pathlib import Path

from local.errors import PortInUseError
from local.sagemaker.arns import REGION

HOST = "127.0.0.1"
DEFAULT_PORT = 4566
SOCKET_PATH_BYTES = 103  # macOS's sockaddr_un has 104, Linux's 108, with a final zero byte

# They would override what `env` exports and lead to AWS itself.
UNSET = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME")


def endpoint_url(port: int) -> str:
    """Return the URL of the laptop's AWS."""
    return f"http://{HOST}:{port}"


def socket_path(state: Path) -> Path:
    """Return the path of the UNIX socket of the laptop's AWS, for containers."""
    return state / "socket" / "aws.sock"


def client_environment(port: int) -> dict[str, str]:
    """Return the environment variables that point AWS's tools at the laptop's AWS."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in given.split(",") if host.strip()]
    # An asterisk has an effect only on its own.
    no_proxy = "*" if "*" in hosts else ",".join(dict.fromkeys([HOST, "localhost", *hosts]))
    return {
        "AWS_ENDPOINT_URL": endpoint_url(port),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",  # do not wait for a metadata server
        "SAM_CLI_TELEMETRY": "0",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,  # Python prefers this one
    }


def check_port(port: int) -> None:
    """Check that nothing listens on a port; raise PortInUseError when a program does."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server does: connections of a former server in TIME_WAIT do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortInUseError(
                f"Port {port} of {HOST} is in use by another program. Find it with "
                f"`ss -ltnp 'sport = :{port}'` or `lsof -i :{port}` and stop it, or choose "
                "another port: python -m local start --port 4567"
            ) from error
