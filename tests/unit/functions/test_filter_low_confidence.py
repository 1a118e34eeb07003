"""Filter Low Confidence: valid and invalid input, the decision, log and metrics."""

import json
import math
from typing import Any

import pytest

from functions.filter_low_confidence import app

EVENT: dict[str, Any] = {
    "s3_key": "inbox/a.png",
    "inferences": [0.02, 0.98],
    "class_names": ["bicycle", "motorcycle"],
    "threshold": 0.9,
    "execution_arn": "arn:aws:states:us-east-1:000000000000:execution:MyStateMachine:run-7",
}
NO_PROBABILITIES = "not a list of probabilities"
NO_NAMES = "not a list of class names"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("inferences", [], "0 probabilities for"),
        *(
            ("inferences", [value, 0], NO_PROBABILITIES)
            for value in (math.nan, math.inf, 1.5, -0.5, 10**400, True, "1", None)
        ),
        *(("inferences", value, NO_PROBABILITIES) for value in (0.98, True, None, "0.9", {"bicycle": 0.98})),
        *(("class_names", value, NO_NAMES) for value in (None, 7, "ab", [1, 2], {"bicycle": 0, "motorcycle": 1})),
        ("class_names", [], "2 probabilities for"),
        ("class_names", ["bicycle"], "2 probabilities for"),
        ("class_names", ["bicycle", "motorcycle", "car"], "2 probabilities for"),
        ("class_names", ["bicycle", "bicycle"], "2 probabilities for"),
    ],
)
def test_invalid_inferences_or_class_names_are_an_error(field, value, message):
    with pytest.raises(app.InvalidInferencesError, match=message):
        app.lambda_handler(EVENT | {field: value}, None)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, "0.9", None, True])
def test_invalid_threshold_is_an_error(threshold):
    with pytest.raises(app.InvalidThresholdError, match=r"\[0, 1\]"):
        app.lambda_handler(EVENT | {"threshold": threshold}, None)


@pytest.mark.parametrize("field", ["inferences", "class_names", "threshold"])
def test_missing_field_is_an_error(field):
    error = app.InvalidThresholdError if field == "threshold" else app.InvalidInferencesError
    with pytest.raises(error, match="None"):
        app.lambda_handler({k: v for k, v in EVENT.items() if k != field}, None)


@pytest.mark.parametrize(
    ("inferences", "threshold", "accepted"),
    [
        ([0.9, 0.1], 0.9, True),  # the threshold itself is enough
        ([math.nextafter(0.9, 0), 0.1], 0.9, False),
        ([0.1, 0.9], 0.9, True),
        ([1.0, 0.0], 1, True),
        ([0.6, 0.4], 0, True),
        ([0.5, 0.5], 0.5, False),  # a tie is never accepted
        ([0.4, 0.4, 0.2], 0, False),
    ],
)
def test_answer_is_accepted_from_the_threshold_on(inferences, threshold, accepted):
    names = ["bicycle", "motorcycle", "car"][: len(inferences)]
    assert app.decide(inferences, names, threshold)["accepted"] is accepted


def test_decision_is_added_to_the_event_and_logged(caplog):
    decision = {"label": "motorcycle", "confidence": 0.98, "accepted": True}
    assert app.lambda_handler(EVENT, None) == EVENT | decision
    assert decision.items() <= vars(caplog.records[-1]).items()
    assert app.logger.get_correlation_id() == EVENT["execution_arn"]


@pytest.mark.parity("cloudwatch-emf")
@pytest.mark.parametrize(("threshold", "accepted"), [(0.9, 1.0), (0.99, 0.0)])
def test_metrics_have_the_decision_for_all_and_for_the_class(capsys, threshold, accepted):
    app.lambda_handler(EVENT | {"threshold": threshold}, None)
    [line] = [text for text in capsys.readouterr().out.splitlines() if "_aws" in text]
    record = json.loads(line)
    [directive] = record.pop("_aws")["CloudWatchMetrics"]
    assert directive["Namespace"] == "tests"
    assert directive["Dimensions"] == [["service"], ["service", "label"]]
    assert record == {
        "service": "filter_low_confidence",
        "label": "motorcycle",
        "Confidence": [0.98],
        "Accepted": [accepted],
        "Reviewed": [1 - accepted],
    }
