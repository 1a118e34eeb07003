"""Training jobs on spot instances of the laptop's AWS: interrupted, restarted, stopped."""

import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.laptop_aws import LaptopAws, unique, wait_until
from tests.integration.sagemaker_requests import BUCKET, ended_job, get, job_logs, job_request, keys, run_job

# Counts up to 12, one line and one checkpoint at a time, from the checkpoint of the last instance;
# never beyond the number in the file LIMIT, which the test writes. `root` is this instance's /opt/ml.
COUNTS = """
import os, pathlib, signal, sys, time
root = pathlib.Path(__file__).parents[3]
counted = root / "checkpoints" / "deep" / "counted.txt"
start = int(counted.read_text()) if counted.exists() else 0
print(f"from {start}, with {sorted(p.name for p in (root / 'model').iterdir())}", flush=True)
(root / "model" / f"from-{start}.txt").touch()
def save(*_):
    counted.with_name("notice.txt").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
counted.parent.mkdir(exist_ok=True)
for number in range(start + 1, 13):
    while number > int(pathlib.Path(os.environ["LIMIT"]).read_text()):
        time.sleep(0.05)
    partial = counted.with_suffix(".partial")
    partial.write_text(str(number))
    partial.replace(counted)
    print(f"loss={1 / number}", flush=True)
"""


@pytest.fixture
def limit(tmp_path: Path) -> Path:
    """The file with the number up to which the script counts."""
    file = tmp_path / "limit"
    file.write_text("2")
    return file


def raise_limit(file: Path, number: int) -> None:
    file.with_suffix(".new").write_text(str(number))
    file.with_suffix(".new").replace(file)


def spot_request(aws: LaptopAws, name: str, limit: Path | None = None, **changes: Any) -> dict[str, Any]:
    """Return a request for a job on spot instances with checkpoints."""
    spot = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200},
        "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/checkpoints/{name}"},
        "Environment": {"LIMIT": str(limit)},
    }
    return job_request(aws, name, COUNTS) | spot | changes


def interrupt(aws: LaptopAws, name: str, **members: Any) -> None:
    """Request interruptions of a job."""
    aws.control("PUT", f"/_local/interruptions/{name}", members)


def counted(aws: LaptopAws, name: str) -> int:
    """Return the number in the job's checkpoint in S3."""
    key = f"checkpoints/{name}/deep/counted.txt"
    return int(get(aws, key)) if key in keys(aws, f"checkpoints/{name}/") else 0


def statuses(job: Any) -> list[str]:
    return [entry["Status"] for entry in job["SecondaryStatusTransitions"]]


def starts(aws: LaptopAws, name: str) -> list[int]:
    """Return the start of each instance's count."""
    log = aws.state / "training-jobs" / name / "log.txt"
    return [int(number) for number in re.findall(r"^from (\d+),", log.read_text(), re.MULTILINE)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 60}}, "It must be present and be greater"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59}},
            "be greater than or equal to MaxRuntimeInSeconds",
        ),
        ({"EnableManagedSpotTraining": False}, "only supported when EnableManagedSpotTraining is"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/../../etc"}}, "below /opt/ml/"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/tmp/c"}}, "below /opt/ml/"),  # noqa: S108  not made
        ({"CheckpointConfig": {"S3Uri": "b/c"}}, "failed to satisfy constraint"),
    ],
)
@pytest.mark.parity("training-spot")
def test_create_with_invalid_request_fails(laptop_aws, changes, message):
    request = spot_request(laptop_aws, unique("wrong"), **changes)
    with pytest.raises(ClientError, match=message) as refused:
        laptop_aws.client("sagemaker").create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_job_with_missing_checkpoint_bucket_fails(laptop_aws):
    config = {"S3Uri": "s3://no-such-bucket-at-all/c"}
    job = run_job(laptop_aws, spot_request(laptop_aws, unique("nowhere"), CheckpointConfig=config))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Checkpoint download failed: ")


