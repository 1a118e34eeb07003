"""Clients that answer from a script: what is sent to AWS is asserted without a socket."""

import json
from typing import Any

from boto3 import Session
from botocore.exceptions import ClientError
from botocore.stub import Stubber

REGION = "eu-west-1"
ACCOUNT = "123456789012"


def boto_session() -> Any:
    """Return a real session that finds no credentials but these."""
    return Session("test", "test", region_name=REGION)


SHARED = boto_session()  # reads each service's model once, which takes longer than a test
STUBBERS: list[Stubber] = []  # of the running test, which must use all of their responses


def stubbed(service: str) -> tuple[Any, Stubber]:
    """Return a client and its stubber, which is active."""
    client = SHARED.client(service)
    return client, stub_client(client)


def stub_client(client: Any) -> Stubber:
    """Stub a client until the end of the test."""
    STUBBERS.append(Stubber(client))
    STUBBERS[-1].activate()
    return STUBBERS[-1]


def allow_unused_responses() -> None:
    """Let the test end before its stubs have given all responses."""
    STUBBERS.clear()


class StubbedSession:
    """A session whose clients are stubbed, one per service, made when first asked for."""

    def __init__(self, region: str | None = REGION) -> None:
        self.region_name = region
        self.clients: dict[str, Any] = {}
        self.stubbers: dict[str, Stubber] = {}

    def client(self, service: str, **_: Any) -> Any:
        self.stub(service)
        return self.clients[service]

    def stub(self, service: str) -> Stubber:
        if service not in self.clients:
            self.clients[service], self.stubbers[service] = stubbed(service)
        return self.stubbers[service]

    def add_identity(self) -> None:
        """Let STS answer that the caller is a user of the account."""
        identity = {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/me", "UserId": "U"}
        self.stub("sts").add_response("get_caller_identity", identity)


def stack_response(outputs: dict[str, str], status: str = "CREATE_COMPLETE") -> dict[str, Any]:
    """Return the answer of DescribeStacks for a stack with these outputs."""
    listed = [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]
    return {"Stacks": [{"StackName": "s", "CreationTime": 0, "StackStatus": status, "Outputs": listed}]}


class Body:
    """What get_object and invoke_endpoint give to read."""

    def __init__(self, content: bytes | dict[str, Any]) -> None:
        self.content = content if isinstance(content, bytes) else json.dumps(content).encode()

    def read(self) -> bytes:
        return self.content


def client_error(code: str, message: str) -> ClientError:
    """Return what a client raises for this answer of AWS."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


class Sleeps:
    """Stands in for time.sleep: returns at once and remembers how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
