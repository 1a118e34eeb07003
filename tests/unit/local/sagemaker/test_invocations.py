import time
from typing import Any

import pytest

from local.sagemaker.data_capture import CapturedInvocation
from local.sagemaker.endpoints import Deployment
from local.sagemaker.errors import AwsError
from local.sagemaker.faults import Fault, FaultKind, Faults
from local.sagemaker.invocations import MAX_BODY_BYTES, Invocation, Invocations
from local.sagemaker.model_server import (
    ContainerAnswer,
    InvocationTimeoutError,
    ModelServerGoneError,
)

PNG = {"content-type": "image/png", "accept": "application/json", "authorization": "secret"}


class Server:
    """A model server that gives one answer, or raises it."""

    def __init__(self, answer: ContainerAnswer | Exception) -> None:
        self.answer = answer
        self.headers: dict[str, str] = {}

    def invoke(self, _body: bytes, headers: dict[str, str]) -> ContainerAnswer:
        self.headers = headers
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Endpoints:
    """One endpoint, `scones`, with a status and what serves it; more deployments come in turn."""

    def __init__(self, status: str, *deployments: Deployment | None) -> None:
        self.status = status
        self.deployments = list(deployments)

    def serving(self, name: str) -> tuple[str, Deployment | None]:
        if name != "scones":
            raise KeyError(name)
        first, *rest = self.deployments
        self.deployments = rest or [first]
        return self.status, first


class Captures:
    """What would have been captured."""

    def __init__(self) -> None:
        self.seen: list[CapturedInvocation] = []

    def record(self, _variant: str, invocation: CapturedInvocation) -> None:
        self.seen.append(invocation)


GOOD = ContainerAnswer(200, b"{}", "application/json")


def deployment(answer: ContainerAnswer | Exception = GOOD, **weights: float) -> Deployment:
    variants = [
        {"VariantName": name, "InitialVariantWeight": weight}
        for name, weight in (weights or {"AllTraffic": 1.0}).items()
    ]
    servers: Any = {variant["VariantName"]: Server(answer) for variant in variants}
    return Deployment({"ProductionVariants": variants}, {}, servers)


def ignore(*_point: Any, **_about: Any) -> None:
    """Take a data point of no interest here; tests/unit/local/sagemaker/test_endpoint_metrics.py has them."""


def invoke(
    endpoints: Any,
    faults: Faults | None = None,
    body: bytes = b"x",
    name: str = "scones",
    target: str | None = None,
) -> Any:
    headers = PNG if target is None else PNG | {"x-amzn-sagemaker-target-variant": target}
    call = Invocation(name, body, headers)
    return Invocations(endpoints, faults or Faults(), ignore).invoke(call)


def error_of(endpoints: Any, **arguments: Any) -> AwsError:
    with pytest.raises(AwsError) as refused:
        invoke(endpoints, **arguments)
    return refused.value


@pytest.mark.parametrize(
    ("endpoints", "name"),
    [
        (Endpoints("InService", deployment()), "other"),
        (Endpoints("Creating", None), "scones"),
        (Endpoints("Failed", None), "scones"),
        (Endpoints("Deleting", deployment()), "scones"),
    ],
    ids=["unknown", "creating", "failed", "deleting"],
)
def test_an_endpoint_that_does_not_serve_is_not_found(endpoints: Any, name: str) -> None:
    error = error_of(endpoints, name=name)
    assert (error.code, error.status) == ("ValidationError", 400)
    assert error.message == f"Endpoint {name} of account 000000000000 not found."


def test_a_body_over_the_limit_never_reaches_the_container() -> None:
    error = error_of(Endpoints("InService", deployment(AssertionError())), body=b"x" * (MAX_BODY_BYTES + 1))
    assert (error.code, error.status) == ("413", 413)


def test_a_container_that_takes_longer_than_60_seconds() -> None:
    error = error_of(Endpoints("InService", deployment(InvocationTimeoutError())))
    assert (error.code, error.status, error.fields["OriginalStatusCode"]) == ("ModelError", 424, 0)
    assert "Your invocation timed out while waiting for a response" in error.message


