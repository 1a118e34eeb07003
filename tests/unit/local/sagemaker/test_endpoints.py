"""Errors in the threads of endpoints."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local.sagemaker.endpoints import Deployment, Endpoint, Endpoints
from local.sagemaker.tags import Tags


class FakeCapture:
    """A data capture that records the endpoint's status at each flush, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.statuses: list[str] = []
        self.endpoint: Endpoint | None = None

    def flush(self) -> None:
        if self.error is not None:
            raise self.error
        if self.endpoint is not None:
            self.statuses.append(self.endpoint.status)


def deployment(capture: Any) -> Deployment:
    config = {"EndpointConfigName": "scones", "ProductionVariants": []}
    return Deployment(config, {}, None, capture)


@pytest.fixture
def no_endpoints(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    unused: Any = None
    created = Endpoints(unused, unused, Tags())
    monkeypatch.setattr(created, "_start", lambda *_: "")  # without a model server
    yield created
    created.close()


def updating(old: Deployment) -> Endpoint:
    now = datetime.now(UTC)
    return Endpoint("scones", "arn", old.config, "Updating", now, now, deployment=old)


def test_supervise_with_failing_deployment_logs_the_error(caplog: pytest.LogCaptureFixture) -> None:
    deployment(FakeCapture(RuntimeError("no disk"))).supervise()
    assert "Endpoint configuration scones" in caplog.text
    assert "no disk" in caplog.text


def test_update_flushes_the_old_captures_before_it_ends(no_endpoints: Endpoints) -> None:
    capture = FakeCapture()
    endpoint = capture.endpoint = updating(deployment(capture))
    new = deployment(None)
    no_endpoints._bring_up(endpoint, new)
    assert capture.statuses == ["Updating"]
    assert (endpoint.status, endpoint.deployment) == ("InService", new)


def test_update_with_failing_flush_ends_in_service(no_endpoints: Endpoints) -> None:
    endpoint = updating(deployment(FakeCapture(RuntimeError("no disk"))))
    with pytest.raises(RuntimeError, match="no disk"):
        no_endpoints._bring_up(endpoint, deployment(None))
    assert endpoint.status == "InService"
