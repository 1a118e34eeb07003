"""The training commands, run as a user does, against the laptop's AWS."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.settings import ROOT, default_bucket, project
from tests.archives import tar_gz
from tests.integration.commands import run_command
from tests.integration.laptop_aws import LaptopAws, wait_until

ENDPOINT = "training-flow"
BUCKET = default_bucket("000000000000", "us-east-1")
# Trains a useless model in seconds: the tests are about everything else.
QUICK = ["--hyperparameters", "epochs=2", "width=8"]


class Commands:
    """Runs the project's commands in a folder of their own."""

    def __init__(self, aws: LaptopAws, folder: Path) -> None:
        self.aws, self.folder = aws, folder

    def run(self, module: str, *arguments: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", f"training.{module}", *arguments)
        return run_command(self.aws, *command, folder=self.folder, expect=expect, PYTHONPATH=str(ROOT))

    def must(self, module: str, *arguments: str) -> str:
        return self.run(module, *arguments).stdout

    def create_endpoint(self, *arguments: str) -> dict[str, Any]:
        self.must("create_endpoint", "--endpoint", ENDPOINT, *arguments)
        return self.report("create_endpoint/endpoint.json")

    def report(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "reports" / path).read_text())
        return found


@pytest.fixture
def commands(laptop_aws, tmp_path):
    """Stage some drawings; delete everything at the end."""
    commands = Commands(laptop_aws, tmp_path)
    commands.must("stage_data", "synthetic", "--count", "24", "--size", "32")
    yield commands
    commands.run("cleanup", "--endpoint", ENDPOINT, "--yes", expect=None)


def captured(aws):
    """Return the captured pairs of request and answer, from all files."""
    s3, lines = aws.client("s3"), []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"captures/{ENDPOINT}/"):
        for key in (item["Key"] for item in page.get("Contents", [])):
            assert re.fullmatch(rf"captures/{ENDPOINT}/AllTraffic/(\d+/){{4}}[^/]+\.jsonl", key)
            lines += s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode().splitlines()
    return [json.loads(line)["captureData"] for line in lines]


def put_archive(aws, name, files):
    """Upload a model.tar.gz of these files, texts by path; return its address."""
    aws.client("s3").put_object(Bucket=BUCKET, Key=f"models/{name}", Body=tar_gz(files))
    return f"s3://{BUCKET}/models/{name}"


