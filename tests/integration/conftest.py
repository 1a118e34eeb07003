"""Fixtures of the integration tests."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from filelock import FileLock

from tests.integration.laptop_aws import ROOT, LaptopAws, run_laptop_aws
from tests.integration.mailbox import Mailbox
from tests.integration.workflow_stack import Stack, deployed_stack, fault


@pytest.fixture(scope="session")
def laptop_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopAws]:
    """One laptop's AWS for every test that does not stop it."""
    with run_laptop_aws(tmp_path_factory.mktemp("laptop-aws")) as aws:
        yield aws


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Build the functions once, also for several pytest-xdist workers."""
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent  # each worker has its own folder below
    done = run / "sam-built"
    with FileLock(run / "sam-build.lock"):
        if not done.exists():
            subprocess.run(["sam", "build"], cwd=ROOT, check=True, timeout=900)
            done.touch()


@pytest.fixture(scope="module")
def stack(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The deployed workflow and an endpoint, once per module."""
    with deployed_stack(tmp_path_factory.mktemp("aws")) as deployed:
        yield deployed


@pytest.fixture
def healthy(stack: Stack) -> Iterator[Stack]:
    """The stack; a fault that a test injects ends with the test."""
    yield stack
    fault(stack, None)


@pytest.fixture(scope="module")
def review(stack: Stack) -> Mailbox:
    """The messages of the review queue."""
    return Mailbox(stack, stack.outputs["ReviewQueueUrl"])


@pytest.fixture(scope="module")
def notifications(stack: Stack) -> Mailbox:
    """The notifications of the failure topic."""
    return Mailbox(stack, stack.failures)
