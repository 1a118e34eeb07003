"""Training jobs of the laptop's AWS, driven with boto3."""

import io
import json
import tarfile

import pytest
from botocore.exceptions import ClientError

from tests.integration.laptop_aws import unique, wait_until
from tests.integration.sagemaker_requests import BUCKET, channel, ended_job, get, job_logs, job_request, keys, run_job

TRAIN = """
import json, os, pathlib
root = pathlib.Path(__file__).parents[3]
seen = {
    "pictures": sorted(str(p.relative_to(root / "input/data/train"))
                       for p in (root / "input/data/train").rglob("*.png")),
    "hyperparameters": json.loads((root / "input/config/hyperparameters.json").read_text()),
    "resources": json.loads((root / "input/config/resourceconfig.json").read_text()),
    "channels": json.loads((root / "input/config/inputdataconfig.json").read_text()),
    "job": os.environ["TRAINING_JOB_NAME"],
    "own": os.environ["OWN"],
    "threads": os.environ.get("OMP_NUM_THREADS"),
}
(root / "model" / "seen.json").write_text(json.dumps(seen))
(root / "output" / "data" / "curve.txt").write_text("down")
print("loss=0.9")
print("loss=0.25")
"""
FAIL = "print('reading')\nprint('no picture of class bicycle')\nraise SystemExit(3)"
SLEEP = "import time\nprint('asleep', flush=True)\ntime.sleep(600)"


@pytest.mark.parity("training-failure")
def test_job_with_failing_script_has_its_last_lines(laptop_aws):
    name = unique("failing")
    job = run_job(laptop_aws, job_request(laptop_aws, name, FAIL))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == ("AlgorithmError: reading\nno picture of class bicycle, exit code: 3")
    assert job["SecondaryStatus"] == "Failed"
    assert keys(laptop_aws, f"jobs/{name}") == []


def test_job_with_empty_channel_fails(laptop_aws):
    name = unique("empty")
    request = job_request(laptop_aws, name, TRAIN)
    request["InputDataConfig"].append(channel("validation", f"s3://{BUCKET}/nothing"))
    assert run_job(laptop_aws, request)["FailureReason"] == (
        f"ClientError: Data download failed:S3 key: s3://{BUCKET}/nothing matched no files on s3"
    )


def test_job_with_internal_error_fails(laptop_aws):
    request = job_request(laptop_aws, unique("internal"), "pass")
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": "("}]
    job = run_job(laptop_aws, request)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("InternalServerError: missing ), unterminated")


@pytest.mark.parity("training-failure")
def test_job_over_its_maximum_runtime_is_stopped(laptop_aws):
    condition = {"MaxRuntimeInSeconds": 1}
    request = job_request(laptop_aws, unique("long"), SLEEP, StoppingCondition=condition)
    job = run_job(laptop_aws, request)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


@pytest.mark.parity("training-stop")
def test_stop_twice_fails_the_second_time(laptop_aws):
    name, sagemaker = unique("stopped"), laptop_aws.client("sagemaker")
    sagemaker.create_training_job(**job_request(laptop_aws, name, SLEEP))
    log = laptop_aws.state / "training-jobs" / name / "log.txt"
    wait_until(lambda: log.exists() and "asleep" in log.read_text())
    sagemaker.stop_training_job(TrainingJobName=name)
    assert ended_job(laptop_aws, name)["SecondaryStatus"] == "Stopped"
    with pytest.raises(ClientError, match="because the training job is in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName=name)


@pytest.mark.parity("training-request")
def test_create_with_invalid_request_has_the_error_of_aws(laptop_aws):
    sagemaker = laptop_aws.client("sagemaker", parameter_validation=False)
    with pytest.raises(ClientError, match='Missing required parameter in input: "RoleArn"') as refused:
        sagemaker.create_training_job(TrainingJobName="lonely")
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match=r"Requested resource not found\."):
        sagemaker.describe_training_job(TrainingJobName="missing")


@pytest.mark.parity("training-container", "training-output", "training-metrics")
def test_job_has_inputs_outputs_metrics_and_logs_of_a_container(laptop_aws):
    name, sagemaker = unique("good"), laptop_aws.client("sagemaker")
    tags = [{"Key": "Project", "Value": "test"}]
    settings = {"HyperParameters": {"epochs": "2"}, "Environment": {"OWN": "yes"}, "Tags": tags}
    request = job_request(laptop_aws, name, TRAIN, **settings)
    arn = sagemaker.create_training_job(**request)["TrainingJobArn"]
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="must be unique"):
        sagemaker.create_training_job(**request)
    job = ended_job(laptop_aws, name)

    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    statuses = ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert [entry["Status"] for entry in job["SecondaryStatusTransitions"]] == statuses
    [metric] = job["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", pytest.approx(0.25))
    assert job["TrainingTimeInSeconds"] >= 1
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags

    model = f"jobs/{name}/output/model.tar.gz"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/{model}"
    assert keys(laptop_aws, f"jobs/{name}") == [model, f"jobs/{name}/output/output.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(get(laptop_aws, model))) as tar:
        seen = tar.extractfile("seen.json")
        assert seen is not None
        found = json.load(seen)
    expected = {"pictures": ["bicycle/a b.png"], "hyperparameters": {"epochs": "2"}, "job": name, "own": "yes"}
    assert found | expected | {"threads": None} == found
    resources, channels = found["resources"], found["channels"]
    assert (resources["current_host"], resources["current_instance_type"]) == ("algo-1", "ml.m5.large")
    assert resources["hosts"] == ["algo-1"]
    assert {channel: each["TrainingInputMode"] for channel, each in channels.items()} == {
        "code": "File",
        "train": "File",
    }
    [lines] = job_logs(laptop_aws, name)
    assert lines == ["loss=0.9", "loss=0.25"]


@pytest.mark.parity("sagemaker-lists")
def test_list_has_pages_and_delete_removes_a_job(laptop_aws):
    sagemaker, part = laptop_aws.client("sagemaker"), unique("page")
    names = {f"{part}-{number}" for number in range(3)}
    for name in names:
        run_job(laptop_aws, job_request(laptop_aws, name, "pass"))
    pages = list(sagemaker.get_paginator("list_training_jobs").paginate(NameContains=part, MaxResults=2))
    found = [summary["TrainingJobName"] for page in pages for summary in page["TrainingJobSummaries"]]
    assert (len(pages), set(found), len(found)) == (2, names, 3)
    sagemaker.delete_training_job(TrainingJobName=found[0])
    assert len(sagemaker.list_training_jobs(NameContains=part)["TrainingJobSummaries"]) == 2
