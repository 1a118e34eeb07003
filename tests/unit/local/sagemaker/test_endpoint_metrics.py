from typing import Any

import pytest

from local.sagemaker.endpoint_metrics import MeasuredCall


class Recorder:
    """The recorded values by name."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def __call__(self, namespace: str, name: str, value: float, unit: str, **named: Any) -> None:
        self.values[name] = value
        dimensions = {"EndpointName": "scones", "VariantName": "AllTraffic"}
        assert (namespace, named) == ("AWS/SageMaker", {"dimensions": dimensions})
        assert unit == ("Microseconds" if name.endswith("Latency") else "None")


@pytest.mark.parametrize(
    ("status", "client", "server"),
    [(200, 0, 0), (400, 1, 0), (415, 1, 0), (500, 0, 1), (503, 0, 1), (0, 0, 1)],
)
def test_send_counts_errors_by_status(status: int, client: int, server: int) -> None:
    call, recorder = MeasuredCall("scones"), Recorder()
    call.variant = "AllTraffic"
    call.send(status, recorder)
    values = recorder.values
    assert values["Invocations"] == 1
    assert (values["Invocation4XXErrors"], values["Invocation5XXErrors"]) == (client, server)


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
