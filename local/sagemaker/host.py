"""What every job and endpoint of one running laptop's AWS shares."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.sagemaker.arns import REGION
from local.sagemaker.child_process import ChildProcesses


@dataclass(frozen=True)
class Host:
    """The state folder, the URL, the processes, and boto3 clients of one laptop's AWS; thread-safe."""

    state: Path
    endpoint_url: str
    children: ChildProcesses
    s3: Any
    logs: Any

    def environment(self) -> dict[str, str]:
        """Return the environment variables that every container has, without PATH and HOME."""
        return {
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }


def create_host(state: Path, endpoint_url: str) -> Host:
    """Return the host of the laptop's AWS at a URL; its clients connect at their first use."""
    session = boto3.Session("test", "test", region_name=REGION)
    config = Config(max_pool_connections=16, s3={"addressing_style": "path"}, read_timeout=60)
    s3, logs = (session.client(service, endpoint_url=endpoint_url, config=config) for service in ("s3", "logs"))
    return Host(state, endpoint_url, ChildProcesses(state / "children"), s3, logs)
