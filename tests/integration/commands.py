"""Run commands of the project against a laptop's AWS, as a user does."""

import os
import subprocess
import sys

from common.settings import ROOT
from tests.integration.laptop_aws import LaptopAws

SECONDS = 180  # for a command that takes ten on a fast machine


def run_module(aws: LaptopAws, module: str, *arguments: str, expect: int = 0) -> str:
    """Run `python -m module` to its end, and check its exit status; return stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=os.environ | aws.env,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr
