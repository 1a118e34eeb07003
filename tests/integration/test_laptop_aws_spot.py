"""Jobs on spot instances of the laptop's AWS: taken away, started again, stopped, given up."""

import json
import re
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.laptop_aws import LaptopAws, wait_until
from tests.integration.sagemaker_requests import BUCKET, ended_job, get, job_request, keys, unique

# Counts up to 12, a line and a file at a time, from where the file of the last instance is; slow
# enough to be met on the way. `root` is this instance's /opt/ml.
COUNTS = """
import pathlib, signal, sys, time
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
    partial = counted.with_suffix(".partial")
    partial.write_text(str(number))
    partial.replace(counted)
    print(f"loss={1 / number}", flush=True)
    time.sleep(0.5)
"""
WAIT = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120}


def spot_request(aws: LaptopAws, name: str, **changes: Any) -> dict[str, Any]:
    """Return a request for a job on spot instances that keeps checkpoints."""
    return (
        job_request(aws, name, COUNTS)
        | {
            "EnableManagedSpotTraining": True,
            "StoppingCondition": WAIT,
            "CheckpointConfig": {"S3Uri": checkpoints(name)},
        }
        | changes
    )


def checkpoints(name: str) -> str:
    return f"s3://{BUCKET}/checkpoints/{name}"


def interrupt(aws: LaptopAws, name: str, **members: Any) -> Any:
    """Ask for interruptions of a job."""
    request = urllib.request.Request(  # noqa: S310  the laptop's AWS
        f"{aws.endpoint_url}/_local/interruptions/{name}",
        json.dumps(members).encode(),
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  the laptop's AWS
        return json.load(answer)


def counted(aws: LaptopAws, name: str) -> int:
    """Return how far the job's copy in S3 has counted."""
    key = f"checkpoints/{name}/deep/counted.txt"
    return int(get(aws, key)) if key in keys(aws, f"checkpoints/{name}/") else 0


def statuses(job: Any) -> list[str]:
    return [entry["Status"] for entry in job["SecondaryStatusTransitions"]]


def starts(aws: LaptopAws, name: str) -> list[int]:
    """Return from where each instance has counted."""
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
        (
            {"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/../../etc"}},
            "only in folders below /opt/ml/",
        ),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/tmp/c"}}, "below /opt/ml/"),  # noqa: S108  not made
        ({"CheckpointConfig": {"S3Uri": "b/c"}}, "failed to satisfy constraint"),
    ],
)
@pytest.mark.parity("training-spot")
def test_a_wrong_request_is_refused(laptop_aws: LaptopAws, changes: Any, message: str) -> None:
    request = spot_request(laptop_aws, unique("wrong"), **changes)
    with pytest.raises(ClientError, match=message) as refused:
        laptop_aws.client("sagemaker").create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_checkpoints_in_a_bucket_that_is_not_there_fail_the_job(laptop_aws: LaptopAws) -> None:
    name = unique("nowhere")
    config = {"CheckpointConfig": {"S3Uri": "s3://no-such-bucket-at-all/c"}}
    laptop_aws.client("sagemaker").create_training_job(**spot_request(laptop_aws, name, **config))
    job = ended_job(laptop_aws, name)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Checkpoint download failed: ")


