"""Endpoints of the laptop's AWS: their life, their limits and errors, captures and faults."""

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.sagemaker.host import AwsClients
from local.sagemaker.child_process import ChildProcesses
from local.sagemaker.endpoints import Deployment
from local.sagemaker.errors import AwsError
from local.sagemaker.faults import Faults
from local.sagemaker.host import Host
from local.sagemaker.invocations import Invocation, Invocations
from local.sagemaker.model_server import ModelServer
from tests.integration.laptop_aws import LaptopAws, wait_until
from tests.integration.sagemaker_requests import (
    BUCKET,
    CAPTURE,
    endpoint_config,
    get,
    keys,
    put,
    settled_endpoint,
    unique,
)

NO_RETRIES = {"retries": {"total_max_attempts": 1}}
BROKEN = "raise RuntimeError('weights do not fit the network')"


def create(aws: LaptopAws, name: str, config: str) -> Any:
    aws.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=config)
    return settled_endpoint(aws, name)


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


def ask(aws: LaptopAws, name: str, word: str = "hello", **headers: Any) -> Any:
    """Invoke an endpoint once, without the SDK's retries, and return its answer."""
    return aws.client("sagemaker-runtime", **NO_RETRIES).invoke_endpoint(
        EndpointName=name,
        Body=word.encode(),
        **({"ContentType": "image/png", "Accept": "application/json"} | headers),
    )


def answer(aws: LaptopAws, name: str, word: str = "hello") -> Any:
    return json.loads(ask(aws, name, word)["Body"].read())


