"""Stubbed clients of the handlers, and GetObject's answer."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from tests.unit.aws_stubs import stub_client


@pytest.fixture
def stub() -> Callable[[Any], Stubber]:
    """Return a function that stubs a client until the end of the test."""
    return stub_client


def s3_object(body: bytes, **more: str) -> dict[str, object]:
    """Return GetObject's answer."""
    return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": len(body)} | more
