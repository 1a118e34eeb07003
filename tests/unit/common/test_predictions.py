"""Predictions: one reader of the table's items, and the workflow that writes them keeps to the same names and rule."""

import json
import math
import re
from typing import Any

import pytest

from common.predictions import LOW_CONFIDENCE_ERROR, PredictionKey, is_accepted, read_item
from common.s3_picture import S3Picture
from common.settings import ROOT
from functions.filter_low_confidence.app import decide

STATES = json.loads((ROOT / "statemachine/MyStateMachine.asl.json").read_text())["States"]
VALUES = {"S": "text", "N": "0.5", "BOOL": False}


def example(attribute: Any) -> dict[str, Any]:
    """Return an attribute with an example instead of each expression; a whole one is an attribute of the key."""
    if isinstance(attribute, str):
        return {"S": "text"}
    return {kind: VALUES[kind] if str(value).startswith("{%") else value for kind, value in attribute.items()}


def written_item(state: str) -> dict[str, Any]:
    """Return the item that a state writes."""
    item = STATES[state]["Arguments"]["Item"]
    assert isinstance(item, dict)
    return {name: example(attribute) for name, attribute in item.items()}


@pytest.mark.parametrize(
    ("state", "stored_outcome", "answer"),
    [("Record Prediction", "accepted", "label"), ("Claim Review", "review", "guess")],
)
def test_item_of_the_workflow_is_read_whole(state, stored_outcome, answer):
    prediction = read_item(written_item(state))
    assert prediction.key == PredictionKey("text", "text")
    assert prediction.stored_outcome == stored_outcome
    assert prediction.outcome == ("accepted" if stored_outcome == "accepted" else None)  # not queued yet
    assert (prediction.label, prediction.guess) == (("text", None) if answer == "label" else (None, "text"))
    assert (prediction.confidence, prediction.execution_arn, prediction.decided_at) == (0.5, "text", "text")


def test_confirmed_review_is_an_outcome():
    assert re.search(r"\bqueued = :yes\b", STATES["Confirm Review"]["Arguments"]["UpdateExpression"])
    assert read_item(written_item("Claim Review") | {"queued": {"BOOL": True}}).outcome == "review"


def test_low_confidence_error_is_the_workflows():
    assert STATES["Threshold Confidence Not Met"]["Error"] == LOW_CONFIDENCE_ERROR


@pytest.mark.parametrize(
    ("item", "outcome"),
    [
        ({"outcome": {"S": "accepted"}, "label": {"S": "bicycle"}}, "accepted"),
        ({"outcome": {"S": "reviewed"}, "label": {"S": "neither"}}, "review"),
        ({"outcome": {"S": "review"}, "queued": {"BOOL": True}}, "review"),
        ({"outcome": {"S": "review"}, "queued": {"BOOL": False}}, None),
        ({"outcome": {"S": "review"}}, None),
        ({"outcome": {"S": "accepted"}}, None),
        ({"outcome": {"S": "reviewed"}}, None),
        ({"outcome": {"S": "of another version"}, "label": {"S": "bicycle"}}, None),
        ({"outcome": {"N": "1"}, "label": {"S": "bicycle"}}, None),
        ({"label": {"S": "bicycle"}}, None),
        ({}, None),
    ],
)
def test_item_without_attributes_has_no_outcome(item, outcome):
    assert read_item(item).outcome == outcome


@pytest.mark.parametrize(("version", "version_id"), [("v1", "v1"), (None, "null")])
def test_key_names_the_object_and_its_version(version, version_id):
    key = PredictionKey.of(S3Picture("bucket", "inbox/a b.png", version))
    assert key.attributes() == {"picture": {"S": "s3://bucket/inbox/a b.png"}, "version_id": {"S": version_id}}
    assert read_item(key.attributes()).key == key


@pytest.mark.parametrize(
    ("probabilities", "threshold", "accepted"),
    [
        ([0.9, 0.1], 0.9, True),
        ([0.1, 0.9], 0.9, True),
        ([0.89, 0.11], 0.9, False),
        ([math.nextafter(0.9, 0), 0.1], 0.9, False),
        ([0.9, 0.1], math.nextafter(0.9, 1), False),
        ([0.5, 0.5], 0.3, False),  # a tie
        ([0.4, 0.4, 0.2], 0, False),
        ([0.2, 0.4, 0.4], 0.3, False),
        ([0.4, 0.3, 0.3], 0.3, True),
        ([0.3, 0.4, 0.3], 0.5, False),
        ([1 / 3] * 3, 0, False),
        ([1.0, 0.0], 1.0, True),
        ([1.0, 0.0], 0, True),
    ],
)
def test_acceptance_rule_is_the_workflows(probabilities, threshold, accepted):
    assert is_accepted(probabilities, threshold) is accepted
    names = [f"class {number}" for number in range(len(probabilities))]
    assert decide(probabilities, names, threshold)["accepted"] is accepted