def test_a_container_that_is_gone() -> None:
    error = error_of(Endpoints("InService", deployment(ModelServerGoneError("refused"))))
    assert (error.code, error.status) == ("ServiceUnavailable", 503)


def test_a_call_that_an_update_overtakes_goes_to_the_new_deployment() -> None:
    old, new = deployment(ModelServerGoneError("retired")), deployment()
    assert invoke(Endpoints("InService", old, new)).body == b"{}"


@pytest.mark.parametrize(("status", "whose"), [(415, "client"), (500, "server")])
def test_a_containers_error_is_passed_on_and_not_captured(status: int, whose: str) -> None:
    captures = Captures()
    serving = deployment(ContainerAnswer(status, b"not a picture", "text/plain"))
    serving.capture = captures  # type: ignore[assignment]
    error = error_of(Endpoints("InService", serving))
    assert error.message.startswith(
        f'Received {whose} error ({status}) from primary with message "not a picture". See https://'
    )
    assert error.fields["OriginalMessage"] == "not a picture"
    assert captures.seen == []


def test_a_good_call_is_captured_and_its_credentials_stay_outside() -> None:
    captures, serving = Captures(), deployment()
    serving.capture = captures  # type: ignore[assignment]
    answer = invoke(Endpoints("InService", serving), body=b"picture")
    assert (answer.body, answer.variant) == (b"{}", "AllTraffic")
    [captured] = captures.seen
    assert (captured.request_body, captured.request_type) == (b"picture", "image/png")
    server: Any = serving.servers["AllTraffic"]
    assert server.headers == {"content-type": "image/png", "accept": "application/json"}


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        (FaultKind.THROTTLED, "ThrottlingException", 400),
        (FaultKind.UNAVAILABLE, "ServiceUnavailable", 503),
        (FaultKind.FAILING, "ModelError", 424),
        (FaultKind.REFUSING, "ModelError", 424),
        (FaultKind.GONE, "ValidationError", 400),
    ],
)
def test_a_fault_is_the_error_that_aws_gives(kind: FaultKind, code: str, status: int) -> None:
    faults = Faults()
    faults.put("scones", Fault(kind))
    error = error_of(Endpoints("InService", deployment(AssertionError())), faults=faults)
    assert (error.code, error.status) == (code, status)


def test_a_slow_call_is_answered_all_the_same() -> None:
    faults = Faults()
    faults.put("scones", Fault(FaultKind.SLOW, delay_seconds=0.05))
    began = time.monotonic()
    assert invoke(Endpoints("InService", deployment()), faults).body == b"{}"
    assert time.monotonic() - began >= 0.05


def test_the_variants_share_the_calls_by_weight() -> None:
    serving = deployment(a=1.0, b=3.0)
    marks = [0.0, 0.24, 0.25, 0.99]
    chosen = [serving.choose_variant(iter([mark]).__next__) for mark in marks]
    assert chosen == ["a", "a", "b", "b"]


def test_a_call_can_name_its_variant() -> None:
    endpoints = Endpoints("InService", deployment(a=1.0, b=1.0))
    assert invoke(endpoints, target="b").variant == "b"
    assert error_of(endpoints, target="c").message == ("Variant c of endpoint scones not found.")


def test_a_call_slower_than_the_limit_times_out_at_the_limit() -> None:
    """The fault is far slower than any test may be: only its first 0.01 s are waited for."""
    faults = Faults()
    faults.put("scones", Fault(FaultKind.SLOW, delay_seconds=86_400))
    serving: Any = Endpoints("InService", deployment(AssertionError()))
    with pytest.raises(AwsError) as slow:
        Invocations(serving, faults, ignore, 0.01).invoke(Invocation("scones", b"x", PNG))
    assert (slow.value.code, slow.value.fields["OriginalStatusCode"]) == ("ModelError", 0)
    assert "Your invocation timed out while waiting for a response" in slow.value.message
