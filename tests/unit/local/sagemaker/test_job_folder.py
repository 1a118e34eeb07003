import json
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker.job_folder import JobFolder

REQUEST: dict[str, Any] = {
    "TrainingJobName": "job",
    "HyperParameters": {"epochs": "2"},
    "ResourceConfig": {"InstanceType": "ml.m5.large"},
    "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/train"}}}],
    "Environment": {"COLOUR": "red"},
}


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = JobFolder(tmp_path)
    made.make()
    return made


def test_localise_drivers_replaces_the_constant_path_in_scripts_only(folder: JobFolder) -> None:
    drivers = folder.data / "sm_drivers"
    drivers.mkdir()
    (drivers / "sm_train.sh").write_text("cat /opt/ml/input/config/x\n")
    (drivers / "picture.png").write_bytes(b"/opt/ml")
    folder.localise_drivers(drivers)
    assert (drivers / "sm_train.sh").read_text() == f"cat {folder.opt_ml}/input/config/x\n"
    assert (drivers / "picture.png").read_bytes() == b"/opt/ml"


@pytest.mark.parity("training-container")
def test_write_config_has_the_files_of_a_container(folder: JobFolder) -> None:
    folder.write_config(REQUEST)
    read = {path.name: json.loads(path.read_text()) for path in folder.config.iterdir()}
    assert read["hyperparameters.json"] == {"epochs": "2"}
    assert read["inputdataconfig.json"]["train"]["TrainingInputMode"] == "File"
    assert read["resourceconfig.json"]["hosts"] == ["algo-1"]
    assert read["resourceconfig.json"]["current_instance_type"] == "ml.m5.large"


@pytest.mark.parity("training-container")
def test_environment_has_no_variables_of_the_user(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = folder.environment(REQUEST, "arn", {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
    assert environment["COLOUR"] == "red"
    assert environment["TRAINING_JOB_NAME"] == "job"
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert not {"OMP_NUM_THREADS", "PYTHONPATH"} & set(environment)
