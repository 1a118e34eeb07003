import json
from typing import Any

import pytest

from local.ministack.embedded_metrics import metrics_in


def line(directives: Any, **targets: Any) -> str:
    """Return a log line in the embedded metric format."""
    return json.dumps({"_aws": {"Timestamp": 1_700_000_000_000, "CloudWatchMetrics": directives}} | targets)


def directive(*dimensions: list[str], **metric: Any) -> dict[str, Any]:
    return {"Namespace": "Scones", "Dimensions": list(dimensions), "Metrics": [{"Name": "Confidence"} | metric]}


def points(values: list[float], unit: str = "None", **dimensions: str) -> dict[str, Any]:
    return {
        "namespace": "Scones",
        "name": "Confidence",
        "values": values,
        "unit": unit,
        "dimensions": dimensions,
        "timestamp": 1_700_000_000.0,
    }


@pytest.mark.parametrize(
    "text",
    [
        "START RequestId: 1",
        '{"level": "INFO", "message": "picture decided"}',
        '"_aws"',
        '{"_aws": ',
        '{"_aws": 1}',
        '{"_aws": {"CloudWatchMetrics": 1}}',
        '{"_aws": {"CloudWatchMetrics": [1, {"Namespace": "", "Metrics": []}]}}',
        '{"_aws": {"CloudWatchMetrics": [{"Namespace": "S", "Metrics": [1, {"Name": 2}]}]}}',
        line([directive([])]),
        line([directive([])], Confidence="0.9"),
        line([directive([])], Confidence=True),
        line([directive([])], Confidence=float("nan")),
        line([directive([])], Confidence=[0.5, None]),
        line([directive([])], Confidence=[0.5] * 101),
        line([directive(["label"])], Confidence=0.9),
        line([directive(["label"])], Confidence=0.9, label=3),
        line([directive(["label"])], Confidence=0.9, label=""),
    ],
)
def test_metrics_in_invalid_line_is_empty(text):
    assert metrics_in(text) == []


@pytest.mark.parametrize(
    ("directives", "targets", "expected"),
    [
        (directive([], Unit="Percent"), {"Confidence": 93}, [points([93.0], "Percent")]),
        (directive([]), {"Confidence": [0.5, 1]}, [points([0.5, 1.0])]),
        (
            directive([], ["label"], ["label", "service"]),
            {"Confidence": 0.9, "label": "bicycle", "service": "filter"},
            [points([0.9]), points([0.9], label="bicycle"), points([0.9], label="bicycle", service="filter")],
        ),
        (
            directive(["label"], ["absent"]),
            {"Confidence": 1, "label": "bicycle"},
            [points([1.0], label="bicycle")],
        ),
    ],
    ids=["unit", "several values", "several sets of dimensions", "a set with a missing name"],
)
def test_metrics_in_valid_line_has_a_metric_per_set_of_dimensions(directives, targets, expected):
    assert metrics_in(line([directives], **targets)) == expected


@pytest.mark.parity("cloudwatch-emf")
def test_metrics_in_output_of_powertools_has_values_and_dimensions(capsys):
    from aws_lambda_powertools.metrics import Metrics, MetricUnit

    metrics = Metrics(service="filter", namespace="Scones")
    metrics.add_metric("Confidence", MetricUnit.NoUnit, 0.9)
    metrics.add_metric("Confidence", MetricUnit.NoUnit, 0.7)
    metrics.add_dimension("label", "bicycle")
    metrics.flush_metrics()
    [found] = metrics_in(capsys.readouterr().out.strip())
    assert (found["namespace"], found["name"], found["values"]) == ("Scones", "Confidence", [0.9, 0.7])
    assert found["dimensions"] == {"label": "bicycle", "service": "filter"}
