"""Requests to the SageMaker stand-in: tiny jobs, models and endpoints."""

from collections.abc import Mapping
from typing import Any

from tests.archives import tar_gz
from tests.integration.laptop_aws import ROLE, LaptopAws, wait_until

BUCKET = "sagemaker-tests"
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": f"s3://{BUCKET}/captures",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
}
ECHO = """
import json, os, pathlib, time

class RefusedError(Exception):
    status_code = 415

def model_fn(model_dir):
    return pathlib.Path(model_dir, "name.txt").read_text()

def input_fn(body, content_type):
    if content_type != "image/png":
        raise RefusedError("only PNG")
    return body.decode()

def predict_fn(word, model):
    if word == "crash":
        raise ValueError("the model broke")
    if word == "die":
        os._exit(1)
    if word == "wait":
        time.sleep(1)
    if word == "hang":
        time.sleep(3600)
    return {"model": model, "word": word, "pid": os.getpid()}

def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""


def put(aws: LaptopAws, key: str, body: bytes) -> str:
    """Put an object into the tests' bucket and return its URI."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    return f"s3://{BUCKET}/{key}"


def keys(aws: LaptopAws, prefix: str) -> list[str]:
    """Return the keys under a prefix of the tests' bucket."""
    found = aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for entry in found.get("Contents", [])]


def get(aws: LaptopAws, key: str) -> bytes:
    """Return an object of the tests' bucket."""
    body: bytes = aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return body


def job_request(aws: LaptopAws, name: str, script: str, **changes: Any) -> dict[str, Any]:
    """Return a CreateTrainingJob request for a Python script with one channel, `train`."""
    uri = put(aws, f"{name}/code/train.py", script.encode())
    data = put(aws, f"{name}/train/bicycle/a b.png", b"picture")
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": "test",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3"],
            "ContainerArguments": ["/opt/ml/input/data/code/train.py"],
            "MetricDefinitions": [{"Name": "loss", "Regex": r"loss=([0-9.]+)"}],
        },
        "InputDataConfig": [
            channel("code", uri.removesuffix("/train.py")),
            channel("train", data.removesuffix("/bicycle/a b.png")),
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/jobs"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    } | changes


def channel(name: str, uri: str) -> dict[str, Any]:
    """Return an input channel that reads an S3 prefix."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def ended_job(aws: LaptopAws, name: str) -> Any:
    """Return the description of a training job after its end."""
    sagemaker = aws.client("sagemaker")

    def poll() -> Any:
        found = sagemaker.describe_training_job(TrainingJobName=name)
        return found if found["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait_until(poll)


def run_job(aws: LaptopAws, request: dict[str, Any]) -> Any:
    """Run a training job and return its description after its end."""
    aws.client("sagemaker").create_training_job(**request)
    return ended_job(aws, request["TrainingJobName"])


def job_logs(aws: LaptopAws, name: str) -> list[list[str]]:
    """Return the lines of each log stream of a training job: one stream for each of its instances."""
    logs, group = aws.client("logs"), "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/algo-1-")["logStreams"]
    names = [stream["logStreamName"] for stream in streams]
    events = [logs.get_log_events(logGroupName=group, logStreamName=each, startFromHead=True) for each in names]
    return [[event["message"] for event in each["events"]] for each in events]


def endpoint_config(
    aws: LaptopAws,
    name: str,
    program: str = ECHO,
    capture: dict[str, Any] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> str:
    """Create a model and an endpoint configuration of the same name; return the name.

    The model's archive has `files`, by default the program, and a file with the name.
    """
    packed = tar_gz(files or {"code/inference.py": program, "name.txt": name})
    uri = put(aws, f"models/{name}/model.tar.gz", packed)
    sagemaker = aws.client("sagemaker")
    container = {"Image": "test", "ModelDataUrl": uri, "Environment": {"SAGEMAKER_PROGRAM": "inference.py"}}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    instances = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[{"VariantName": "AllTraffic", "ModelName": name} | instances],
        **({} if capture is None else {"DataCaptureConfig": capture}),
    )
    return name


def create_endpoint(aws: LaptopAws, name: str, config: str) -> Any:
    """Create an endpoint and return its description after that."""
    aws.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=config)
    return settled_endpoint(aws, name)


def settled_endpoint(aws: LaptopAws, name: str) -> Any:
    """Return the description of an endpoint after its creation or update."""
    sagemaker = aws.client("sagemaker")

    def poll() -> Any:
        found = sagemaker.describe_endpoint(EndpointName=name)
        return found if found["EndpointStatus"] in ("InService", "Failed") else None

    return wait_until(poll)


def invoke_endpoint(aws: LaptopAws, name: str, word: str = "hello", **headers: Any) -> Any:
    """Invoke an endpoint once, without the SDK's retries."""
    return aws.client("sagemaker-runtime", retries={"total_max_attempts": 1}).invoke_endpoint(
        EndpointName=name, Body=word.encode(), **({"ContentType": "image/png", "Accept": "application/json"} | headers)
    )
