"""Threshold, captures and baseline from the deployed endpoint and stack, unless options give them.

Captures in a folder need no account: without AWS, the threshold comes from samconfig.toml, and the report says so.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from common import settings
from common.account import RegionMissingError, check_credentials, check_region
from common.errors import ExpectedError
from operations.monitoring.distances import Observer, load_observer
from operations.monitoring.sample import Sample, read_baseline
from training.endpoint.model_artifact import endpoint_model_data
from training.evaluation import threshold

# AWS may be out of reach: a laptop's AWS that has stopped, a machine without a network.
SHORT_TIMEOUT = Config(connect_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})


@dataclass(frozen=True)
class ImpatientSession:
    """A session whose clients give up soon."""

    session: Any

    def client(self, service: str) -> Any:
        """Return a client with a short timeout."""
        return _client(self.session, service)


@cache  # read_members keeps the archive that a client read last
def _client(session: Any, service: str) -> Any:
    return session.client(service, config=SHORT_TIMEOUT)


@dataclass(frozen=True)
class Baseline:
    """What captured calls are compared with.

    Attributes:
        sample: None where there is none; then `missing` says why.
        location: path or S3 address of the baseline.
        observer: the model's ensemble members, to classify captured pictures with; None where the baseline is not a
            model, or lacks them, as `no_observer` says.
    """

    sample: Sample | None
    location: str | None = None
    observer: Observer | None = None
    missing: str = ""
    no_observer: str = ""


def endpoint_captures(session: Any, endpoint: str) -> str:
    """Return the S3 address that an endpoint's captures go to.

    For a deleted endpoint, that is the project's default address: wrong if it was created with another --bucket.
    Raises ExpectedError where the account cannot be determined.
    """
    region = check_region(session)
    caller = check_credentials(session.client("sts"))
    try:
        capture = session.client("sagemaker").describe_endpoint(EndpointName=endpoint).get("DataCaptureConfig", {})
    except ClientError:
        capture = {}
    bucket = settings.default_bucket(caller.account, region)
    address = capture.get("DestinationS3Uri") or f"s3://{bucket}/{settings.CAPTURES_PREFIX}"
    return f"{address.rstrip('/')}/{endpoint}/"


def choose_threshold(session: Any, stack: str, endpoint: str, asked: float | None) -> tuple[float, str]:
    """Return the requested threshold, or the one that the stack is deployed with; and where it comes from.

    Without a stack it is what `evaluate` takes: the recommendation of the endpoint's model, or else samconfig.toml's.
    """
    if asked is not None:
        return asked, "given with --threshold"
    impatient = ImpatientSession(session)
    try:
        [found] = impatient.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        parameters = {p["ParameterKey"]: p["ParameterValue"] for p in found.get("Parameters", [])}
        return float(parameters["ConfidenceThreshold"]), f"of the deployed stack {stack}"
    except (ClientError, BotoCoreError, KeyError, ValueError):
        chosen = threshold.choose_threshold(impatient, endpoint, None, None)
        by_model = chosen.source == "recommendation"
        return chosen.value, "as the endpoint's model recommends" if by_model else "as in samconfig.toml"


def choose_baseline(session: Any, endpoint: str, asked: str | None) -> Baseline:
    """Return the requested baseline, or that of the endpoint's model.

    Raises ExpectedError and ClientError for a requested one that cannot be used.
    """
    if asked == "none":
        return Baseline(None, missing="The comparison is disabled with --baseline none.")
    if asked is not None:
        # A client needs a region, which a folder does not.
        s3 = session.client("s3") if asked.startswith("s3://") else None
        return _baseline(asked, s3)
    advice = "Name a baseline with --baseline or --baseline-captures."
    impatient = ImpatientSession(session)
    try:
        check_region(session)
        model = endpoint_model_data(impatient.client("sagemaker"), endpoint)
        return _baseline(model, impatient.client("s3"))
    except (RegionMissingError, NoCredentialsError):
        missing = (
            "The baseline of the endpoint's model was not looked up, since no AWS region or credentials are set:"
            f" export AWS_DEFAULT_REGION and log in to AWS. {advice}"
        )
    except (ExpectedError, ClientError, BotoCoreError) as error:
        missing = f"The baseline of the endpoint's model cannot be read: {_sentence(error)} {advice}"
    return Baseline(None, missing=missing)


def _baseline(location: str, s3: Any) -> Baseline:
    sample = read_baseline(location, s3)
    if Path(location).suffix == ".json":  # an earlier run's, or a model's without its archive
        return Baseline(sample, location)
    try:
        return Baseline(sample, location, load_observer(location, s3))
    except ExpectedError as error:
        return Baseline(sample, location, no_observer=_sentence(error))


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text.endswith(".") else f"{text}."