@pytest.mark.parity("training-stop", "training-spot")
def test_a_job_can_be_stopped_while_it_waits_for_another_instance(laptop_aws: LaptopAws) -> None:
    name, sagemaker = unique("waits"), laptop_aws.client("sagemaker")
    interrupt(laptop_aws, name, notice_seconds=0, away_seconds=3600)
    sagemaker.create_training_job(**spot_request(laptop_aws, name))

    def look() -> Any:
        found = sagemaker.describe_training_job(TrainingJobName=name)
        return found if found["SecondaryStatus"] == "Interrupted" else None

    assert wait_until(look)["TrainingJobStatus"] == "InProgress"
    sagemaker.stop_training_job(TrainingJobName=name)
    job = ended_job(laptop_aws, name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == ""


@pytest.mark.parity("training-spot")
def test_a_job_that_finds_no_other_instance_in_time_is_given_up(laptop_aws: LaptopAws) -> None:
    name = unique("given-up")
    interrupt(laptop_aws, name, notice_seconds=0, away_seconds=3600)
    condition = {"MaxRuntimeInSeconds": 2, "MaxWaitTimeInSeconds": 2}
    request = spot_request(laptop_aws, name, StoppingCondition=condition)
    laptop_aws.client("sagemaker").create_training_job(**request)
    job = ended_job(laptop_aws, name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")


def test_a_job_on_demand_is_never_interrupted(laptop_aws: LaptopAws) -> None:
    name = unique("on-demand")
    interrupt(laptop_aws, name, notice_seconds=0)
    request = job_request(laptop_aws, name, "print('fine')")
    laptop_aws.client("sagemaker").create_training_job(**request)
    job = ended_job(laptop_aws, name)
    assert statuses(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"]
    assert not (laptop_aws.state / "training-jobs" / name / "opt" / "ml" / "checkpoints").exists()


@pytest.mark.parity("training-spot", "training-checkpoints")
def test_an_instance_that_is_killed_without_notice_loses_only_what_s3_has_not(
    laptop_aws: LaptopAws,
) -> None:
    # GIVEN a job whose checkpoints are in S3 while it runs
    name, sagemaker = unique("killed"), laptop_aws.client("sagemaker")
    sagemaker.create_training_job(**spot_request(laptop_aws, name))
    wait_until(lambda: counted(laptop_aws, name) >= 2)
    # WHEN its instance is taken away, and the next one too, once that has come further
    interrupt(laptop_aws, name, notice_seconds=0, away_seconds=0.1)
    wait_until(lambda: len(starts(laptop_aws, name)) == 2)
    wait_until(lambda: counted(laptop_aws, name) > starts(laptop_aws, name)[1])
    interrupt(laptop_aws, name, notice_seconds=0, away_seconds=0.1)
    job = ended_job(laptop_aws, name)
    # THEN it goes through AWS's statuses and completes, each time from what S3 had
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    attempt = ["Starting", "Downloading", "Training"]
    assert statuses(job) == [
        *attempt,
        "Interrupted",
        *attempt,
        "Interrupted",
        *attempt,
        "Uploading",
        "Completed",
    ]
    first, second, third = starts(laptop_aws, name)
    assert first == 0 < second < third < 12
    assert counted(laptop_aws, name) == 12
    # AND each instance is a new one: all that comes back are the checkpoints
    log = (laptop_aws.state / "training-jobs" / name / "log.txt").read_text()
    assert log.count(", with []\n") == 3
    assert "notice.txt" not in str(keys(laptop_aws, f"checkpoints/{name}/"))
    # AND what is billed is less than the time, and a stream each tells what the instances printed
    assert 0 < job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]
    assert job["FinalMetricDataList"][0]["Value"] == pytest.approx(1 / 12)
    streams = laptop_aws.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    )["logStreams"]
    firsts = [
        laptop_aws.client("logs").get_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs",
            logStreamName=stream["logStreamName"],
            startFromHead=True,
        )["events"][0]["message"]
        for stream in streams
    ]
    assert firsts == [f"from {number}, with []" for number in (first, second, third)]


@pytest.mark.parity("training-spot", "training-checkpoints")
def test_what_a_script_saves_at_the_notice_is_kept(laptop_aws: LaptopAws) -> None:
    name, sagemaker = unique("noticed"), laptop_aws.client("sagemaker")
    config = {"S3Uri": f"{checkpoints(name)}/", "LocalPath": "/opt/ml/checkpoints"}
    sagemaker.create_training_job(**spot_request(laptop_aws, name, CheckpointConfig=config))
    wait_until(lambda: counted(laptop_aws, name) >= 1)
    answer = interrupt(laptop_aws, name, notice_seconds=60, away_seconds=0)
    assert answer["times"] == 1
    job = ended_job(laptop_aws, name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert statuses(job).count("Interrupted") == 1
    assert f"checkpoints/{name}/deep/notice.txt" in keys(laptop_aws, f"checkpoints/{name}/")
