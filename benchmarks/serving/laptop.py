"""The laptop's endpoint: a laptop's AWS of the benchmark's own, with the model served from it."""

import contextlib
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.serving.subjects import Ask, Subject, SubjectError, http_connection
from demo.session import LaptopSession
from local import control
from local.errors import AlreadyRunningError, NotRunningError, PortInUseError, StateDirError
from training.endpoint.endpoint import create_endpoint_config, create_model

BUCKET = "serving-benchmark"
ROLE = "arn:aws:iam::000000000000:role/serving-benchmark"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
IN_SERVICE_S = 120.0  # far more than an endpoint takes
POLL_S = 0.02


@dataclass(frozen=True)
class Laptop:
    """A running laptop's AWS with an endpoint in service.

    Attributes:
        first_answer_s: seconds from CreateEndpoint to the first answer, of each endpoint made.
        subjects: the endpoint by three ways.
    """

    first_answer_s: list[float]
    subjects: list[Subject]

    def first_answer(self) -> dict[str, Any]:
        """Return median and extremes of `first_answer_s`."""
        values = self.first_answer_s
        return {
            "median": round(statistics.median(values), 2),
            "min": round(min(values), 2),
            "max": round(max(values), 2),
        }


@contextmanager
def laptop_endpoint(archive: Path, picture: bytes, state: Path, endpoints: int, console: Console) -> Iterator[Laptop]:
    """Start the laptop's AWS, make endpoints one after the other, and keep the last until the end.

    Args:
        archive: the model.tar.gz.
        picture: what each endpoint is asked first.
        state: folder for the files of the laptop's AWS.
        endpoints: how many are made, for the time that it takes.
        console: shows what is going on.

    Raises SubjectError for an AWS that does not start and an endpoint that does not serve.
    """
    port = free_port()
    with console.status("Starting the laptop's AWS"):
        try:
            control.start(port, state, fresh=True)
        except (AlreadyRunningError, NotRunningError, PortInUseError, StateDirError) as error:
            raise SubjectError(str(error)) from error
    try:
        session = LaptopSession(port, console, state)
        sagemaker, runtime = session.client("sagemaker"), session.client("sagemaker-runtime")
        _make_config(session, sagemaker, archive)
        seconds = []
        for number in range(endpoints):
            name = f"serving-benchmark-{number}"
            with console.status(f"Endpoint {number + 1} of {endpoints}"):
                seconds.append(_first_answer(sagemaker, runtime, name, picture))
            if number + 1 < endpoints:
                sagemaker.delete_endpoint(EndpointName=name)
        yield Laptop(seconds, _subjects(session, state, name, port))
    finally:
        with contextlib.suppress(NotRunningError):  # it has ended by itself, and that shows
            control.stop(state)


def _make_config(session: LaptopSession, sagemaker: Any, archive: Path) -> None:
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
    path = f"/endpoints/{name}/invocations"
    runtime = session.client("sagemaker-runtime", max_pool_connections=8, retries={"total_max_attempts": 1})

    def ask(picture: bytes) -> bytes:
        answer = runtime.invoke_endpoint(
            EndpointName=name, ContentType="image/png", Accept="application/json", Body=picture
        )
        body: bytes = answer["Body"].read()
        return body

    @contextmanager
    def boto3() -> Iterator[Ask]:
        yield ask

    return [
        Subject("invocations", "laptop endpoint, /invocations", lambda: http_connection(own_port, "/invocations")),
        Subject("invoke_endpoint", "laptop endpoint, InvokeEndpoint by HTTP", lambda: http_connection(port, path)),
        Subject("invoke_endpoint_boto3", "laptop endpoint, InvokeEndpoint by boto3", boto3),
    ]


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
