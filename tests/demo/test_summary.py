"""Checks of a demo run on the real pictures; run after `make demo DATA=...`."""

import json
from typing import Any

import pytest

from common.settings import ROOT, project


@pytest.fixture(scope="module")
def summary() -> Any:
    return json.loads((ROOT / "reports/demo/summary.json").read_text())


def test_every_picture_has_an_outcome(summary):
    executions = summary["executions"]
    assert sum(summary["data"]["test"].values()) == executions["started"] == 200
    assert executions["accepted"] + executions["review"] == 200
    assert executions["failed"] == 0


def test_no_answer_below_the_threshold_was_accepted_and_no_resource_is_left(summary):
    assert summary["accepted_below_threshold"] == 0
    assert summary["coverage"] == summary["executions"]["accepted"] / 200
    assert summary["resources_left"] == 0


def test_model_meets_its_accuracy(summary):
    assert summary["accuracy"] >= 0.88
    assert summary["accuracy_accepted"] >= 0.95
    assert summary["expected_calibration_error"] <= 0.08


def test_workflow_used_the_recommended_threshold(summary):
    recommended = summary["recommendation"]
    assert summary["threshold"] == max(recommended["threshold"], project().confidence_threshold)
    assert summary["evaluated_threshold"] == summary["threshold"]
    assert recommended["pictures"] >= 80  # an eighth of what is not for testing


def test_transitions_count_every_picture(summary):
    times = {(t["from"], t["to"]): t["times"] for t in summary["transitions"]}
    executions = summary["executions"]
    assert sum(n for (before, _), n in times.items() if before == "Start") == 200
    assert sum(n for (_, after), n in times.items() if after == "End") == 200
    assert times["Is Accepted", "Record Prediction"] == executions["accepted"]
    assert times["Is Accepted", "Claim Review"] == executions["review"]


def test_every_call_of_the_endpoint_is_in_the_monitoring_report(summary):
    monitor = summary["monitor"]
    # One for each picture, one smoke test, and repeated calls.
    assert monitor["predictions"] >= 201
    assert monitor["lines"] == monitor["predictions"]
    assert monitor["damaged"] == 0
    assert monitor["threshold"] == summary["threshold"]


def test_figures_of_the_monitoring_report_follow_from_the_outcomes(summary):
    """They are recomputed from the workflow's outcomes, without the captures."""
    monitor = json.loads((ROOT / "reports/demo/monitor/monitor.json").read_text())
    pictures = summary["pictures"]
    more = monitor["predictions"] - len(pictures)  # the smoke test, and repeated calls
    assert 1 <= more <= 10
    confidences = [picture["confidence"] for picture in pictures]
    rest = monitor["mean_confidence"] * monitor["predictions"] - sum(confidences)
    assert 0.5 * more - 0.05 <= rest <= more + 0.05  # of two classes, the likeliest has at least a half
    accepted = monitor["coverage"] * monitor["predictions"]
    assert 0 <= round(accepted, 3) - summary["executions"]["accepted"] <= more
    for name, count in monitor["classes"].items():
        assert 0 <= count - sum(picture["label"] == name for picture in pictures) <= more
