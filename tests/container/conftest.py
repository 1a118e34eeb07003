"""The built project, the laptop's AWS with pictures and an endpoint, and a way for containers."""

import os
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.container.local_invoke import LocalInvoke, what_is_missing

ROOT = Path(__file__).resolve().parents[2]
SAM_PARTS = ("template.yaml", "samconfig.toml", "functions", "statemachine", "events")
BUCKET = "scones-unlimited-pictures-000000000000-us-east-1"  # of events/*.json
ENDPOINT = "scones-unlimited"
# sam and uv are installed beside this interpreter, whether or not that folder is on the PATH.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@dataclass(frozen=True)
class LaptopAws:
    """A laptop's AWS of these tests' own, with a Docker network in front."""

    port: int
    network: str
    environment: dict[str, str]

    def client(self, service: str) -> Any:
        """Return a boto3 client for it."""
        import boto3

        return boto3.client(service, endpoint_url=self.environment["AWS_ENDPOINT_URL"])


def run(*command: str, folder: Path = ROOT) -> str:
    """Run a command that must succeed and return what it printed."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": PATH},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="session")
def _docker() -> None:
    if missing := what_is_missing():
        if os.environ.get("DOCKER_REQUIRED"):
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture(scope="session")
def folder(_docker: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what `sam` uses, built: the tree's own .aws-sam stays as it is."""
    folder = tmp_path_factory.mktemp("project")
    for part in SAM_PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, folder / part)
    (folder / "local").mkdir()
    shutil.copy2(ROOT / "local/sam-local-env.json", folder / "local")
    run("sam", "build", folder=folder)
    return folder


@pytest.fixture(scope="session")
def laptop_aws(_docker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopAws]:
    """A laptop's AWS on a free port that containers of its network reach as laptop-aws:4566."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    network = f"scones-test-{os.getpid()}"
    local = (sys.executable, "-m", "local")
    state = ("--state-dir", str(tmp_path_factory.mktemp("aws")))
    run(*local, "start", "--port", str(port), *state)
    try:
        run(*local, "docker", "start", "--network", network, *state)
        lines = run(*local, "env", *state).splitlines()
        exported = [line.removeprefix("export ") for line in lines if line.startswith("export ")]
        variables = dict(line.split("=", 1) for line in exported)
        yield LaptopAws(port, network, variables)
    finally:
        run(*local, "stop", *state)
    assert network not in run("docker", "network", "ls"), "the network must end with it"


@pytest.fixture(scope="session")
def pictures(laptop_aws: LaptopAws) -> None:
    """The bucket that the events name, with events/pictures/ under inbox/."""
    s3 = laptop_aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for picture in (ROOT / "events/pictures").iterdir():
        s3.upload_file(str(picture), BUCKET, f"inbox/{picture.name}")


@pytest.fixture(scope="session")
def endpoint(laptop_aws: LaptopAws, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The endpoint that the events name, serving a small model that the real script has trained."""
    from training.endpoint.endpoint import create_endpoint_config, create_model

    folder = tmp_path_factory.mktemp("model")
    data, model, archive = folder / "data", folder / "model", folder / "model.tar.gz"
    stage = (sys.executable, "-m", "training.stage_data", "synthetic", "--no-upload")
    run(*stage, "--count", "16", "--out", str(data))
    run(
        *(sys.executable, "training/container/train.py", "--model-dir", str(model)),
        *("--train", str(data / "train"), "--validation", str(data / "validation")),
        *("--output-data-dir", str(folder / "output")),
        *("--epochs", "1", "--width", "8", "--batch-size", "8"),
    )
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(model, arcname=".")

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
def on_laptop(folder: Path, laptop_aws: LaptopAws) -> LocalInvoke:
    """`sam local invoke` as after `eval "$(python -m local env)"`; only the network is another."""
    own = {"PATH": PATH, "SAM_DOCKER_NETWORK": laptop_aws.network}
    return LocalInvoke(folder, os.environ | laptop_aws.environment | own)


@pytest.fixture
def on_aws(folder: Path, laptop_aws: LaptopAws) -> LocalInvoke:
    """`sam local invoke` as on AWS. SAM CLI's own look at the account stays on this machine."""
    apart = {
        "PATH": PATH,
        "AWS_ENDPOINT_URL_STS": laptop_aws.environment["AWS_ENDPOINT_URL"],
        "SAM_SKIP_PULL_IMAGE": "true",  # there may be no way to the registry
    }
    return LocalInvoke(folder, os.environ | apart)
