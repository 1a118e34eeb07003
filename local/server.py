"""One run of the laptop's AWS in this process."""

import asyncio
import logging
import os
from pathlib import Path

from local.address import HOST, check_port, client_environment
from local.control import prepare_state
from local.sagemaker.arns import REGION


def serve(port: int, state: Path) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, then end every process that the server started.

    The caller holds the lock of the state folder. Raise PortInUseError when another program uses the port.
    """
    check_port(port)
    prepare_state(state)
    _set_ministack_environment(port, state)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    from local.serving import serve_ministack

    asyncio.run(serve_ministack(port, state))
    logging.shutdown()


def _set_ministack_environment(port: int, state: Path) -> None:
    """Set the environment variables that MiniStack reads at import."""
    for name in list(os.environ):  # the caller's must not reach the functions
        if name.startswith("AWS_ENDPOINT_URL") or name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            del os.environ[name]
    os.environ.update(
        client_environment(port),
        GATEWAY_PORT=str(port),
        BIND_HOST=HOST,  # MiniStack's default is every interface
        MINISTACK_HOST=HOST,  # in queue URLs; localhost may resolve to ::1, where nothing listens
        MINISTACK_REGION=REGION,
        IOT_MTLS_ENABLED="0",  # this and the next would open further ports
        SFTP_ENABLED="0",
        PERSIST_STATE="0",
        S3_PERSIST="0",
        LAMBDA_EXECUTOR="local",
        MINISTACK_WORKER_THREADS="256",  # each call that waits for a worker holds a thread
        TMPDIR=str(state / "tmp"),  # for the unpacked code of functions
        DOCKER_HOST="unix:///nonexistent",  # functions run as processes, without Docker
    )
    # MiniStack sets AWS_ENDPOINT_URL of functions from GATEWAY_PORT; a value here would override that
    # of a function's own configuration.
    os.environ.pop("AWS_ENDPOINT_URL")
