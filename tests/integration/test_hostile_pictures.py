"""Every hostile picture, uploaded into the deployed workflow, ends once and as stated.

The endpoint serves the project's own serving code with a small model. The cost of each case is measured as
`python -m benchmarks.hostile` does.
"""

import os
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
from tests.integration.deployed_machines import PICTURE, entered
from tests.integration.laptop_aws import processes, wait_until
from tests.integration.mailbox import Mailbox
from tests.integration.sagemaker_requests import endpoint_config, settled_endpoint
from tests.integration.workflow_stack import Stack
from training.container.picture_model import network
from training.container.picture_model.serving_code import copy_serving_code

TIMEOUT_SECONDS = 300  # for all cases; an idle machine with 2 cores needs a quarter of it
CONCURRENCY = 8
PICTURE_MIB = 4 * network.MAX_PIXELS / 2**20  # the largest picture: Pillow takes 4 bytes a pixel


@pytest.fixture(scope="module")
def serving(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The workflow with an endpoint that serves the project's serving code."""
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    copy_serving_code(folder / "code")
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    endpoint_config(stack.aws, "hostile", files=files)
    name = project().endpoint_name
    stack.aws.client("sagemaker").update_endpoint(EndpointName=name, EndpointConfigName="hostile")
    settled = settled_endpoint(stack.aws, name)
    assert (settled["EndpointStatus"], settled["EndpointConfigName"]) == ("InService", "hostile")
    return stack


def upload(stack: Stack) -> None:
    """Put every case into the bucket, under its own key."""
    s3 = stack.aws.client("s3", max_pool_connections=CONCURRENCY)
    bucket = stack.outputs["PicturesBucketName"]
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(lambda case: s3.put_object(Bucket=bucket, Key=case.key, Body=case.body), cases()))


def accepted_keys(stack: Stack) -> list[str]:
    """Return the key of every prediction in the table, all of which must be accepted."""
    pages = stack.aws.client("dynamodb").get_paginator("scan")
    table = stack.outputs["PredictionsTableName"]
    items = pages.paginate(TableName=table, ConsistentRead=True).build_full_result()["Items"]
    assert {item["outcome"]["S"] for item in items} <= {"accepted"}
    prefix = f"s3://{stack.outputs['PicturesBucketName']}/"
    return [item["picture"]["S"].removeprefix(prefix) for item in items]


def command_lines(stack: Stack) -> dict[int, str]:
    """Return the command line of each process of the stack, by its id."""
    return {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in processes([str(stack.aws.state)])}


def serving_processes(stack: Stack) -> set[int]:
    """Return the ids of the processes that serve the endpoint."""
    return {pid for pid, command in command_lines(stack).items() if "serving_host.py" in command}


def peaks_mib(stack: Stack) -> dict[str, float]:
    """Return the peak resident memory of each function and of the endpoint, of any process."""
    peaks = dict.fromkeys([*memory_settings(), "serving_host.py"], 0.0)
    for pid, command in command_lines(stack).items():
        for name in peaks:
            if name in command:
                peaks[name] = max(peaks[name], peak_rss_mib(str(pid)))
    return peaks


def executions(stack: Stack) -> Counter[str]:
    """Count the executions by their status."""
    pages = stack.aws.client("stepfunctions").get_paginator("list_executions")
    found = pages.paginate(stateMachineArn=stack.outputs[PICTURE]).build_full_result()["executions"]
    return Counter(execution["status"] for execution in found)


@pytest.mark.parity("s3-keys", "lambda-error-names")
def test_uploaded_cases_end_once_as_stated(serving):
    before = serving_processes(serving)
    failures = Mailbox(serving, serving.failures)
    upload(serving)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        notifications: list[dict[str, Any]] = failures.all()
        ended = [(key, CLASSIFIED) for key in accepted_keys(serving)]
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
    assert serving_processes(serving) == before  # the endpoint was never restarted
    peaks = peaks_mib(serving)
    assert all(30 < peaks[name] < most for name, most in memory_settings().items()), peaks
    # Torch and the model, and for each thread the largest picture, decoded and copied.
    assert peaks["serving_host.py"] < 400 + (os.cpu_count() or 1) * 4 * PICTURE_MIB, peaks
    asked = {
        body["s3_key"] for body in notifications if entered(serving, body["execution_arn"], "Image Classification")
    }
    assert asked == {case.key for case in cases() if case.outcome == REFUSED}


@pytest.mark.parity("endpoint-model", "invoke-model-error")
def test_endpoint_called_directly_gives_the_stated_outcome(serving):
    runtime = serving.aws.client("sagemaker-runtime", retries={"total_max_attempts": 1})
    name = project().endpoint_name
    pictures = {case.body: case for case in cases()}

    def ask(case: Case) -> str:
        try:
            answer = runtime.invoke_endpoint(EndpointName=name, Body=case.body, ContentType="image/png")
        except ClientError as error:
            service = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return str(error.response.get("OriginalStatusCode", service))
        return str(answer["ResponseMetadata"]["HTTPStatusCode"])

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        answers = dict(zip(pictures, pool.map(ask, pictures.values()), strict=True))
    unexpected = [(c.name, answers[body]) for body, c in pictures.items() if answers[body] not in endpoint_outcomes(c)]
    assert unexpected == []


@pytest.mark.parity("lambda-memory")
def test_measured_cases_end_as_stated_within_the_memory():
    report = measure(Console(quiet=True))
    assert report["not_as_stated"] == []
    assert report["cases"] == report["as_stated"] == len(cases())
    assert report["function"]["worst_peak_mib"] < report["function_memory_size_mib"]
    # The picture decoded, and a copy: rotated, or composed onto white, with its mask and rows.
    assert 2 * PICTURE_MIB < report["endpoint"]["worst_added_mib"] < 4 * PICTURE_MIB
