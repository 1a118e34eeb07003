from typing import Any

import pytest

from local.sagemaker.data_capture import CapturedInvocation
from local.sagemaker.endpoints import Deployment
from local.sagemaker.errors import AwsError
from local.sagemaker.faults import Fault, FaultKind, FaultRequest, Faults
from local.sagemaker.invocations import Invocation, Invocations
from local.sagemaker.model_server import (
    ContainerAnswer,
    InvocationTimeoutError,
    ModelServerGoneError,
)

PNG = {"content-type": "image/png", "accept": "application/json", "authorization": "secret"}


class FakeServer:
    """A model server that returns or raises one answer."""

    def __init__(self, answer: ContainerAnswer | Exception) -> None:
        self.answer = answer
        self.headers: dict[str, str] = {}

    def invoke(self, _body: bytes, headers: dict[str, str]) -> ContainerAnswer:
        self.headers = headers
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class FakeEndpoints:
    """One endpoint, `scones`, with a status; each call returns its next deployment."""

    def __init__(self, status: str, *deployments: Deployment | None) -> None:
        self.status = status
        self.deployments = list(deployments)

    def serving(self, name: str) -> tuple[str, Deployment | None]:
        if name != "scones":
            raise KeyError(name)
        first, *rest = self.deployments
        self.deployments = rest or [first]
        return self.status, first


class FakeCapture:
    """Records the captured invocations."""

    def __init__(self) -> None:
        self.invocations: list[CapturedInvocation] = []

    def record(self, _variant: str, invocation: CapturedInvocation) -> None:
        self.invocations.append(invocation)


ANSWER = ContainerAnswer(200, b"{}", "application/json")


def deployment(answer: ContainerAnswer | Exception = ANSWER) -> Deployment:
    server: Any = FakeServer(answer)
    return Deployment({"ProductionVariants": [{"VariantName": "AllTraffic"}]}, {}, server)


def ignore(*_point: Any, **_named: Any) -> None:
    """Ignore a data point; test_endpoint_metrics.py tests them."""


def invoke(
    endpoints: Any,
    faults: Faults | None = None,
    body: bytes = b"x",
    name: str = "scones",
) -> Any:
    return Invocations(endpoints, faults or Faults(), ignore).invoke(Invocation(name, body, PNG))


def error_of(endpoints: Any, **arguments: Any) -> AwsError:
    with pytest.raises(AwsError) as refused:
        invoke(endpoints, **arguments)
    return refused.value


@pytest.mark.parametrize(
    ("endpoints", "name"),
    [
        (FakeEndpoints("InService", deployment()), "other"),
        (FakeEndpoints("Creating", None), "scones"),
        (FakeEndpoints("Failed", None), "scones"),
        (FakeEndpoints("Deleting", deployment()), "scones"),
    ],
    ids=["unknown", "creating", "failed", "deleting"],
)
def test_invoke_endpoint_out_of_service_is_not_found(endpoints: Any, name: str) -> None:
    error = error_of(endpoints, name=name)
    assert (error.code, error.status) == ("ValidationError", 400)
    assert error.message == f"Endpoint {name} of account 000000000000 not found."


@pytest.mark.parametrize(
    ("raised", "code", "status", "message"),
    [
        (InvocationTimeoutError(), "ModelError", 424, "Your invocation timed out while waiting for a response"),
        (ModelServerGoneError("refused"), "ServiceUnavailable", 503, "The container of AllTraffic has ended"),
    ],
)
def test_invoke_with_failing_container_has_the_error_of_aws(
    raised: Exception, code: str, status: int, message: str
) -> None:
    error = error_of(FakeEndpoints("InService", deployment(raised)))
    assert (error.code, error.status) == (code, status)
    assert message in error.message
    assert error.fields.get("OriginalStatusCode") == (0 if code == "ModelError" else None)


def test_invoke_during_update_uses_the_new_deployment() -> None:
    old, new = deployment(ModelServerGoneError("retired")), deployment()
    assert invoke(FakeEndpoints("InService", old, new)).body == b"{}"


@pytest.mark.parametrize(("status", "whose"), [(415, "client"), (500, "server")])
def test_invoke_with_container_error_is_a_model_error_without_capture(status: int, whose: str) -> None:
    captures = FakeCapture()
    serving = deployment(ContainerAnswer(status, b"not a picture", "text/plain"))
    serving.capture = captures  # type: ignore[assignment]
    error = error_of(FakeEndpoints("InService", serving))
    assert error.message.startswith(
        f'Received {whose} error ({status}) from primary with message "not a picture". See https://'
    )
    assert error.fields["OriginalMessage"] == "not a picture"
    assert captures.invocations == []


def test_invoke_is_captured_and_forwards_no_credentials() -> None:
    captures, serving = FakeCapture(), deployment()
    serving.capture = captures  # type: ignore[assignment]
    answer = invoke(FakeEndpoints("InService", serving), body=b"picture")
    assert (answer.body, answer.variant) == (b"{}", "AllTraffic")
    [captured] = captures.invocations
    assert (captured.request_body, captured.request_type) == (b"picture", "image/png")
    server: Any = serving.server
    assert server.headers == {"content-type": "image/png", "accept": "application/json"}


def test_invoke_with_slow_fault_is_answered_after_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    monkeypatch.setattr("local.sagemaker.invocations.time.sleep", delays.append)
    faults = Faults()
    faults.put("scones", FaultRequest([Fault(FaultKind.SLOW, delay_seconds=5)]))
    assert invoke(FakeEndpoints("InService", deployment()), faults).body == b"{}"
    assert delays == [5]


def test_invoke_with_delay_over_the_limit_times_out_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    monkeypatch.setattr("local.sagemaker.invocations.time.sleep", delays.append)
    faults = Faults()
    faults.put("scones", FaultRequest([Fault(FaultKind.SLOW, delay_seconds=86_400)]))
    error = error_of(FakeEndpoints("InService", deployment(AssertionError())), faults=faults)
    assert (error.code, error.fields["OriginalStatusCode"]) == ("ModelError", 0)
    assert "Your invocation timed out while waiting for a response" in error.message
    assert delays == [60]
