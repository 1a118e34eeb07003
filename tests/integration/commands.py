"""Run commands of the project against a laptop's AWS, as a user does."""

import os
import subprocess
import sys
from pathlib import Path

from tests.integration.laptop_aws import ROOT, LaptopAws

SECONDS = 600  # for a command that takes at most a minute on a fast machine


def run_command(
    aws: LaptopAws, *command: str, folder: Path = ROOT, given: str = "", expect: int | None = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with `given` as standard input, and check its exit status unless `expect` is None."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | aws.env | environment,
        input=given,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert expect in (None, done.returncode), done.stdout + done.stderr
    return done


def run_module(aws: LaptopAws, module: str, *arguments: str, expect: int = 0) -> str:
    """Run `python -m module` to its end, and check its exit status; return stdout and stderr."""
    done = run_command(aws, sys.executable, "-m", module, *arguments, expect=expect)
    return done.stdout + done.stderr