@pytest.mark.parity("training-request", "training-container", "training-output", "training-metrics", "training-log")
@pytest.mark.parity("endpoint-model", "endpoint-capture", "sagemaker-lists", "s3-create-bucket", "s3-delete")
@pytest.mark.parity("iam-roles", "sts-identity")
def test_training_update_evaluation_and_cleanup_work_in_sequence(commands, laptop_aws):
    sagemaker = laptop_aws.client("sagemaker")

    # WHEN a model is trained and served for the first time
    first = commands.create_endpoint(*QUICK)

    # THEN the job's metrics are reported, and the smoke test is captured
    job = sagemaker.describe_training_job(TrainingJobName=first["training"]["job"])
    assert job["TrainingJobStatus"] == "Completed"
    assert job["HyperParameters"]["epochs"] == "2"
    assert 0 <= first["training"]["validation_accuracy"] <= 1
    assert first["training"]["seconds"] > 0
    assert first["smoke_test"]["label"] in ("bicycle", "motorcycle")
    wait_until(lambda: captured(laptop_aws))

    # WHEN the command runs again with that model
    second = commands.create_endpoint("--model-data", first["model_data"])

    # THEN the endpoint serves and captures with the new configuration, and the old one is deleted
    found = sagemaker.describe_endpoint(EndpointName=ENDPOINT)
    assert found["EndpointConfigName"] == second["endpoint_config"] != first["endpoint_config"]
    assert found["EndpointStatus"] == "InService"
    capture = found["DataCaptureConfig"]
    assert (capture["EnableCapture"], capture["CurrentSamplingPercentage"]) == (True, 100)
    configs = sagemaker.list_endpoint_configs(NameContains=ENDPOINT)["EndpointConfigs"]
    assert [c["EndpointConfigName"] for c in configs] == [second["endpoint_config"]]
    models = sagemaker.list_models(NameContains=ENDPOINT)["Models"]
    assert [m["ModelName"] for m in models] == [second["model"]]

    # WHEN the test split is evaluated, THEN each request is captured with its answer
    before = len(captured(laptop_aws))
    commands.must("evaluate", "--endpoint", ENDPOINT)
    manifest = json.loads((commands.folder / "data/staged/manifest.json").read_text())
    asked = sum(manifest["counts"]["test"].values())
    wait_until(lambda: len(captured(laptop_aws)) >= before + asked)
    for pair in captured(laptop_aws):
        assert pair["endpointInput"]["encoding"] == "BASE64"
        assert pair["endpointOutput"]["encoding"] == "JSON"
        answer = json.loads(pair["endpointOutput"]["data"])
        assert answer["labels"] == ["bicycle", "motorcycle"]

    # WHEN cleanup runs, THEN nothing is left, and a second run has nothing to delete
    commands.must("cleanup", "--endpoint", ENDPOINT, "--yes")
    report = commands.report("cleanup/cleanup.json")
    assert report["resources_left"] == []
    assert {item["kind"] for item in report["deleted"]} == {
        "training job",
        "endpoint",
        "endpoint configuration",
        "model",
        "objects",
        "bucket",
        "log stream",
        "log group",
        "role",
    }
    assert BUCKET not in [b["Name"] for b in laptop_aws.client("s3").list_buckets()["Buckets"]]
    assert "Nothing to delete" in commands.must("cleanup", "--endpoint", ENDPOINT, "--yes")


@pytest.mark.parity("training-failure")
def test_failed_training_script_shows_its_last_lines(commands, laptop_aws):
    done = commands.run("create_endpoint", "--endpoint", ENDPOINT, "--hyperparameters", "epochs=0", expect=1)
    assert "ended as Failed" in done.stderr
    assert "argument --epochs: '0' is not a whole number above 0" in done.stderr
    assert f"| grep {ENDPOINT}-" in done.stderr
    assert "Traceback" not in done.stderr
    endpoints = laptop_aws.client("sagemaker").list_endpoints(NameContains=ENDPOINT)["Endpoints"]
    assert endpoints == []


GOOD = (
    "import json\n"
    "def model_fn(folder): return None\n"
    "def input_fn(body, content_type): return body\n"
    "def predict_fn(data, model): return data\n"
    "def output_fn(data, accept): return json.dumps({'labels': ['a'], 'probabilities': [1.0]})\n"
)


@pytest.mark.parity("endpoint-lifecycle", "endpoint-update")
def test_failed_endpoint_is_replaced_and_failed_update_keeps_the_previous_model(commands, laptop_aws):
    sagemaker = laptop_aws.client("sagemaker")
    broken = put_archive(laptop_aws, "broken.tar.gz", {"code/inference.py": "raise RuntimeError('no such weights')"})
    good = put_archive(laptop_aws, "good.tar.gz", {"code/inference.py": GOOD})

    # WHEN the first model's script does not load, THEN the endpoint fails
    done = commands.run("create_endpoint", "--endpoint", ENDPOINT, "--model-data", broken, expect=1)
    assert f"Endpoint {ENDPOINT} is Failed" in done.stderr
    assert "it replaces the failed endpoint" in done.stderr

    # WHEN the next one does, THEN the endpoint is in service, without the model of the first attempt
    report = commands.create_endpoint("--model-data", good)
    assert report["smoke_test"]["label"] == "a"
    assert sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService"
    models = sagemaker.list_models(NameContains=ENDPOINT)["Models"]
    assert [m["ModelName"] for m in models] == [report["model"]]

    # WHEN an update does not load, THEN the endpoint keeps its configuration
    done = commands.run("create_endpoint", "--endpoint", ENDPOINT, "--model-data", broken, expect=1)
    assert f"still serves its previous configuration {report['endpoint_config']}" in done.stderr
    assert sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"] == report["endpoint_config"]