def fault(aws: LaptopAws, name: str, method: str, members: object = None) -> Any:
    """Send a request to an endpoint's fault control and return its JSON."""
    request = urllib.request.Request(  # noqa: S310  http on loopback
        f"{aws.endpoint_url}/_local/faults/{name}",
        method=method,
        data=None if members is None else json.dumps(members).encode(),
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  as above
        return json.loads(response.read())


@pytest.fixture(scope="module")
def endpoint(laptop_aws: LaptopAws) -> Iterator[str]:
    """An endpoint in service."""
    name = unique("echo")
    described = create(laptop_aws, name, endpoint_config(laptop_aws, unique("model")))
    assert described["EndpointStatus"] == "InService", described
    yield name
    delete(laptop_aws, name)


# --- Life ---


@pytest.mark.parity("endpoint-lifecycle")
def test_a_model_that_does_not_load_fails_with_its_last_lines(laptop_aws: LaptopAws) -> None:
    name = unique("broken")
    described = create(laptop_aws, name, endpoint_config(laptop_aws, unique("model"), BROKEN))
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"].startswith("The primary container for production variant")
    assert described["FailureReason"].endswith("RuntimeError: weights do not fit the network")
    with pytest.raises(ClientError, match=f"Endpoint {name} of account 000000000000 not found."):
        ask(laptop_aws, name)
    delete(laptop_aws, name)


def test_an_archive_that_is_none_fails_the_endpoint(laptop_aws: LaptopAws) -> None:
    name, config = unique("unpacked"), endpoint_config(laptop_aws, unique("model"))
    put(laptop_aws, f"models/{config}/model.tar.gz", b"not an archive")
    described = create(laptop_aws, name, config)
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"] == ("Failed to download or start the model: not a gzip file")
    delete(laptop_aws, name)


@pytest.mark.parity("endpoint-update")
def test_a_failed_update_leaves_the_old_model_in_service(laptop_aws: LaptopAws) -> None:
    name, old = unique("rollback"), endpoint_config(laptop_aws, unique("old"))
    create(laptop_aws, name, old)
    described = update(laptop_aws, name, endpoint_config(laptop_aws, unique("new"), BROKEN))
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", old)
    assert "weights do not fit the network" in described["FailureReason"]
    assert answer(laptop_aws, name)["model"] == old
    delete(laptop_aws, name)


@pytest.mark.parity("endpoint-update")
def test_an_update_serves_all_the_way_through(laptop_aws: LaptopAws) -> None:
    name = unique("update")
    old, new = (endpoint_config(laptop_aws, unique(kind)) for kind in ("old", "new"))
    create(laptop_aws, name, old)
    old_pid = answer(laptop_aws, name)["pid"]
    laptop_aws.client("sagemaker").update_endpoint(EndpointName=name, EndpointConfigName=new)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        laptop_aws.client("sagemaker").delete_endpoint(EndpointName=name)
    models: list[str] = []
    while not models or models[-1] == old:
        models.append(answer(laptop_aws, name, "wait")["model"])
    assert set(models) == {old, new}
    assert settled_endpoint(laptop_aws, name)["EndpointConfigName"] == new
    wait_until(lambda: not is_running(old_pid))
    delete(laptop_aws, name)


@pytest.mark.parity("endpoint-lifecycle")
def test_a_container_that_dies_is_started_again(laptop_aws: LaptopAws) -> None:
    name = unique("dying")
    create(laptop_aws, name, endpoint_config(laptop_aws, unique("model")))
    before = answer(laptop_aws, name)["pid"]
    with pytest.raises(ClientError) as died:
        ask(laptop_aws, name, "die")
    assert died.value.response["Error"]["Code"] == "ServiceUnavailable"

    def back() -> Any:
        try:
            return answer(laptop_aws, name)
        except ClientError:
            return None

    assert wait_until(back)["pid"] != before
    delete(laptop_aws, name)


@pytest.mark.parity("endpoint-lifecycle")
def test_names_that_are_not_there_or_there_already(laptop_aws: LaptopAws, endpoint: str) -> None:
    sagemaker = laptop_aws.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    with pytest.raises(ClientError, match=f'Could not find endpoint "{arn}:endpoint/nobody".'):
        sagemaker.describe_endpoint(EndpointName="Nobody")
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


# --- Calls ---


@pytest.mark.parity("invoke-request")
def test_what_a_call_gets_back(laptop_aws: LaptopAws, endpoint: str) -> None:
    got = ask(laptop_aws, endpoint)
    assert (got["ContentType"], got["InvokedProductionVariant"]) == (
        "application/json",
        "AllTraffic",
    )
    assert json.loads(got["Body"].read())["word"] == "hello"


@pytest.mark.parity("invoke-model-error")
@pytest.mark.parametrize(
    ("word", "content_type", "status", "message"),
    [("x", "image/gif", 415, "only PNG"), ("crash", "image/png", 500, "the model broke")],
)
def test_a_containers_error_is_a_model_error(
    laptop_aws: LaptopAws, endpoint: str, word: str, content_type: str, status: int, message: str
) -> None:
    runtime = laptop_aws.client("sagemaker-runtime", **NO_RETRIES)
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        runtime.invoke_endpoint(EndpointName=endpoint, Body=word, ContentType=content_type)
    response = refused.value.response
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (status, message)
    whose = "client" if status < 500 else "server"
    assert f'Received {whose} error ({status}) from primary with message "{message}"' in str(refused.value)


@pytest.mark.parity("invoke-request")
def test_6_mib_pass_and_one_byte_more_does_not(laptop_aws: LaptopAws, endpoint: str) -> None:
    six_mib = "x" * (6 * 1024 * 1024)
    assert len(answer(laptop_aws, endpoint, six_mib)["word"]) == 6_291_456
    with pytest.raises(ClientError) as refused:
        ask(laptop_aws, endpoint, six_mib + "x")
    assert refused.value.response["Error"] == {
        "Code": "413",
        "Message": "HTTP content length exceeded 6291456 bytes.",
    }


@pytest.mark.parity("invoke-60-seconds")
def test_a_container_that_takes_too_long_is_a_model_error(laptop_aws: LaptopAws, tmp_path: Path) -> None:
    """A real container, with the limit of 60 s made a fraction of what its model takes."""
    model = endpoint_config(laptop_aws, unique("slow"))
    described = laptop_aws.client("sagemaker").describe_model(ModelName=model)
    variant = {"VariantName": "AllTraffic", "ModelName": model}
    children = ChildProcesses(tmp_path / "children")
    url = laptop_aws.endpoint_url
    host = Host(tmp_path, url, AwsClients(url), children)
    server = ModelServer("slow", variant, tmp_path, host, invocation_seconds=0.1)
    deployment = Deployment({"ProductionVariants": [variant]}, {}, {"AllTraffic": server})

    class OneEndpoint:
        def serving(self, _name: str) -> tuple[str, Deployment]:
            return "InService", deployment

    endpoints: Any = OneEndpoint()
    points: dict[str, float] = {}

    def record(_namespace: str, name: str, value: float, *_unit: str, **_about: object) -> None:
        points[name] = value

    try:
        server.start(described)
        with pytest.raises(AwsError) as slow:
            Invocations(endpoints, Faults(), record).invoke(Invocation("slow", b"wait", {"content-type": "image/png"}))
    finally:
        server.stop()
        children.stop_all()
    error = slow.value
    assert (error.code, error.status, error.fields["OriginalStatusCode"]) == ("ModelError", 424, 0)
    assert error.message.startswith('Received server error (0) from primary with message "Your ')
    assert points["Invocation5XXErrors"] == 1
    assert points["ModelLatency"] >= 100_000


def test_many_clients_at_once(laptop_aws: LaptopAws, endpoint: str) -> None:
    runtime = laptop_aws.client("sagemaker-runtime", max_pool_connections=32)

    def call(number: int) -> str:
        got = runtime.invoke_endpoint(EndpointName=endpoint, Body=str(number), ContentType="image/png")
        return str(json.loads(got["Body"].read())["word"])

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(call, range(200))) == [str(number) for number in range(200)]


# --- Data capture ---


