from typing import Any
from unittest.mock import Mock

import pytest

from local.sagemaker.endpoints import Deployment
from local.sagemaker.errors import AwsError
from local.sagemaker.faults import Fault, FaultKind, FaultRequest, Faults
from local.sagemaker.invocations import Invocations, MeasuredCall
from local.sagemaker.model_server import ContainerAnswer, InvocationTimeoutError, ModelServerGoneError

PNG = {"content-type": "image/png", "accept": "application/json", "authorization": "secret"}
ANSWER = ContainerAnswer(200, b"{}", "application/json")


def deployment(answer: ContainerAnswer | Exception = ANSWER) -> Deployment:
    """Return a deployment whose container returns or raises an answer."""
    config = {"ProductionVariants": [{"VariantName": "AllTraffic"}]}
    return Deployment(config, {}, Mock(invoke=Mock(side_effect=[answer])), Mock())


def invoke(*serving: Any, fault: Fault | None = None) -> Any:
    """Invoke the endpoint `scones`, which has these deployments one after the other."""
    faults = Faults()
    if fault is not None:
        faults.put("scones", FaultRequest([fault]))
    endpoints = Mock(serving=Mock(side_effect=serving))
    return Invocations(endpoints, faults, Mock()).invoke("scones", b"picture", PNG)


def test_invoke_endpoint_out_of_service_is_not_found():
    with pytest.raises(AwsError) as raised:
        invoke(None)
    assert (raised.value.code, raised.value.status) == ("ValidationError", 400)
    assert raised.value.message == "Endpoint scones of account 000000000000 not found."


@pytest.mark.parametrize(
    ("answer", "code", "original", "message"),
    [
        (InvocationTimeoutError(), "ModelError", 0, "Your invocation timed out while waiting for a response"),
        (ModelServerGoneError("refused"), "ServiceUnavailable", None, "The container of AllTraffic has ended: refused"),
        (ContainerAnswer(500, b"no", ""), "ModelError", 500, 'server error (500) from primary with message "no"'),
    ],
    ids=["timeout", "ended", "server error"],
)
def test_invoke_with_failing_container_has_the_error_of_aws_and_no_capture(answer, code, original, message):
    failing: Any = deployment(answer)
    with pytest.raises(AwsError) as raised:
        invoke(failing, failing)
    assert (raised.value.code, raised.value.fields.get("OriginalStatusCode")) == (code, original)
    assert message in raised.value.message
    failing.capture.record.assert_not_called()


def test_invoke_during_update_uses_the_new_deployment():
    old, new = deployment(ModelServerGoneError("retired")), deployment()
    assert invoke(old, new) == (ANSWER, "AllTraffic")


def test_invoke_is_captured_and_forwards_no_credentials():
    serving: Any = deployment()
    assert invoke(serving) == (ANSWER, "AllTraffic")
    serving.server.invoke.assert_called_once_with(
        b"picture", {"content-type": "image/png", "accept": "application/json"}
    )
    [(variant, captured)] = [call.args for call in serving.capture.record.call_args_list]
    assert (variant, captured.request_body, captured.request_type) == ("AllTraffic", b"picture", "image/png")


@pytest.mark.parametrize(("delay_seconds", "slept"), [(5, 5), (86_400, 60)])
def test_invoke_with_slow_fault_is_delayed_up_to_the_limit(monkeypatch, delay_seconds, slept):
    delays: list[float] = []
    monkeypatch.setattr("local.sagemaker.invocations.time.sleep", delays.append)
    slow = Fault(FaultKind.SLOW, delay_seconds=delay_seconds)
    if slept < 60:
        assert invoke(deployment(), fault=slow) == (ANSWER, "AllTraffic")
    else:
        with pytest.raises(AwsError, match="Your invocation timed out while waiting for a response"):
            invoke(deployment(), fault=slow)
    assert delays == [slept]


def sent_metrics(call: MeasuredCall, status: int) -> dict[str, tuple[float, str]]:
    """Return value and unit of each metric of a call."""
    call.variant = "AllTraffic"
    record = Mock()
    call.send(status, record)
    dimensions = {"EndpointName": "scones", "VariantName": "AllTraffic"}
    assert all(each.kwargs == {"dimensions": dimensions} for each in record.call_args_list)
    assert {each.args[0] for each in record.call_args_list} == {"AWS/SageMaker"}
    return {name: (value, unit) for _, name, value, unit in (each.args for each in record.call_args_list)}


@pytest.mark.parametrize(
    ("status", "client", "server"),
    [(200, 0, 0), (400, 1, 0), (415, 1, 0), (500, 0, 1), (503, 0, 1), (0, 0, 1)],
)
def test_metrics_count_errors_by_status(status, client, server):
    assert sent_metrics(MeasuredCall("scones"), status) == {
        "Invocations": (1, "None"),
        "Invocation4XXErrors": (client, "None"),
        "Invocation5XXErrors": (server, "None"),
    }


def test_metrics_separate_model_and_overhead_latency(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 4.0, 4.5, 5.0])
    monkeypatch.setattr("local.sagemaker.invocations.time.perf_counter", now.__next__)
    call = MeasuredCall("scones")
    for _ in range(2):
        with call.model():
            pass
    metrics = sent_metrics(call, 200)
    assert metrics["ModelLatency"] == metrics["OverheadLatency"] == (2.5e6, "Microseconds")
