"""What a demo run on the real pictures must have shown; run after `make demo DATA=...`."""

import json
from typing import Any

import pytest

from training.settings import CONFIDENCE_THRESHOLD, ROOT


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / "reports/demo/summary.json").read_text())
    return read


def test_every_picture_is_accounted_for(summary):
    executions = summary["executions"]
    assert sum(summary["data"]["test"].values()) == executions["started"] == 200
    assert executions["accepted"] + executions["below_threshold"] == 200
    assert executions["failed"] == 0


def test_no_answer_below_the_threshold_was_accepted(summary):
    assert summary["accepted_below_threshold"] == 0
    assert summary["coverage"] == summary["executions"]["accepted"] / 200


def test_nothing_is_left(summary):
    assert summary["resources_left"] == 0


def test_the_model_is_worth_asking(summary):
    assert summary["accuracy"] >= 0.88
    assert summary["accuracy_accepted"] >= 0.95
    assert summary["expected_calibration_error"] <= 0.08


def test_the_workflow_decided_with_what_the_model_recommends(summary):
    recommended = summary["recommendation"]
    assert summary["threshold"] == max(recommended["threshold"], CONFIDENCE_THRESHOLD)
    assert summary["evaluated_threshold"] == summary["threshold"]
    assert recommended["pictures"] >= 80  # an eighth of what is not for testing
