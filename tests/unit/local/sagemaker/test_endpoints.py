"""Errors in the threads of endpoints."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from local.sagemaker.endpoints import Deployment, Endpoint, Endpoints
from local.sagemaker.tags import Tags


def deployment(flush: Any = None) -> Deployment:
    config = {"EndpointConfigName": "scones", "ProductionVariants": []}
    return Deployment(config, {}, Mock(), Mock(flush=Mock(side_effect=flush)))


def updating(old: Deployment) -> Endpoint:
    now = datetime.now(UTC)
    return Endpoint("scones", "arn", old.config, "Updating", now, now, deployment=old)


@pytest.fixture
def endpoints(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    created = Endpoints(Mock(), Mock(), Tags())
    monkeypatch.setattr(created, "_start", lambda *_: "")  # without a model server
    yield created
    created.close()


@pytest.mark.parametrize(
    ("status", "is_serving"),
    [("Creating", False), ("Failed", False), ("Deleting", False), ("Updating", True), ("InService", True)],
)
def test_serving_depends_on_the_status(endpoints, status, is_serving):
    endpoint = updating(deployment())
    endpoint.status = status
    endpoints._endpoints["scones"] = endpoint
    assert endpoints.serving("scones") is (endpoint.deployment if is_serving else None)
    assert endpoints.serving("other") is None


def test_supervise_with_failing_deployment_logs_the_error(caplog):
    deployment(RuntimeError("no disk")).supervise()
    assert "Endpoint configuration scones" in caplog.text
    assert "no disk" in caplog.text


def test_update_flushes_the_old_captures_before_it_ends(endpoints):
    statuses: list[str] = []
    endpoint: Endpoint = updating(deployment(lambda: statuses.append(endpoint.status)))
    new = deployment()
    endpoints._bring_up(endpoint, new)
    assert statuses == ["Updating"]
    assert (endpoint.status, endpoint.deployment) == ("InService", new)


def test_update_with_failing_flush_ends_in_service(endpoints):
    endpoint = updating(deployment(RuntimeError("no disk")))
    with pytest.raises(RuntimeError, match="no disk"):
        endpoints._bring_up(endpoint, deployment())
    assert endpoint.status == "InService"