@pytest.mark.parity("endpoint-capture")
def test_captures_have_sagemakers_layout(laptop_aws: LaptopAws) -> None:
    name = unique("captured")
    config = endpoint_config(laptop_aws, unique("model"), capture=CAPTURE)
    described = create(laptop_aws, name, config)
    assert described["DataCaptureConfig"]["CurrentSamplingPercentage"] == 100
    ask(laptop_aws, name, "one", InferenceId="id-1")
    with pytest.raises(ClientError):
        ask(laptop_aws, name, "crash")
    [key] = wait_until(lambda: keys(laptop_aws, f"captures/{name}"))
    ask(laptop_aws, name, "two")
    delete(laptop_aws, name)  # writes what is still waiting
    captured = keys(laptop_aws, f"captures/{name}")
    assert len(captured) == 2
    assert re.fullmatch(
        rf"captures/{name}/AllTraffic/\d{{4}}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{{3}}-[0-9a-f-]{{36}}\.jsonl",
        key,
    )
    [line] = get(laptop_aws, key).decode().splitlines()
    capture = json.loads(line)
    assert capture["captureData"]["endpointInput"] == {
        "observedContentType": "image/png",
        "mode": "INPUT",
        "data": "b25l",
        "encoding": "BASE64",
    }
    output = capture["captureData"]["endpointOutput"]
    assert (output["encoding"], json.loads(output["data"])["word"]) == ("JSON", "one")
    assert capture["eventMetadata"]["inferenceId"] == "id-1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", capture["eventMetadata"]["inferenceTime"])


# --- Faults ---


def test_throttled_for_two_calls_then_well(laptop_aws: LaptopAws, endpoint: str) -> None:
    fault(laptop_aws, endpoint, "PUT", {"kind": "throttled", "calls": 2})
    for _ in range(2):
        with pytest.raises(ClientError) as busy:
            ask(laptop_aws, endpoint)
        assert busy.value.response["Error"]["Code"] == "ThrottlingException"
    assert answer(laptop_aws, endpoint)["word"] == "hello"
    state = fault(laptop_aws, endpoint, "GET")
    assert state == {"faults": [], "calls": 3, "injected": {"throttled": 2}}
    fault(laptop_aws, endpoint, "DELETE")


@pytest.mark.parity("invoke-busy", "invoke-not-found", "invoke-model-error")
@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("unavailable", "ServiceUnavailable", 503),
        ("failing", "ModelError", 424),
        ("refusing", "ModelError", 424),
        ("gone", "ValidationError", 400),
    ],
)
def test_faults_are_the_errors_that_aws_gives(
    laptop_aws: LaptopAws, endpoint: str, kind: str, code: str, status: int
) -> None:
    fault(laptop_aws, endpoint, "PUT", {"kind": kind})
    try:
        with pytest.raises(ClientError) as faulty:
            ask(laptop_aws, endpoint)
    finally:
        fault(laptop_aws, endpoint, "DELETE")
    assert faulty.value.response["Error"]["Code"] == code
    assert faulty.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert answer(laptop_aws, endpoint)["word"] == "hello"


def test_slow_and_nonsense(laptop_aws: LaptopAws, endpoint: str) -> None:
    slow = {"kind": "slow", "delay_seconds": 0.5, "calls": 1}
    fault(laptop_aws, endpoint, "PUT", slow)
    began = time.monotonic()
    assert answer(laptop_aws, endpoint)["word"] == "hello"
    assert time.monotonic() - began >= 0.5
    fault(laptop_aws, endpoint, "PUT", {"kind": "nonsense", "calls": 1})
    assert "probabilities" not in answer(laptop_aws, endpoint)


def test_several_faults_at_once_are_counted_by_kind(laptop_aws: LaptopAws, endpoint: str) -> None:
    kinds = ["slow", "throttled", "unavailable", "failing", "refusing", "nonsense", "gone"]
    shares = [{"kind": kind, "share": 0.1, "delay_seconds": 0.01} for kind in kinds]
    fault(laptop_aws, endpoint, "DELETE")  # the counts of the tests before this one
    fault(laptop_aws, endpoint, "PUT", {"faults": shares, "seed": 1})
    got = {"well": 0, "nonsense": 0, "error": 0}
    for _ in range(100):
        try:
            outcome = "well" if "word" in answer(laptop_aws, endpoint) else "nonsense"
        except ClientError:
            outcome = "error"
        got[outcome] += 1
    state = fault(laptop_aws, endpoint, "GET")
    fault(laptop_aws, endpoint, "DELETE")
    injected = state["injected"]
    assert state["calls"] == 100
    assert set(injected) == set(kinds)
    assert got["nonsense"] == injected["nonsense"]
    assert got["well"] == 100 - sum(injected.values()) + injected["slow"]


def test_a_wrong_fault_is_refused_with_a_sentence(laptop_aws: LaptopAws, endpoint: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        fault(laptop_aws, endpoint, "PUT", {"kind": "tired"})
    assert refused.value.code == 400
    assert json.loads(refused.value.read())["error"].startswith("kind must be one of slow, ")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
