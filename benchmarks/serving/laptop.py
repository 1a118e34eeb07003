"""The laptop's endpoint: a separate laptop's AWS with the model served from it."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.serving.subjects import Ask, Subject, SubjectError, free_ports, http_connection
from demo.session import LaptopSession
from local import control
from local.errors import AlreadyRunningError, NotRunningError, PortInUseError, StateDirError
from training.endpoint.endpoint import create_endpoint_config, create_model

BUCKET = "serving-benchmark"
ROLE = "arn:aws:iam::000000000000:role/serving-benchmark"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
IN_SERVICE_S = 120.0  # far more than an endpoint takes
POLL_S = 0.02


@contextmanager
def laptop_endpoint(
    archive: Path, picture: bytes, state: Path, endpoints: int, console: Console
) -> Iterator[tuple[list[float], list[Subject]]]:
    """Start the laptop's AWS, create endpoints one after the other, and keep the last until the end.

    Args:
        archive: the model.tar.gz.
        picture: the first request of each endpoint.
        state: folder for the files of the laptop's AWS.
        endpoints: how many to create.
        console: shows the progress.

    Yields the seconds from CreateEndpoint to the first answer, of each endpoint, and the last one as three subjects.
    Raises SubjectError if the laptop's AWS does not start or an endpoint does not serve.
    """
    [port] = free_ports(1)
    with console.status("Starting the laptop's AWS"):
        try:
            control.start(port, state, fresh=True)
        except (AlreadyRunningError, NotRunningError, PortInUseError, StateDirError) as error:
            raise SubjectError(str(error)) from error
    try:
        session = LaptopSession(port, console, state)
        sagemaker, runtime = session.client("sagemaker"), session.client("sagemaker-runtime")
        _create_config(session, sagemaker, archive)
        seconds = []
        for number in range(endpoints):
            name = f"serving-benchmark-{number}"
            with console.status(f"Endpoint {number + 1} of {endpoints}"):
                seconds.append(_first_answer(sagemaker, runtime, name, picture))
            if number + 1 < endpoints:
                sagemaker.delete_endpoint(EndpointName=name)
        yield seconds, _subjects(session, state, name, port)
    finally:
        with contextlib.suppress(NotRunningError):  # it has ended by itself, which shows in another error
            control.stop(state)


def _create_config(session: LaptopSession, sagemaker: Any, archive: Path) -> None:
    s3 = session.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.upload_file(str(archive), BUCKET, "model.tar.gz")
    model_data = f"s3://{BUCKET}/model.tar.gz"
    create_model(sagemaker, BUCKET, image=IMAGE, model_data=model_data, role_arn=ROLE)
    create_endpoint_config(sagemaker, BUCKET, model=BUCKET, instance_type="ml.m5.large", bucket=BUCKET)


def _first_answer(sagemaker: Any, runtime: Any, name: str, picture: bytes) -> float:
    began = time.perf_counter()
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=BUCKET)
    while (found := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] == "Creating":
        if time.perf_counter() - began > IN_SERVICE_S:
            raise SubjectError(f"The endpoint was still Creating after {IN_SERVICE_S:.0f} s")
        time.sleep(POLL_S)
    if found["EndpointStatus"] != "InService":
        raise SubjectError(f"The endpoint does not serve: {found.get('FailureReason')}")
    runtime.invoke_endpoint(EndpointName=name, ContentType="image/png", Body=picture)["Body"].read()
    return time.perf_counter() - began


def _subjects(session: LaptopSession, state: Path, name: str, port: int) -> list[Subject]:
    [port_file] = (state / "endpoints" / name).glob("*/port")  # written by serving_host.py
    own_port = int(port_file.read_text())
    runtime = session.client("sagemaker-runtime", max_pool_connections=8, retries={"total_max_attempts": 1})
    request = {"EndpointName": name, "ContentType": "image/png", "Accept": "application/json"}

    @contextmanager
    def boto3() -> Iterator[Ask]:
        yield lambda picture: runtime.invoke_endpoint(**request, Body=picture)["Body"].read()

    def invocations() -> contextlib.AbstractContextManager[Ask]:
        return http_connection(own_port, "/invocations")

    def gateway() -> contextlib.AbstractContextManager[Ask]:
        return http_connection(port, f"/endpoints/{name}/invocations")

    return [
        Subject("invocations", "laptop endpoint, /invocations", invocations),
        Subject("invoke_endpoint", "laptop endpoint, InvokeEndpoint by HTTP", gateway),
        Subject("invoke_endpoint_boto3", "laptop endpoint, InvokeEndpoint by boto3", boto3),
    ]
