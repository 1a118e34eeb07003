"""A project under another name: samconfig.toml alone sets the names of all resources."""

import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from common.settings import ROOT, project
from demo.leftovers import LISTS, listed
from tests.integration.commands import run_command
from tests.integration.laptop_aws import LaptopAws, run_laptop_aws

NAME = "acme-parcels"
PARTS = (
    "template.yaml",
    "samconfig.toml",
    "statemachine",
    "common",
    "training",
    "local",
    ".aws-sam/build",
)


@pytest.fixture
def renamed(built: None, tmp_path: Path) -> Path:
    """Copy the deployed files and the built functions, with another project name in samconfig.toml."""
    folder = tmp_path / "project"
    folder.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    samconfig = folder / "samconfig.toml"
    samconfig.write_text(samconfig.read_text().replace(project().name, NAME))
    return folder


def names(aws: LaptopAws) -> set[str]:
    """Return the name of every resource in the account, as `service: name`."""
    return {
        f"{service}: {name}"
        for service, operation, path in LISTS
        for name in listed(aws.client(service), operation, path)
    }


@pytest.mark.parity("sam-delete", "sam-deploy", "cloudformation-resources")
def test_project_under_another_name_is_deployed_and_cleaned_up(renamed: Path, tmp_path: Path) -> None:
    with run_laptop_aws(tmp_path / "aws") as aws:
        run = partial(run_command, aws, folder=renamed)
        before = names(aws)
        run(sys.executable, "-m", "training.stage_data", "synthetic", "--count", "24", "--size", "32")
        run(sys.executable, "-m", "training.create_endpoint", "--hyperparameters", "epochs=2", "width=8")
        run("sam", "deploy", "--config-env", "local")

        created = names(aws) - before
        assert not {name for name in created if project().name in name}
        expected = {f"cloudformation: {NAME}", f"sagemaker: {NAME}", f"s3: {NAME}-training-000000000000-us-east-1"}
        assert expected <= created
        assert {name for name in created if name.startswith("iam: ") and NAME in name}

        run(sys.executable, "-m", "training.cleanup", "--yes")
        run("sam", "delete", "--no-prompts", "--config-env", "local")
        assert not {name for name in names(aws) if NAME in name}
