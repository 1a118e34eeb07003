from typing import Any

import pytest

from local.sagemaker.endpoint_metrics import MeasuredCall


class Recorder:
    """The recorded values by name, and the dimensions."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.dimensions: set[tuple[str, str, str]] = set()

    def __call__(self, namespace: str, name: str, value: float, unit: str, **named: Any) -> None:
        dimensions = named["dimensions"]
        self.values[name] = value
        self.dimensions.add((namespace, dimensions["EndpointName"], dimensions["VariantName"]))
        assert unit == ("Microseconds" if name.endswith("Latency") else "None")


def sent(status: int, variant: str = "AllTraffic", *, reached: bool = True) -> Recorder:
    call = MeasuredCall("scones")
    call.variant = variant
    if reached:
        with call.model():
            pass
    recorder = Recorder()
    call.send(status, recorder)
    return recorder


@pytest.mark.parametrize(
    ("status", "client", "server"),
    [(200, 0, 0), (400, 1, 0), (415, 1, 0), (500, 0, 1), (503, 0, 1), (0, 0, 1)],
)
def test_send_counts_errors_by_status(status: int, client: int, server: int) -> None:
    values = sent(status).values
    assert values["Invocations"] == 1
    assert (values["Invocation4XXErrors"], values["Invocation5XXErrors"]) == (client, server)


def test_send_has_endpoint_and_variant_as_dimensions() -> None:
    assert sent(200, "Green").dimensions == {("AWS/SageMaker", "scones", "Green")}


def test_send_without_variant_records_nothing() -> None:
    assert sent(400, "").values == {}


def test_send_for_call_outside_the_container_has_no_latency() -> None:
    assert set(sent(400, reached=False).values) == {
        "Invocations",
        "Invocation4XXErrors",
        "Invocation5XXErrors",
    }


def test_send_separates_model_and_overhead_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 3.0, 4.0, 4.5, 5.0])
    monkeypatch.setattr("local.sagemaker.endpoint_metrics.time.perf_counter", now.__next__)
    call = MeasuredCall("scones")
    call.variant = "AllTraffic"
    for _ in range(2):
        with call.model():
            pass
    recorder = Recorder()
    call.send(200, recorder)
    assert recorder.values["ModelLatency"] == 2.5e6
    assert recorder.values["OverheadLatency"] == 2.5e6