@pytest.mark.parity("training-stop", "training-spot")
def test_stop_while_waiting_for_an_instance_ends_the_job(laptop_aws, limit):
    name, sagemaker = unique("waits"), laptop_aws.client("sagemaker")
    interrupt(laptop_aws, name, notice_seconds=0, away_seconds=3600)
    sagemaker.create_training_job(**spot_request(laptop_aws, name, limit))

    def interrupted() -> Any:
        found = sagemaker.describe_training_job(TrainingJobName=name)
        return found if found["SecondaryStatus"] == "Interrupted" else None

    assert wait_until(interrupted)["TrainingJobStatus"] == "InProgress"
    sagemaker.stop_training_job(TrainingJobName=name)
    job = ended_job(laptop_aws, name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == ""


@pytest.mark.parity("training-spot")
def test_job_over_its_wait_time_is_stopped(laptop_aws, limit):
    name = unique("given-up")
    interrupt(laptop_aws, name, notice_seconds=0, away_seconds=3600)
    condition = {"MaxRuntimeInSeconds": 5, "MaxWaitTimeInSeconds": 5}
    job = run_job(laptop_aws, spot_request(laptop_aws, name, limit, StoppingCondition=condition))
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")


def test_job_on_demand_is_not_interrupted(laptop_aws):
    name = unique("on-demand")
    interrupt(laptop_aws, name, notice_seconds=0)
    job = run_job(laptop_aws, job_request(laptop_aws, name, "pass"))
    assert statuses(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"]
    assert not (laptop_aws.state / "training-jobs" / name / "opt" / "ml" / "checkpoints").exists()


@pytest.mark.parity("training-spot", "training-checkpoints")
def test_job_interrupted_without_notice_continues_from_s3(laptop_aws, limit):
    # GIVEN a job with checkpoints in S3
    name = unique("killed")
    laptop_aws.client("sagemaker").create_training_job(**spot_request(laptop_aws, name, limit))
    wait_until(lambda: counted(laptop_aws, name) == 2)
    # WHEN its instance is interrupted, and the next one too, after further checkpoints
    interrupt(laptop_aws, name, notice_seconds=0, away_seconds=0.1)
    wait_until(lambda: len(starts(laptop_aws, name)) == 2)
    raise_limit(limit, 4)
    wait_until(lambda: counted(laptop_aws, name) == 4)
    interrupt(laptop_aws, name, notice_seconds=0, away_seconds=0.1)
    wait_until(lambda: len(starts(laptop_aws, name)) == 3)
    raise_limit(limit, 12)
    job = ended_job(laptop_aws, name)
    # THEN it has AWS's statuses and completes, each time from the checkpoint in S3
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    attempt = ["Starting", "Downloading", "Training"]
    interrupted = [*attempt, "Interrupted"]
    assert statuses(job) == [*interrupted, *interrupted, *attempt, "Uploading", "Completed"]
    assert starts(laptop_aws, name) == [0, 2, 4]
    assert counted(laptop_aws, name) == 12
    # AND each instance is new, with nothing but the checkpoints
    log = (laptop_aws.state / "training-jobs" / name / "log.txt").read_text()
    assert log.count(", with []\n") == 3
    assert "notice.txt" not in str(keys(laptop_aws, f"checkpoints/{name}/"))
    # AND the spot price is .3 of the on-demand price, and each instance has a log stream
    assert job["BillableTimeInSeconds"] == max(1, round(0.3 * job["TrainingTimeInSeconds"]))
    assert job["FinalMetricDataList"][0]["Value"] == pytest.approx(1 / 12)
    first_lines = [lines[0] for lines in job_logs(laptop_aws, name)]
    assert first_lines == [f"from {number}, with []" for number in (0, 2, 4)]


@pytest.mark.parity("training-spot", "training-checkpoints")
def test_checkpoint_saved_at_the_notice_is_kept(laptop_aws, limit):
    name = unique("noticed")
    config = {"S3Uri": f"s3://{BUCKET}/checkpoints/{name}/", "LocalPath": "/opt/ml/checkpoints"}
    laptop_aws.client("sagemaker").create_training_job(**spot_request(laptop_aws, name, limit, CheckpointConfig=config))
    wait_until(lambda: counted(laptop_aws, name) == 2)
    interrupt(laptop_aws, name, notice_seconds=60, away_seconds=0)
    wait_until(lambda: len(starts(laptop_aws, name)) == 2)
    raise_limit(limit, 12)
    job = ended_job(laptop_aws, name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert statuses(job).count("Interrupted") == 1
    assert f"checkpoints/{name}/deep/notice.txt" in keys(laptop_aws, f"checkpoints/{name}/")
