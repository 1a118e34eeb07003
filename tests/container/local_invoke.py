"""`sam local invoke`, and what it requires."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE = "public.ecr.aws/lambda/python:3.13-x86_64"
INVOKE_SECONDS = 120.0  # one takes about 5; a busy machine and the first image build take longer


def missing_requirement() -> str | None:
    """Return what `sam local invoke` lacks here and how to get it, or None."""
    if shutil.which("docker") is None:
        return "no docker command on the PATH: install a Docker engine to run these tests"
    try:
        engine = subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False)
        image = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired as error:
        return f"the Docker engine does not answer: {error}"
    if engine.returncode != 0:
        return "no Docker engine answers: start it (`docker info` must work) to run these tests"
    if image.returncode != 0:
        return f"no Lambda base image: get it with `docker pull {IMAGE}` to run these tests"
    return None


@dataclass(frozen=True)
class LocalInvoke:
    """Runs `sam local invoke` in a folder, as a user types it there."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, command: str, **environment: str) -> dict[str, Any]:
        """Run the command, in which SAM CLI must succeed; return the function's answer, which may be an error."""
        ended = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=INVOKE_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
        answer = json.loads(ended.stdout)
        assert isinstance(answer, dict), f"{command}\n{ended.stdout}\n{ended.stderr}"
        return answer
