"""The process of the laptop's AWS: its environment, and one run of it."""

import asyncio
import logging
import os
from pathlib import Path

from local.address import HOST, check_port, client_environment
from local.sagemaker.arns import REGION
from local.state_folder import prepare_state


def serve(port: int, state: Path) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, then end every process that was started.

    The caller holds the lock of the folder for state.

    Raises:
        PortInUseError: when the port is taken.
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
