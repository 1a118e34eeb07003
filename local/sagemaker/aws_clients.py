"""boto3 clients with which the SageMaker stand-in uses S3 and CloudWatch Logs of its own port."""

import threading
from typing import Any

import boto3
from botocore.config import Config

from local.sagemaker.arns import REGION


class AwsClients:
    """The S3 and Logs clients of one running laptop's AWS; safe to use from any thread."""

    def __init__(self, endpoint_url: str) -> None:
        """Take the URL at which S3 and Logs answer; clients are made when first used."""
        self._endpoint_url = endpoint_url
        self._session = boto3.Session("test", "test", region_name=REGION)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()  # building clients from one Session is not thread-safe

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
