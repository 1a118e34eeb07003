"""Filter Low Confidence: a decision is a function of numbers."""

import json
import math

import pytest

from functions.filter_low_confidence import app

EVENT = {
    "s3_key": "inbox/a.png",
    "inferences": [0.02, 0.98],
    "class_names": ["bicycle", "motorcycle"],
    "threshold": 0.9,
    "execution_arn": "arn:aws:states:us-east-1:000000000000:execution:MyStateMachine:run-7",
}


@pytest.mark.parametrize(
    "inferences",
    [
        [],
        [math.nan, 1.0],
        [1.5, -0.5],
        [True, False],
        ["0.9", "0.1"],
        [None, 1.0],
        [math.inf, 0],
        [10**400, 0],
    ],
)
def test_what_is_not_probabilities_is_refused(inferences):
    with pytest.raises(app.InvalidInferencesError):
        app.decide(inferences, ["bicycle", "motorcycle"], 0.9)


@pytest.mark.parametrize("inferences", [0.98, True, None, "0.9", {"bicycle": 0.98}])
def test_what_is_no_list_is_refused(inferences):
    with pytest.raises(app.InvalidInferencesError, match="not a list of probabilities"):
        app.decide(inferences, ["bicycle", "motorcycle"], 0.9)


@pytest.mark.parametrize("names", [None, 7, "ab", [1, 2], {"bicycle": 0, "motorcycle": 1}])
def test_what_is_no_list_of_names_is_refused(names):
    with pytest.raises(app.InvalidInferencesError, match="not a list of class names"):
        app.decide([0.98, 0.02], names, 0.9)


@pytest.mark.parametrize("names", [[], ["bicycle"], ["bicycle", "motorcycle", "car"], ["bicycle", "bicycle"]])
def test_a_label_is_never_read_off_a_list_that_does_not_fit(names):
    with pytest.raises(app.InvalidInferencesError, match="2 probabilities for"):
        app.decide([0.98, 0.02], names, 0.9)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, "0.9", None, True])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(app.InvalidThresholdError, match=r"\[0, 1\]"):
        app.decide([0.98, 0.02], ["bicycle", "motorcycle"], threshold)


@pytest.mark.parametrize(
    ("field", "error"),
    [
        ("inferences", app.InvalidInferencesError),
        ("class_names", app.InvalidInferencesError),
        ("threshold", app.InvalidThresholdError),
    ],
)
def test_a_missing_field_is_an_error(field, error):
    with pytest.raises(error, match="None"):
        app.lambda_handler({k: v for k, v in EVENT.items() if k != field}, None)


def test_an_event_that_is_no_object_is_refused():
    with pytest.raises(app.InvalidInferencesError, match="must be an object"):
        app.lambda_handler([0.98, 0.02], None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inferences", "threshold", "accepted"),
    [
        ([0.9, 0.1], 0.9, True),  # the threshold itself is enough
        ([math.nextafter(0.9, 0), 0.1], 0.9, False),
        ([0.1, 0.9], 0.9, True),
        ([1.0, 0.0], 1, True),
        ([0.6, 0.4], 0, True),
        ([0.5, 0.5], 0.5, False),  # a tie has no answer
        ([0.4, 0.4, 0.2], 0, False),
    ],
)
def test_an_answer_is_accepted_from_the_threshold_on(inferences, threshold, accepted):
    names = ["bicycle", "motorcycle", "car"][: len(inferences)]
    assert app.decide(inferences, names, threshold)["accepted"] is accepted


def test_the_event_keeps_its_fields_and_gains_the_decision():
    result = app.lambda_handler(EVENT, None)
    assert result == EVENT | {"label": "motorcycle", "confidence": 0.98, "accepted": True}


def test_the_log_says_what_was_decided(caplog):
    app.lambda_handler(EVENT, None)
    line = vars(caplog.records[-1])
    assert (line["label"], line["confidence"], line["accepted"]) == ("motorcycle", 0.98, True)
    assert app.logger.get_correlation_id() == EVENT["execution_arn"]


@pytest.mark.parity("cloudwatch-emf")
@pytest.mark.parametrize(("threshold", "accepted"), [(0.9, 1.0), (0.99, 0.0)])
def test_the_metrics_say_what_was_decided_for_all_and_for_the_class(capsys, threshold, accepted):
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


def test_a_failure_is_logged_under_the_executions_id_and_goes_on(caplog):
    with pytest.raises(app.InvalidThresholdError):
        app.lambda_handler(EVENT | {"threshold": 90, "execution_arn": "arn:run-8"}, None)
    assert caplog.records[-1].message == "picture not decided"
    assert app.logger.get_correlation_id() == "arn:run-8"
