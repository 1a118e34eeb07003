"""The server: MiniStack and the SageMaker stand-in on one port, until a signal ends it.

MiniStack reads its environment at import, so import this module only after setting it.
"""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config
from ministack.app import app as ministack
from ministack.core import lambda_runtime
from ministack.services import cloudwatch

from local.address import HOST, SOCKET_PATH_BYTES, endpoint_url, socket_path
from local.controls import Controls
from local.gateway import Gateway
from local.ministack import (
    alarms,
    embedded_metrics,
    execution_limits,
    jsonata_parsing,
    lambda_failures,
    lambda_workers,
    map_batches,
    metrics,
    patches,
    retry_delays,
    service_metrics,
    upload_events,
)
from local.periodic import PeriodicTask
from local.sagemaker.host import create_host
from local.sagemaker.stand_in import SageMakerStandIn

_GRACE_SECONDS = 2.0  # for running requests when the server ends
PATCHES = (
    metrics.patches,
    alarms.patches,
    lambda_failures.patches,
    lambda_workers.patches,
    service_metrics.patches,
    embedded_metrics.patches,
    map_batches.patches,
    execution_limits.patches,
    retry_delays.patches,
    jsonata_parsing.patches,
    upload_events.patches,
)


async def serve_ministack(port: int, state: Path) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, then end every process that the server started.

    Raise MiniStackChangedError when a new version of MiniStack changed what a patch needs.
    """
    patches.install(*PATCHES)
    sagemaker = SageMakerStandIn(create_host(state, endpoint_url(port)), metrics.record)
    about = {"service": "laptop-aws", "pid": os.getpid(), "port": port, "state": str(state)}
    settings = {"faults": sagemaker.faults, "interruptions": sagemaker.interruptions}
    controls = Controls(about, uploads=upload_events.duplicates, **settings)
    gateway = Gateway(ministack, sagemaker, port, controls)

    config = Config()
    config.bind = [f"{HOST}:{port}"]
    unix_socket = socket_path(state)
    if len(os.fsencode(unix_socket)) <= SOCKET_PATH_BYTES:
        unix_socket.parent.mkdir(mode=0o700, exist_ok=True)
        config.bind.append(f"unix:{unix_socket}")
    config.keep_alive_timeout = 75
    config.graceful_timeout = _GRACE_SECONDS
    config.loglevel = "WARNING"

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            loop.add_signal_handler(number, ended.set)

    background = [
        PeriodicTask(alarms.EVALUATION_SECONDS, cloudwatch._evaluate_all_alarms),
        PeriodicTask(service_metrics.SAMPLE_SECONDS, service_metrics.sample_queues),
    ]

    # Not asyncio.to_thread: all its threads may be waiting for functions.
    cleaner = ThreadPoolExecutor(1, thread_name_prefix="shutdown")

    async def shutdown() -> None:
        await ended.wait()
        for end in (*(task.stop for task in background), sagemaker.close, lambda_runtime.reset):
            await loop.run_in_executor(cleaner, end)

    await serve_asgi(cast("Any", gateway), config, shutdown_trigger=shutdown)
    lambda_runtime.reset()  # ends workers that a running request started in the meantime
