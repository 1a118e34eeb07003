"""Every hostile picture, uploaded into the deployed workflow: it ends as stated, and nothing else.

The endpoint serves the project's own serving code with a small model. What each case
costs is measured in processes of its own, as `python -m benchmarks.hostile` does.
"""

import io
import os
import tarfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from benchmarks.hostile import measure, memory_settings
from benchmarks.hostile_pictures.corpus import CLASSIFIED, REFUSED, Case, cases, endpoint_outcomes
from benchmarks.hostile_pictures.isolation import peak_rss_mib
from benchmarks.hostile_pictures.model import write_model
from common.settings import project
from tests.integration import sagemaker_requests
from tests.integration.deployed_machines import PICTURE, entered
from tests.integration.laptop_aws import ROLE, processes, wait_until
from tests.integration.mailbox import Mailbox
from tests.integration.workflow_stack import Stack
from training.container.picture_model import network
from training.container.picture_model.serving_code import copy_serving_code

ALL_SECONDS = 300  # for all of them; a quarter of it on an idle machine with 2 cores
AT_ONCE = 8  # as many uploads
PICTURE_MIB = 4 * network.MAX_PIXELS / 2**20  # the largest picture: Pillow takes 4 bytes a pixel


@pytest.fixture(scope="module")
def serving(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The workflow with an endpoint that serves what the project serves on AWS."""
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    copy_serving_code(folder / "code")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file in folder.iterdir():
            tar.add(file, file.name)
    uri = sagemaker_requests.put(stack.aws, "hostile/model.tar.gz", archive.getvalue())
    sagemaker = stack.aws.client("sagemaker")
    sagemaker.create_model(
        ModelName="hostile",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={
            "Image": "test",
            "ModelDataUrl": uri,
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
        },
    )
    variant = {"VariantName": "AllTraffic", "ModelName": "hostile", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName="hostile",
        ProductionVariants=[variant | {"InstanceType": "ml.m5.large"}],
    )
    sagemaker.update_endpoint(EndpointName=project().endpoint_name, EndpointConfigName="hostile")
    settled = sagemaker_requests.settled_endpoint(stack.aws, project().endpoint_name)
    assert (settled["EndpointStatus"], settled["EndpointConfigName"]) == ("InService", "hostile")
    return stack


def upload(stack: Stack) -> None:
    """Put every case into the bucket, under its own key."""
    s3 = stack.aws.client("s3", max_pool_connections=AT_ONCE)

    def put(case: Case) -> None:
        s3.put_object(Bucket=stack.outputs["PicturesBucketName"], Key=case.key, Body=case.body)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(put, cases()))


def recorded(stack: Stack) -> list[str]:
    """Return the key of every accepted answer that is in the table."""
    pages = stack.aws.client("dynamodb").get_paginator("scan")
    items = [
        item
        for page in pages.paginate(TableName=stack.outputs["PredictionsTableName"], ConsistentRead=True)
        for item in page["Items"]
    ]
    assert {item["outcome"]["S"] for item in items} <= {"accepted"}
    prefix = f"s3://{stack.outputs['PicturesBucketName']}/"
    return [item["picture"]["S"].removeprefix(prefix) for item in items]


def serving_processes(stack: Stack) -> set[int]:
    """Return the ids of the processes that serve the endpoint."""
    return {
        pid
        for pid in processes([str(stack.aws.state)])
        if "serving_host.py" in Path(f"/proc/{pid}/cmdline").read_text()
    }


def peaks_mib(stack: Stack) -> dict[str, float]:
    """Return the peak resident memory of each function and of the endpoint, of any process."""
    names = [*memory_settings(), "serving_host.py"]
    found = dict.fromkeys(names, 0.0)
    for pid in processes([str(stack.aws.state)]):
        command = Path(f"/proc/{pid}/cmdline").read_text()
        for name in names:
            if name in command:
                found[name] = max(found[name], peak_rss_mib(str(pid)))
    return found


def executions(stack: Stack) -> Counter[str]:
    """Count the executions by their status."""
    pages = stack.aws.client("stepfunctions").get_paginator("list_executions")
    return Counter(
        execution["status"]
        for page in pages.paginate(stateMachineArn=stack.outputs[PICTURE])
        for execution in page["executions"]
    )


@pytest.mark.parity("s3-keys", "lambda-error-names")
def test_every_picture_ends_as_stated_and_once(serving):
    before = serving_processes(serving)
    failures = Mailbox(serving, serving.failures)
    upload(serving)
    deadline = time.monotonic() + ALL_SECONDS
    while True:
        notifications: list[dict[str, Any]] = failures.all()
        ended = [(key, CLASSIFIED) for key in recorded(serving)]
        ended += [(body["s3_key"], body["error"]["Error"]) for body in notifications]
        if len(ended) >= len(cases()) or time.monotonic() > deadline:
            break
        time.sleep(1)
    by_key = {case.key: case for case in cases()}
    assert {(by_key[key].name, outcome) for key, outcome in ended} == {(case.name, case.outcome) for case in cases()}
    assert len(ended) == len(cases())
    classified = sum(case.outcome == CLASSIFIED for case in cases())
    wait_until(lambda: not executions(serving)["RUNNING"])
    assert executions(serving) == {"SUCCEEDED": classified, "FAILED": len(cases()) - classified}
    assert len(before) == 1
    assert serving_processes(serving) == before  # it was never started again
    peaks = peaks_mib(serving)
    assert all(30 < peaks[name] < most for name, most in memory_settings().items()), peaks
    # Torch and the model, and for each of its threads the largest picture, decoded and copied.
    assert peaks["serving_host.py"] < 400 + (os.cpu_count() or 1) * 4 * PICTURE_MIB, peaks
    asked = {
        body["s3_key"] for body in notifications if entered(serving, body["execution_arn"], "Image Classification")
    }
    assert asked == {case.key for case in cases() if case.outcome == REFUSED}


@pytest.mark.parity("endpoint-model", "invoke-model-error")
def test_endpoint_called_directly_gives_the_stated_outcome(serving):
    runtime = serving.aws.client("sagemaker-runtime", retries={"total_max_attempts": 1})
    pictures = {case.body: case for case in cases()}

    def ask(case: Case) -> str:
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=project().endpoint_name, Body=case.body, ContentType="image/png"
            )
        except ClientError as error:
            service = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return str(error.response.get("OriginalStatusCode", service))
        return str(answer["ResponseMetadata"]["HTTPStatusCode"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = dict(zip(pictures, pool.map(ask, pictures.values()), strict=True))
    wrong = {
        case.name: answers[body] for body, case in pictures.items() if answers[body] not in endpoint_outcomes(case)
    }
    assert wrong == {}


@pytest.mark.parity("lambda-memory")
def test_no_case_takes_more_memory_than_there_is():
    report = measure(Console(quiet=True))
    assert report["not_as_stated"] == []
    assert report["cases"] == report["as_stated"] == len(cases())
    assert report["function"]["worst_peak_mib"] < report["function_memory_size_mib"]
    # The picture as it is decoded and once more: turned, or laid on white; with its mask and rows.
    assert 2 * PICTURE_MIB < report["endpoint"]["worst_added_mib"] < 4 * PICTURE_MIB
