"""What every job and endpoint of one running laptop's AWS shares."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.sagemaker.arns import REGION
from local.sagemaker.child_process import ChildProcesses


class AwsClients:
    """boto3 clients for S3 and CloudWatch Logs of one laptop's AWS; thread-safe."""

    def __init__(self, endpoint_url: str) -> None:
        """Create clients for this URL at their first use."""
        self._endpoint_url = endpoint_url
        self._session = boto3.Session("test", "test", region_name=REGION)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()  # creating a client from a Session is not thread-safe

    @property
    def s3(self) -> Any:
        """The S3 client."""
        return self._client("s3")

    @property
    def logs(self) -> Any:
        """The CloudWatch Logs client."""
        return self._client("logs")

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service,
                    endpoint_url=self._endpoint_url,
                    config=Config(max_pool_connections=16, s3={"addressing_style": "path"}, read_timeout=60),
                )
            return self._clients[service]


@dataclass(frozen=True)
class Host:
    """The state folder, the URL, the clients and the processes of one laptop's AWS."""

    state: Path
    endpoint_url: str
    clients: AwsClients
    children: ChildProcesses

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
