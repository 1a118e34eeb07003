"""Stubbed clients of the handlers, and GetObject's answer."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber


@pytest.fixture
def stub() -> Iterator[Callable[[Any], Stubber]]:
    """Stub a client until the end of the test, which must have used all of its responses."""
    with ExitStack() as stack:
        stubbers: list[Stubber] = []

        def stub_client(client: Any) -> Stubber:
            stubbers.append(stack.enter_context(Stubber(client)))
            return stubbers[-1]

        yield stub_client
        for stubber in stubbers:
            stubber.assert_no_pending_responses()


def s3_object(body: bytes, **more: str) -> dict[str, object]:
    """Return GetObject's answer."""
    return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": len(body)} | more
