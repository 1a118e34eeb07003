"""What an endpoint's threads do when something goes wrong, and in which order."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local.sagemaker import endpoints
from local.sagemaker.endpoints import Deployment, Endpoint, Endpoints
from local.sagemaker.tags import Tags


class Capture:
    """A data capture that notes when it is flushed, or breaks."""

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
    return Deployment(config, {}, {}, capture)


@pytest.fixture
def every() -> Iterator[Endpoints]:
    """An account without endpoints; its host and models are not asked for."""
    nothing: Any = None
    every = Endpoints(nothing, nothing, Tags())
    yield every
    every.close()


def updating(old: Deployment) -> Endpoint:
    now = datetime.now(UTC)
    return Endpoint("scones", "arn", old.config, "Updating", now, now, deployment=old)


def test_a_deployment_that_breaks_is_logged_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    endpoints._supervise(deployment(Capture(RuntimeError("no disk"))))
    assert "Endpoint configuration scones" in caplog.text
    assert "no disk" in caplog.text


def test_the_old_captures_are_written_before_an_update_is_done(every: Endpoints) -> None:
    capture = Capture()
    endpoint = capture.endpoint = updating(deployment(capture))
    new = deployment(None)
    every._bring_up(endpoint, new)
    assert capture.statuses == ["Updating"]
    assert (endpoint.status, endpoint.deployment) == ("InService", new)


def test_an_update_ends_even_when_the_old_captures_cannot_be_written(every: Endpoints) -> None:
    endpoint = updating(deployment(Capture(RuntimeError("no disk"))))
    with pytest.raises(RuntimeError, match="no disk"):
        every._bring_up(endpoint, deployment(None))
    assert endpoint.status == "InService"
