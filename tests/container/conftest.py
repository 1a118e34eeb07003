"""The built project, and a laptop's AWS that containers reach, with pictures and an endpoint."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.container.local_invoke import LocalInvoke, missing_requirement
from tests.integration.laptop_aws import ROOT, LaptopAws, run_laptop_aws

SAM_PARTS = ("template.yaml", "samconfig.toml", "functions", "statemachine", "events")
BUCKET = "scones-unlimited-pictures-000000000000-us-east-1"  # of events/*.json
ENDPOINT = "scones-unlimited"


@dataclass(frozen=True)
class NetworkedAws:
    """A laptop's AWS with the variables of `python -m local env`, and the Docker network that leads to it."""

    aws: LaptopAws
    network: str
    environment: dict[str, str]

    def client(self, service: str) -> Any:
        """Return a boto3 client for it."""
        return self.aws.client(service)


def run(*command: str, folder: Path = ROOT) -> str:
    """Run a command that must succeed and return its output."""
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="session")
def _docker() -> None:
    if missing := missing_requirement():
        if os.environ.get("DOCKER_REQUIRED"):
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture(scope="session")
def folder(_docker: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built copy of the files that `sam` uses."""
    folder = tmp_path_factory.mktemp("project")
    for part in SAM_PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, folder / part)
    (folder / "local").mkdir()
    shutil.copy2(ROOT / "local/sam-local-env.json", folder / "local")
    run("sam", "build", folder=folder)
    return folder


@pytest.fixture(scope="session")
def laptop_aws(_docker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkedAws]:
    """A laptop's AWS that containers of its network reach as laptop-aws:4566."""
    network = f"scones-test-{os.getpid()}"
    with run_laptop_aws(tmp_path_factory.mktemp("aws")) as aws:
        state = ("--state-dir", str(aws.state))
        run(sys.executable, "-m", "local", "docker", "start", "--network", network, *state)
        lines = run(sys.executable, "-m", "local", "env", *state).splitlines()
        exported = [line.removeprefix("export ") for line in lines if line.startswith("export ")]
        yield NetworkedAws(aws, network, dict(line.split("=", 1) for line in exported))
    assert network not in run("docker", "network", "ls"), "the network must end with it"


@pytest.fixture(scope="session")
def pictures(laptop_aws: NetworkedAws) -> None:
    """The bucket that the events name, with events/pictures/ under inbox/."""
    s3 = laptop_aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for picture in (ROOT / "events/pictures").iterdir():
        s3.upload_file(str(picture), BUCKET, f"inbox/{picture.name}")


@pytest.fixture(scope="session")
def endpoint(laptop_aws: NetworkedAws, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The endpoint that the events name, serving a small untrained model with the real scripts."""
    from benchmarks.hostile_pictures.model import write_untrained_model
    from benchmarks.serving.__main__ import prepare_model
    from training.endpoint.endpoint import create_endpoint_config, create_model

    folder = tmp_path_factory.mktemp("model")
    write_untrained_model(folder)
    _, archive = prepare_model(folder, tmp_path_factory.mktemp("archive"))
    bucket, name = "container-tests-models", f"{ENDPOINT}-20260101000000"
    s3, sagemaker = laptop_aws.client("s3"), laptop_aws.client("sagemaker")
    s3.create_bucket(Bucket=bucket)
    s3.upload_file(str(archive), bucket, "model.tar.gz")
    create_model(
        sagemaker,
        name,
        image="763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312",
        model_data=f"s3://{bucket}/model.tar.gz",
        role_arn="arn:aws:iam::000000000000:role/container-tests",
    )
    create_endpoint_config(sagemaker, name, model=name, instance_type="ml.m5.large", bucket=bucket)
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )


@pytest.fixture
def on_laptop(folder: Path, laptop_aws: NetworkedAws) -> LocalInvoke:
    """`sam local invoke` as after `eval "$(python -m local env)"`, in the tests' network."""
    return LocalInvoke(folder, os.environ | laptop_aws.environment | {"SAM_DOCKER_NETWORK": laptop_aws.network})


@pytest.fixture
def on_aws(folder: Path, laptop_aws: NetworkedAws) -> LocalInvoke:
    """`sam local invoke` as on AWS, except that SAM CLI asks the laptop's AWS for the account."""
    apart = {
        "AWS_ENDPOINT_URL_STS": laptop_aws.environment["AWS_ENDPOINT_URL"],
        "SAM_SKIP_PULL_IMAGE": "true",  # the registry may be unreachable
    }
    return LocalInvoke(folder, os.environ | apart)
