"""Samples and baselines are read from every kind of location, and invalid ones are refused."""

import json

import numpy as np
import pytest

from operations.monitoring.sample import NoBaselineError, Sample, SampleError, read_baseline
from tests.archives import tar_gz
from tests.unit.aws_stubs import stubbed
from tests.unit.training.model_archives import body
from training.endpoint.model_artifact import MOST_BYTES, MissingModelError, ModelArtifactError

GOOD = {
    "source": "training",
    "answered_by": "model",
    "labels": ["bicycle", "motorcycle"],
    "confidences": [0.9, 0.75],
    "features": {"brightness": [0.5, 0.25, 0.125]},
    "formats": ["PNG", "PNG", "JPEG"],
    "distances": [9.5, 8],
}


def test_sample_survives_writing_and_reading():
    sample = Sample.from_json(GOOD)
    assert sample.to_json() == GOOD
    assert sample.pictures == 3
    assert sample.features["brightness"].dtype == np.float64
    assert Sample.from_json(GOOD | {"distances": None}).to_json()["distances"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["bicycle"]}, "1 labels and 2 confidences"),
        ({"labels": "bicycle"}, "labels are 'bicycle', not a list of texts"),
        ({"formats": [1]}, r"formats are \[1\], not a list of texts"),
        ({"confidences": [0.5, 1.5]}, "confidences are not all from 0 to 1"),
        ({"confidences": [0.5, float("nan")]}, "confidences are .*not a list of numbers"),
        ({"confidences": [0.5, True]}, "confidences are .*not a list of numbers"),
        ({"features": {"brightness": ["dark"]}}, r"brightness are \['dark'\]"),
        ({"features": []}, r"features are \[\], not an object"),
        ({"distances": {}}, "distances are {}"),
        ({"answered_by": "nobody"}, "answered_by is 'nobody', not model or member"),
        ([], "not a JSON object"),
    ],
)
def test_invalid_sample_is_refused(changes, message):
    with pytest.raises(SampleError, match=message):
        Sample.from_json(changes if isinstance(changes, list) else GOOD | changes)


def test_baseline_is_read_from_folder_archive_and_file(tmp_path):
    text = json.dumps(GOOD)
    (tmp_path / "baseline.json").write_text(text)
    (tmp_path / "model.tar.gz").write_bytes(tar_gz({"./baseline.json": text, "./model.pt": "weights"}))
    for location in (tmp_path, tmp_path / "baseline.json", tmp_path / "model.tar.gz"):
        assert read_baseline(location).to_json() == GOOD
        assert read_baseline(str(location)).to_json() == GOOD


def test_report_without_a_sample_is_no_baseline(tmp_path):
    report = tmp_path / "monitor.json"
    report.write_text(json.dumps({"lines": 2}))
    with pytest.raises(NoBaselineError, match="has no sample to compare with"):
        read_baseline(report)


def test_baseline_is_read_from_an_archive_in_s3_unless_too_large():
    client, stub = stubbed("s3")
    large = "s3://bucket/jobs/large/model.tar.gz"
    request = {"Bucket": "bucket", "Key": "jobs/j/model.tar.gz"}
    stub.add_response("get_object", body(tar_gz({"./baseline.json": json.dumps(GOOD)})), request)
    stub.add_response("get_object", body(b"", MOST_BYTES + 1), {"Bucket": "bucket", "Key": "jobs/large/model.tar.gz"})

    assert read_baseline("s3://bucket/jobs/j/model.tar.gz", client).to_json() == GOOD
    with pytest.raises(ModelArtifactError, match="64 MiB, far more than a model"):
        read_baseline(large, client)


def test_model_without_baseline_is_refused(tmp_path):
    (tmp_path / "model.tar.gz").write_bytes(tar_gz({"./model.pt": "weights"}))
    for location in (tmp_path, tmp_path / "model.tar.gz"):
        with pytest.raises(NoBaselineError, match="older than monitoring"):
            read_baseline(location)


@pytest.mark.parametrize("name", ["model.tar.gz", "monitor.json", "folder"])
def test_missing_model_is_named(tmp_path, name):
    with pytest.raises(MissingModelError, match=f"{name} does not exist"):
        read_baseline(tmp_path / name)


def test_damaged_model_or_baseline_is_named(tmp_path):
    model = tmp_path / "model.tar.gz"
    whole = tar_gz({"./baseline.json": json.dumps(GOOD) * 100})
    for content in (b"", b"text", whole[: len(whole) // 2]):
        model.write_bytes(content)
        with pytest.raises(ModelArtifactError, match="cannot be read as a model"):
            read_baseline(model)
    (tmp_path / "baseline.json").write_text("{")
    with pytest.raises(SampleError, match="the baseline is not JSON"):
        read_baseline(tmp_path)
    (tmp_path / "baseline.json").write_text(json.dumps(GOOD | {"formats": 5}))
    with pytest.raises(SampleError, match=f"{tmp_path}: The sample's formats are 5"):
        read_baseline(tmp_path)
