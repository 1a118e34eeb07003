"""Endpoints of the laptop's AWS: life cycle, limits, errors, captures and injected faults."""

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.sagemaker.host import create_host
from local.sagemaker.model_server import InvocationTimeoutError, ModelServer
from tests.integration.laptop_aws import LaptopAws, unique, wait_until
from tests.integration.sagemaker_requests import (
    BUCKET,
    CAPTURE,
    ECHO,
    create_endpoint,
    endpoint_config,
    get,
    invoke_endpoint,
    keys,
    put,
    settled_endpoint,
)

BROKEN = "raise RuntimeError('weights do not fit the network')"


def update(aws: LaptopAws, name: str, config: str) -> Any:
    aws.client("sagemaker").update_endpoint(EndpointName=name, EndpointConfigName=config)
    return settled_endpoint(aws, name)


def delete(aws: LaptopAws, name: str) -> None:
    sagemaker = aws.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName=name)

    def gone() -> bool:
        try:
            sagemaker.describe_endpoint(EndpointName=name)
        except ClientError as error:
            return "Could not find endpoint" in str(error)
        return False

    wait_until(gone)


def answer(aws: LaptopAws, name: str, word: str = "hello") -> Any:
    return json.loads(invoke_endpoint(aws, name, word)["Body"].read())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def endpoint(laptop_aws: LaptopAws) -> Iterator[str]:
    name = unique("echo")
    described = create_endpoint(laptop_aws, name, endpoint_config(laptop_aws, unique("model")))
    assert described["EndpointStatus"] == "InService", described
    yield name
    delete(laptop_aws, name)


@pytest.mark.parity("endpoint-lifecycle")
def test_create_with_broken_model_fails_with_its_last_lines(laptop_aws):
    name = unique("broken")
    described = create_endpoint(laptop_aws, name, endpoint_config(laptop_aws, unique("model"), BROKEN))
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"].startswith("The primary container for production variant")
    assert described["FailureReason"].endswith("RuntimeError: weights do not fit the network")
    with pytest.raises(ClientError, match=f"Endpoint {name} of account 000000000000 not found."):
        invoke_endpoint(laptop_aws, name)
    delete(laptop_aws, name)


def test_create_with_invalid_archive_fails(laptop_aws):
    name, config = unique("unpacked"), endpoint_config(laptop_aws, unique("model"))
    put(laptop_aws, f"models/{config}/model.tar.gz", b"not an archive")
    described = create_endpoint(laptop_aws, name, config)
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"] == ("Failed to download or start the model: not a gzip file")
    delete(laptop_aws, name)


@pytest.mark.parity("endpoint-update")
def test_failed_update_keeps_the_old_model(laptop_aws):
    name, old = unique("rollback"), endpoint_config(laptop_aws, unique("old"))
    create_endpoint(laptop_aws, name, old)
    described = update(laptop_aws, name, endpoint_config(laptop_aws, unique("new"), BROKEN))
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", old)
    assert "weights do not fit the network" in described["FailureReason"]
    assert answer(laptop_aws, name)["model"] == old
    delete(laptop_aws, name)


@pytest.mark.parity("endpoint-update")
def test_update_answers_without_interruption(laptop_aws, tmp_path):
    # GIVEN an update to a model that loads until the test releases it
    name, old = unique("update"), endpoint_config(laptop_aws, unique("old"))
    create_endpoint(laptop_aws, name, old)
    old_pid = answer(laptop_aws, name)["pid"]
    held = f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'release')!r}).exists(): time.sleep(0.05)\n"
    new = endpoint_config(laptop_aws, unique("new"), held + ECHO)
    laptop_aws.client("sagemaker").update_endpoint(EndpointName=name, EndpointConfigName=new)
    # THEN the old model answers and the endpoint cannot be deleted
    assert answer(laptop_aws, name)["model"] == old
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        laptop_aws.client("sagemaker").delete_endpoint(EndpointName=name)
    # WHEN the new model has loaded THEN it answers, and no call fails in between
    (tmp_path / "release").touch()
    wait_until(lambda: answer(laptop_aws, name, "wait")["model"] == new)
    assert settled_endpoint(laptop_aws, name)["EndpointConfigName"] == new
    wait_until(lambda: not is_running(old_pid))
    delete(laptop_aws, name)


@pytest.mark.parity("endpoint-lifecycle")
def test_crashed_container_is_restarted(laptop_aws):
    name = unique("dying")
    create_endpoint(laptop_aws, name, endpoint_config(laptop_aws, unique("model")))
    before = answer(laptop_aws, name)["pid"]
    with pytest.raises(ClientError) as died:
        invoke_endpoint(laptop_aws, name, "die")
    assert died.value.response["Error"]["Code"] == "ServiceUnavailable"

    def back() -> Any:
        try:
            return answer(laptop_aws, name)
        except ClientError:
            return None

    assert wait_until(back)["pid"] != before
    delete(laptop_aws, name)


@pytest.mark.parity("endpoint-lifecycle")
def test_missing_and_existing_names_have_the_errors_of_aws(laptop_aws, endpoint):
    sagemaker = laptop_aws.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    with pytest.raises(ClientError, match=f'Could not find endpoint "{arn}:endpoint/missing".'):
        sagemaker.describe_endpoint(EndpointName="Missing")
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="nothing")
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    with pytest.raises(ClientError, match="Could not find model data at s3://sagemaker-tests/no"):
        sagemaker.create_model(
            ModelName="empty",
            ExecutionRoleArn="arn:aws:iam::000000000000:role/test",
            PrimaryContainer={"Image": "test", "ModelDataUrl": f"s3://{BUCKET}/no.tar.gz"},
        )
    listed = sagemaker.list_endpoints(NameContains=endpoint, StatusEquals="InService")
    assert [entry["EndpointName"] for entry in listed["Endpoints"]] == [endpoint]


