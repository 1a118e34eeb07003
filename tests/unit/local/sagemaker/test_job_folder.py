from pathlib import Path

import pytest

from local.sagemaker.job_folder import JobFolder


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = JobFolder(tmp_path)
    made.make()
    return made


def test_localise_drivers_replaces_the_constant_path_in_scripts_only(folder):
    drivers = folder.data / "sm_drivers"
    drivers.mkdir()
    (drivers / "sm_train.sh").write_text("cat /opt/ml/input/config/x\n")
    (drivers / "picture.png").write_bytes(b"/opt/ml")
    folder.localise_drivers(drivers)
    assert (drivers / "sm_train.sh").read_text() == f"cat {folder.opt_ml}/input/config/x\n"
    assert (drivers / "picture.png").read_bytes() == b"/opt/ml"


@pytest.mark.parity("training-container")
def test_environment_has_no_variables_of_the_user(folder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    request = {"TrainingJobName": "job", "Environment": {"COLOUR": "red"}}
    environment = folder.environment(request, "arn", {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
    assert environment["COLOUR"] == "red"
    assert environment["TRAINING_JOB_NAME"] == "job"
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert not {"OMP_NUM_THREADS", "PYTHONPATH"} & set(environment)
