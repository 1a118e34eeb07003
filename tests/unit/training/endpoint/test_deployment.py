"""The deploy command: the recommended threshold, and never a lower one by default."""

from unittest.mock import Mock

import pytest
from botocore.exceptions import EndpointConnectionError

from common import settings
from tests.unit.aws_stubs import StubbedSession, client_error
from tests.unit.training.model_archives import MODEL_DATA
from training.container.picture_model.calibration import Recommendation
from training.endpoint import deployment
from training.endpoint.deployment import (
    chosen_threshold,
    deploy_command,
    deploy_parameters,
    recommend,
    threshold_words,
)


@pytest.fixture(autouse=True)
def _samconfig(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    parameters = {"EndpointName": "a", "ConfidenceThreshold": "0.90", "ClassNames": "a b"}
    project = settings.Project("project", "stack", "a", 0.9, parameters)
    monkeypatch.setattr(settings, "project", lambda: project)


def recommended(threshold, *, met):
    return Recommendation(
        threshold=threshold,
        met=met,
        pictures=800,
        accepted=640,
        errors=1,
        coverage=0.8,
        error_bound=0.009 if met else 0.02,
        max_error=0.01,
        confidence_level=0.95,
    )


@pytest.mark.parametrize(
    ("recommendation", "threshold"),
    [
        (None, 0.9),
        (recommended(0.8123, met=True), 0.8123),
        (recommended(0.9512, met=True), 0.9512),
        (recommended(0.9512, met=False), 0.9512),
        (recommended(0.6, met=False), 0.9),
    ],
    ids=["none", "met lower", "met higher", "not met higher", "not met lower"],
)
def test_chosen_threshold_is_lowered_only_by_a_met_recommendation(recommendation, threshold):
    assert chosen_threshold(recommendation) == threshold


def test_threshold_words_state_the_source():
    met = recommended(0.8123, met=True)
    assert threshold_words(met, "") == str(met)
    assert threshold_words(None, "It has no held_out.json.") == (
        "It has no held_out.json. So 0.9 stays, as in samconfig.toml."
    )
    assert threshold_words(recommended(0.6, met=False), "").endswith(
        "an error of at most 2.0%. So the higher 0.9 of samconfig.toml stays."
    )


@pytest.mark.parametrize(
    ("endpoint", "recommendation", "overrides"),
    [
        ("a", None, ""),
        ("a", recommended(0.9, met=True), ""),
        ("mine", None, " --parameter-overrides EndpointName=mine ConfidenceThreshold=0.90 'ClassNames=a b'"),
        (
            "a",
            recommended(0.8123, met=True),
            " --parameter-overrides EndpointName=a ConfidenceThreshold=0.8123 'ClassNames=a b'",
        ),
    ],
    ids=["samconfig", "same threshold", "another endpoint", "recommended threshold"],
)
def test_deploy_command_overrides_all_parameters_if_one_differs(endpoint, recommendation, overrides):
    assert deploy_command(deploy_parameters(endpoint, recommendation)) == f"sam build && sam deploy{overrides}"


def test_deploy_command_on_the_laptop_names_its_part_of_samconfig(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    assert deploy_command(deploy_parameters("a", None)) == (
        "sam build --config-env local && sam deploy --config-env local"
    )


@pytest.mark.parametrize(
    "error",
    [
        client_error("AccessDenied", "why"),
        client_error("NoSuchKey", "why"),
        EndpointConnectionError(endpoint_url="http://s3"),
    ],
)
def test_recommend_without_readable_model_returns_the_reason(monkeypatch, error):
    monkeypatch.setattr(deployment, "read_model_artifact", Mock(side_effect=error))
    assert recommend(StubbedSession(), None, MODEL_DATA) == (None, None, str(error))