@pytest.mark.parity("endpoint-model-data")
@pytest.mark.parametrize(("pictures", "threshold"), [(400, "0.6"), (20, None)])
def test_recommended_threshold_is_deployed_and_evaluated(commands, laptop_aws, pictures, threshold):
    # GIVEN a model with right held-out answers of confidence 0.6 and more
    answers = {
        "source": "cross-validation",
        "classes": ["bicycle", "motorcycle"],
        "truth": [0] * pictures,
        "probabilities": [[0.6 + n / 1000, 0.4 - n / 1000] for n in range(pictures)],
    }
    vehicles = "'labels': ['bicycle', 'motorcycle'], 'probabilities': [0.75, 0.25]"
    model = put_archive(
        laptop_aws,
        "held-out.tar.gz",
        {
            "code/inference.py": GOOD.replace("'labels': ['a'], 'probabilities': [1.0]", vehicles),
            "metadata.json": json.dumps({"calibration": {"max_error": 0.02}}),
            "held_out.json": json.dumps(answers),
        },
    )

    # WHEN it is served and evaluated
    created = commands.create_endpoint("--model-data", model)
    commands.must("evaluate", "--endpoint", ENDPOINT)

    # THEN both have the same recommendation; 20 pictures are too few to lower samconfig.toml's threshold
    evaluation = commands.report("evaluate/evaluation.json")
    deployed = created["deploy_parameters"]["ConfidenceThreshold"]
    assert created["recommendation"] == evaluation["recommendation"]
    assert created["recommendation"]["max_error"] == 0.02
    assert created["recommendation"]["met"] is (threshold is not None)
    assert deployed == (threshold or project().parameters["ConfidenceThreshold"])
    assert evaluation["threshold"] == float(deployed)
    assert evaluation["coverage"] == (1 if threshold else 0)
    plots = {"confusion_matrix.png", "reliability.png", "risk_coverage.png"}
    assert plots <= {path.name for path in (commands.folder / "reports/evaluate").iterdir()}


@pytest.mark.parity("s3-delete", "sam-delete")
def test_cleanup_empties_a_versioned_bucket_of_the_stack(commands, laptop_aws):
    # GIVEN a stack whose bucket holds versions and a delete marker
    template = {
        "Resources": {
            "Inbox": {
                "Type": "AWS::S3::Bucket",
                "Properties": {"VersioningConfiguration": {"Status": "Enabled"}},
            }
        },
        "Outputs": {"EndpointName": {"Value": ENDPOINT}},
    }
    cloudformation, s3 = laptop_aws.client("cloudformation"), laptop_aws.client("s3")
    stack = "training-flow-stack"
    cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps(template), Tags=[project().tag])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    (resource,) = cloudformation.list_stack_resources(StackName=stack)["StackResourceSummaries"]
    bucket = resource["PhysicalResourceId"]
    for body in (b"1", b"2"):
        s3.put_object(Bucket=bucket, Key="a", Body=body)
    s3.delete_object(Bucket=bucket, Key="a")
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 2

    # WHEN another endpoint is cleaned up, THEN the bucket keeps its objects
    other = ["--endpoint", f"{ENDPOINT}-2", "--stack-name", stack]
    shown = commands.must("cleanup", *other, "--keep-data", "--yes")
    assert f"kept: stack {stack}: serves the endpoint {ENDPOINT}" in shown
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 2

    # WHEN everything but the data is cleaned up
    names = ["--endpoint", ENDPOINT, "--stack-name", stack]
    commands.must("cleanup", *names, "--keep-data", "--yes")

    # THEN the bucket is empty, so that the stack can be deleted, and the staged pictures are there
    left = s3.list_object_versions(Bucket=bucket)
    assert not left.get("Versions")
    assert not left.get("DeleteMarkers")
    assert s3.head_object(Bucket=BUCKET, Key="staged/manifest.json")
    cloudformation.delete_stack(StackName=stack)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