@pytest.mark.parity("invoke-model-error")
@pytest.mark.parametrize(
    ("word", "content_type", "status", "message"),
    [("x", "image/gif", 415, "only PNG"), ("crash", "image/png", 500, "the model broke")],
)
def test_invoke_with_container_error_is_a_model_error(laptop_aws, endpoint, word, content_type, status, message):
    runtime = laptop_aws.client("sagemaker-runtime", retries={"total_max_attempts": 1})
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        runtime.invoke_endpoint(EndpointName=endpoint, Body=word, ContentType=content_type)
    response = refused.value.response
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (status, message)
    side = "client" if status < 500 else "server"
    assert f'Received {side} error ({status}) from primary with message "{message}"' in str(refused.value)


@pytest.mark.parity("invoke-request")
def test_invoke_accepts_6_mib_and_rejects_one_byte_more(laptop_aws, endpoint):
    six_mib = "x" * (6 * 1024 * 1024)
    got = invoke_endpoint(laptop_aws, endpoint, six_mib)
    assert (got["ContentType"], got["InvokedProductionVariant"]) == ("application/json", "AllTraffic")
    assert json.loads(got["Body"].read())["word"] == six_mib
    with pytest.raises(ClientError) as refused:
        invoke_endpoint(laptop_aws, endpoint, six_mib + "x")
    message = "HTTP content length exceeded 6291456 bytes."
    assert refused.value.response["Error"] == {"Code": "413", "Message": message}


@pytest.mark.parity("invoke-60-seconds")
def test_model_server_with_hanging_container_times_out(laptop_aws, tmp_path):
    """A real container with a time limit of 0.1 s; tests/unit has the ModelError that follows."""
    model = endpoint_config(laptop_aws, unique("slow"))
    host = create_host(tmp_path, laptop_aws.endpoint_url)
    server = ModelServer("slow", {"VariantName": "AllTraffic"}, tmp_path, host, invocation_seconds=0.1)
    try:
        server.start(laptop_aws.client("sagemaker").describe_model(ModelName=model))
        with pytest.raises(InvocationTimeoutError):
            server.invoke(b"hang", {"content-type": "image/png"})
    finally:
        server.stop()
        host.children.stop_all()


def test_invoke_by_many_clients_at_once(laptop_aws, endpoint):
    runtime = laptop_aws.client("sagemaker-runtime", max_pool_connections=32)

    def call(number: int) -> str:
        got = runtime.invoke_endpoint(EndpointName=endpoint, Body=str(number), ContentType="image/png")
        return str(json.loads(got["Body"].read())["word"])

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(call, range(200))) == [str(number) for number in range(200)]


@pytest.mark.parity("endpoint-capture")
def test_captures_have_the_layout_of_sagemaker(laptop_aws):
    name = unique("captured")
    config = endpoint_config(laptop_aws, unique("model"), capture=CAPTURE)
    described = create_endpoint(laptop_aws, name, config)
    assert described["DataCaptureConfig"]["CurrentSamplingPercentage"] == 100
    invoke_endpoint(laptop_aws, name, "one", InferenceId="id-1")
    with pytest.raises(ClientError):
        invoke_endpoint(laptop_aws, name, "crash")
    [key] = wait_until(lambda: keys(laptop_aws, f"captures/{name}"))
    invoke_endpoint(laptop_aws, name, "two")
    delete(laptop_aws, name)  # writes the waiting captures
    captured = keys(laptop_aws, f"captures/{name}")
    assert len(captured) == 2
    assert re.fullmatch(rf"captures/{name}/AllTraffic/(\d+/){{4}}[0-9a-f-]+\.jsonl", key)
    [line] = get(laptop_aws, key).decode().splitlines()
    capture = json.loads(line)
    encoded = {"observedContentType": "image/png", "mode": "INPUT", "data": "b25l", "encoding": "BASE64"}
    assert capture["captureData"]["endpointInput"] == encoded
    output = capture["captureData"]["endpointOutput"]
    assert (output["encoding"], json.loads(output["data"])["word"]) == ("JSON", "one")
    assert capture["eventMetadata"]["inferenceId"] == "id-1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", capture["eventMetadata"]["inferenceTime"])


@pytest.fixture
def faulty(laptop_aws: LaptopAws, endpoint: str) -> Iterator[str]:
    """The endpoint; the test's faults end with it."""
    yield endpoint
    laptop_aws.control("DELETE", f"/_local/faults/{endpoint}")


@pytest.mark.parity("invoke-busy", "invoke-not-found", "invoke-model-error")
@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttled", "ThrottlingException", 400),
        ("unavailable", "ServiceUnavailable", 503),
        ("failing", "ModelError", 424),
        ("refusing", "ModelError", 424),
        ("gone", "ValidationError", 400),
    ],
)
def test_fault_has_the_error_of_aws(laptop_aws, faulty, kind, code, status):
    laptop_aws.control("PUT", f"/_local/faults/{faulty}", {"kind": kind})
    with pytest.raises(ClientError) as raised:
        invoke_endpoint(laptop_aws, faulty)
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
