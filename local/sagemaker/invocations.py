"""InvokeEndpoint, `POST /endpoints/{name}/invocations`, with its limits and errors."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from local.sagemaker.arns import ACCOUNT, REGION
from local.sagemaker.data_capture import CapturedInvocation
from local.sagemaker.endpoint_metrics import MeasuredCall, RecordMetric
from local.sagemaker.endpoints import Deployment, Endpoints
from local.sagemaker.errors import AwsError
from local.sagemaker.faults import Fault, FaultKind, Faults
from local.sagemaker.model_server import (
    INVOCATION_SECONDS,
    InvocationTimeoutError,
    ModelServerGoneError,
)

MAX_BODY_BYTES = 6 * 1024 * 1024  # InvokeEndpoint's Body in botocore's model
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
_SERVING = ("InService", "Updating")
_FAULTS_IN_CONTAINER = (FaultKind.SLOW, FaultKind.FAILING, FaultKind.REFUSING, FaultKind.NONSENSE)
_FORWARDED_HEADERS = ("content-type", "accept", "x-amzn-sagemaker-custom-attributes")


@dataclass(frozen=True)
class Invocation:
    """One request of a client; header names are in lower case."""

    endpoint: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class InvocationAnswer:
    """A successful response: the container's body, its content type, and the variant."""

    body: bytes
    content_type: str
    variant: str


@dataclass(frozen=True)
class Invocations:
    """Answers InvokeEndpoint, injects faults and records metrics."""

    endpoints: Endpoints
    faults: Faults
    record: RecordMetric

    def invoke(self, call: Invocation) -> InvocationAnswer:
        """Return the endpoint's response. This blocks: call it in a thread.

        Raises:
            AwsError: with a code of the sagemaker-runtime model: `ValidationError` for an unknown
                endpoint, 413 for a body over 6 MiB, `ModelError` for an error in the container,
                `ServiceUnavailable` for a container that has ended, `ThrottlingException` for a
                throttled call.
        """
        measured = MeasuredCall(call.endpoint)
        status = 200
        try:
            return self._answer(call, measured)
        except AwsError as error:
            original = error.fields.get("OriginalStatusCode")
            status = original if isinstance(original, int) else error.status
            raise
        finally:
            measured.send(status, self.record)

    def _answer(self, call: Invocation, measured: MeasuredCall) -> InvocationAnswer:
        fault = self.faults.draw(call.endpoint)
        if fault is not None and fault.kind is FaultKind.GONE:
            raise _not_found(call.endpoint)
        deployment = self._deployment(call.endpoint)
        measured.variant = deployment.variant["VariantName"]
        if len(call.body) > MAX_BODY_BYTES:
            message = f"HTTP content length exceeded {MAX_BODY_BYTES} bytes."
            raise AwsError("413", message, status=413)
        if fault is not None:
            injected = _inject(fault, call.endpoint, measured)
            if injected is not None:
                return injected
        return self._ask(call, deployment, measured)

    def _deployment(self, name: str) -> Deployment:
        try:
            status, deployment = self.endpoints.serving(name)
        except KeyError as error:
            raise _not_found(name) from error
        if deployment is None or status not in _SERVING:
            raise _not_found(name)  # AWS's error for an endpoint that is Creating, too
        return deployment

    def _ask(self, call: Invocation, deployment: Deployment, measured: MeasuredCall) -> InvocationAnswer:
        time_in = datetime.now(UTC)
        headers = {name: call.headers[name] for name in _FORWARDED_HEADERS if name in call.headers}
        headers.setdefault("content-type", "application/octet-stream")
        try:
            with measured.model():
                answer = deployment.invoke(call.body, headers)
        except InvocationTimeoutError as error:
            raise _timed_out(call.endpoint) from error
        except ModelServerGoneError as error:
            current = self._deployment(call.endpoint)
            if current is not deployment:  # an update ended between the look-up and the call
                measured.variant = current.variant["VariantName"]
                return self._ask(call, current, measured)
            message = f"The container of {measured.variant} has ended: {error}"
            raise AwsError("ServiceUnavailable", message, 503) from error
        if not 200 <= answer.status < 300:
            raise model_error(call.endpoint, answer.status, answer.body.decode(errors="replace"))
        if deployment.capture is not None:
            captured = CapturedInvocation(
                request_body=call.body,
                request_type=headers["content-type"],
                answer_body=answer.body,
                answer_type=answer.content_type,
                time=time_in,
                inference_id=call.headers.get("x-amzn-sagemaker-inference-id"),
                custom_attributes=call.headers.get("x-amzn-sagemaker-custom-attributes"),
            )
            deployment.capture.record(measured.variant, captured)
        return InvocationAnswer(answer.body, answer.content_type, measured.variant)


def model_error(endpoint: str, status: int, message: str) -> AwsError:
    """Return SageMaker's `ModelError` for a container's HTTP status, 0 for none, and body."""
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    whose = "client" if 400 <= status < 500 else "server"
    console = f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}"
    return AwsError(
        "ModelError",
        f'Received {whose} error ({status}) from primary with message "{message}". '
        f"See {console}#logEventViewer:group={group} in account {ACCOUNT} for more information.",
        status=424,
        fields={
            "OriginalStatusCode": status,
            "OriginalMessage": message,
            "LogStreamArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}",
        },
    )


def _not_found(endpoint: str) -> AwsError:
    return AwsError("ValidationError", f"Endpoint {endpoint} of account {ACCOUNT} not found.")


def _timed_out(endpoint: str) -> AwsError:
    return model_error(endpoint, 0, _TIMED_OUT)


def _inject(fault: Fault, endpoint: str, measured: MeasuredCall) -> InvocationAnswer | None:
    """Inject a fault into a call; return None to continue with the container."""
    if fault.kind in _FAULTS_IN_CONTAINER:
        with measured.model():
            time.sleep(min(fault.delay_seconds, INVOCATION_SECONDS) if fault.kind is FaultKind.SLOW else 0)
    match fault.kind:
        case FaultKind.SLOW:
            if fault.delay_seconds >= INVOCATION_SECONDS:
                raise _timed_out(endpoint)
        case FaultKind.THROTTLED:
            raise AwsError("ThrottlingException", "Rate exceeded")
        case FaultKind.UNAVAILABLE:
            raise AwsError("ServiceUnavailable", "The service is currently unavailable.", 503)
        case FaultKind.FAILING:
            raise model_error(endpoint, 500, "injected fault: the container fails")
        case FaultKind.REFUSING:
            raise model_error(endpoint, 400, "injected fault: the container rejects the request")
        case FaultKind.NONSENSE:
            nonsense = json.dumps({"answer": "injected fault: an answer without probabilities"})
            return InvocationAnswer(nonsense.encode(), "application/json", measured.variant)
    return None
