"""Metadata and held-out answers of a model archive are read, and refused if invalid."""

import gzip

import pytest

from tests.unit.aws_stubs import StubbedSession, stubbed
from tests.unit.training.model_archives import (
    MODEL_DATA,
    add_endpoint_config,
    body,
    held_out,
    model_archive,
)
from tests.unit.training.sagemaker_answers import model_summary
from training.endpoint import model_artifact
from training.endpoint.model_artifact import (
    ModelArtifact,
    ModelArtifactError,
    NoHeldOutAnswersError,
    endpoint_model_data,
    read_model_artifact,
)


def read(archive: bytes, length: int | None = None) -> ModelArtifact:
    s3, stubber = stubbed("s3")
    stubber.add_response("get_object", body(archive, length))
    return read_model_artifact(s3, MODEL_DATA)


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"no archive",
        gzip.compress(b"no tar" * 1000),
        model_archive(held_out(1000))[:-2000],
    ],
    ids=["empty", "not gzip", "not tar", "cut short"],
)
def test_damaged_archive_is_refused(archive):
    with pytest.raises(ModelArtifactError, match=f"{MODEL_DATA} cannot be read"):
        read(archive)


def test_archive_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(model_artifact, "MOST_UNPACKED_BYTES", 50_000)
    with pytest.raises(ModelArtifactError, match="unpacks to far more than a model"):
        read(model_archive(None, {"long": "x" * 100_000}))


def test_large_archive_is_refused_before_its_download():
    with pytest.raises(ModelArtifactError, match="has 500 MiB, far more than"):
        read(b"", 500 * 1024**2)


def changed(**changes: object) -> dict:
    return held_out(3) | changes


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("{", "held_out.json is not JSON"),
        ("[]", "held_out.json is no JSON object"),
        ({}, "does not hold a class"),
        (changed(truth=[0, 1]), "does not hold a class"),
        (changed(truth=[0, 1, 2]), "does not hold a class"),
        (changed(truth=[0, 1, True]), "does not hold a class"),
        (changed(truth=[], probabilities=[]), "does not hold a class"),
        (changed(classes=["bicycle"]), "does not hold a class"),
        (changed(classes=[1, 2]), "does not hold a class"),
        (changed(probabilities=[[0.5, 0.5], [1.5, -0.5], [1, 0]]), "does not hold a class"),
        (changed(probabilities=[[0.5, 0.5], [float("nan"), 1], [1, 0]]), "does not hold a class"),
        (changed(probabilities=[[0.5, 0.5], ["1", "0"], [1, 0]]), "does not hold a class"),
    ],
)
def test_invalid_held_out_answers_are_refused(answers, message):
    with pytest.raises(ModelArtifactError, match=message):
        read(model_archive(answers))


def test_recommendation_from_ties_only_fails():
    ties = changed(probabilities=[[0.5, 0.5]] * 3)
    with pytest.raises(ModelArtifactError, match="Nothing can be recommended: every held-out"):
        read(model_archive(ties)).recommendation()


@pytest.mark.parametrize("value", [0, 1, "0.01", None, float("nan")])
def test_recommendation_with_invalid_max_error_fails(value):
    artifact = read(model_archive(held_out(3), {"calibration": {"max_error": value}}))
    with pytest.raises(ModelArtifactError, match="gives max_error as"):
        artifact.recommendation()


@pytest.mark.parametrize("prefix", ["", "./"])
def test_archive_is_read_with_and_without_prefix(prefix):
    artifact = read(model_archive(held_out(400), {"classes": ["a"]}, prefix))

    assert artifact.metadata == {"classes": ["a"]}
    assert artifact.held_out.source == "cross-validation"
    assert artifact.held_out.answers()[0][0] == 0.6
    assert len(artifact.held_out.truth) == 400


def test_max_error_is_the_argument_or_the_trainings_or_the_default():
    trained = {"calibration": {"max_error": 0.05, "confidence_level": 0.9}}
    answers = held_out(400, wrong=4)

    plain = read(model_archive(answers)).recommendation()
    assert (plain.max_error, plain.confidence_level, plain.met) == (0.01, 0.95, False)
    own = read(model_archive(answers, trained)).recommendation()
    assert (own.max_error, own.confidence_level, own.met) == (0.05, 0.9, True)
    asked = read(model_archive(answers, trained)).recommendation(0.02)
    assert (asked.max_error, asked.confidence_level) == (0.02, 0.9)


@pytest.mark.parametrize(
    "variants",
    [
        [{"VariantName": "a", "ModelName": "m"}, {"VariantName": "b", "ModelName": "n"}],
        [{"VariantName": "a"}],  # serves inference components
    ],
)
def test_endpoint_model_data_of_several_models_fails(variants):
    session = StubbedSession()
    add_endpoint_config(session, variants)
    with pytest.raises(NoHeldOutAnswersError, match="Endpoint e serves not one model"):
        endpoint_model_data(session.client("sagemaker"), "e")


def test_endpoint_model_data_without_archive_fails():
    session = StubbedSession()
    add_endpoint_config(session, [{"VariantName": "a", "ModelName": "m"}])
    session.stub("sagemaker").add_response("describe_model", {**model_summary("m"), "Containers": []})
    with pytest.raises(NoHeldOutAnswersError, match=r"Endpoint e serves no model\.tar\.gz"):
        endpoint_model_data(session.client("sagemaker"), "e")
