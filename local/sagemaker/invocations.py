"""InvokeEndpoint, `POST /endpoints/{name}/invocations`, with its limits, errors, injected faults and metrics."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from local.sagemaker.arns import ACCOUNT, REGION
from local.sagemaker.data_capture import CapturedInvocation
from local.sagemaker.endpoints import Deployment, Endpoints
from local.sagemaker.errors import AwsError
from local.sagemaker.faults import Fault, FaultKind, Faults
from local.sagemaker.model_server import (
    INVOCATION_SECONDS,
    ContainerAnswer,
    InvocationTimeoutError,
    ModelServerGoneError,
)

# local.ministack.metrics.record: namespace, name, value, unit, and `dimensions` by name
RecordMetric = Callable[..., None]

MAX_BODY_BYTES = 6 * 1024 * 1024  # InvokeEndpoint's Body in botocore's model
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
_FAULTS_IN_CONTAINER = (FaultKind.SLOW, FaultKind.FAILING, FaultKind.REFUSING, FaultKind.NONSENSE)
_FORWARDED_HEADERS = ("content-type", "accept", "x-amzn-sagemaker-custom-attributes")


class MeasuredCall:
    """The metrics of one call, sent at its end.

    A call of an unknown endpoint has no variant and therefore no metrics, as on AWS. A call that did not reach the
    container has no latencies. A throttled call has HTTP status 400 and counts as 4XX.
    """

    def __init__(self, endpoint: str) -> None:
        """Start to measure."""
        self.variant = ""  # set once it is known
        self._endpoint = endpoint
        self._began = time.perf_counter()
        self._model_seconds: float | None = None

    @contextmanager
    def model(self) -> Iterator[None]:
        """Count the time in this context as the container's; several contexts add up."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._model_seconds = (self._model_seconds or 0.0) + time.perf_counter() - began

    def send(self, status: int, record: RecordMetric) -> None:
        """Send the metrics; `status` is the container's HTTP status, 0 for a time-out, or else SageMaker's own."""
        if not self.variant:
            return
        points = [
            ("Invocations", 1.0, "None"),
            ("Invocation4XXErrors", float(400 <= status < 500), "None"),
            ("Invocation5XXErrors", float(status == 0 or status >= 500), "None"),
        ]
        if self._model_seconds is not None:
            overhead = time.perf_counter() - self._began - self._model_seconds
            points.append(("ModelLatency", self._model_seconds * 1e6, "Microseconds"))
            points.append(("OverheadLatency", overhead * 1e6, "Microseconds"))
        dimensions = {"EndpointName": self._endpoint, "VariantName": self.variant}
        for name, value, unit in points:
            record("AWS/SageMaker", name, value, unit, dimensions=dimensions)


@dataclass(frozen=True)
class Invocations:
    """Answers InvokeEndpoint, injects faults and records metrics."""

    endpoints: Endpoints
    faults: Faults
    record: RecordMetric

    def invoke(self, endpoint: str, body: bytes, headers: dict[str, str]) -> tuple[ContainerAnswer, str]:
        """Return the endpoint's response and the variant; header names are in lower case.

        This blocks: call it in a thread. Raise AwsError, with a code of the sagemaker-runtime model: `ValidationError`
        for an unknown endpoint, 413 for a body over 6 MiB, `ModelError` for an error in the container,
        `ServiceUnavailable` for a container that has ended, `ThrottlingException` for a throttled call.
        """
        measured = MeasuredCall(endpoint)
        status = 200
        try:
            return self._answer(endpoint, body, headers, measured), measured.variant
        except AwsError as error:
            original = error.fields.get("OriginalStatusCode")
            status = original if isinstance(original, int) else error.status
            raise
        finally:
            measured.send(status, self.record)

    def _answer(self, endpoint: str, body: bytes, headers: dict[str, str], measured: MeasuredCall) -> ContainerAnswer:
        fault = self.faults.draw(endpoint)
        if fault is not None and fault.kind is FaultKind.GONE:
            raise _not_found(endpoint)
        deployment = self._deployment(endpoint)
        measured.variant = deployment.variant["VariantName"]
        if len(body) > MAX_BODY_BYTES:
            raise AwsError("413", f"HTTP content length exceeded {MAX_BODY_BYTES} bytes.", status=413)
        injected = _inject(fault, endpoint, measured) if fault is not None else None
        return injected or self._ask(endpoint, body, headers, deployment, measured)

    def _deployment(self, name: str) -> Deployment:
        deployment = self.endpoints.serving(name)
        if deployment is None:
            raise _not_found(name)  # AWS's error for an endpoint that is Creating, too
        return deployment

    def _ask(
        self, endpoint: str, body: bytes, headers: dict[str, str], deployment: Deployment, measured: MeasuredCall
    ) -> ContainerAnswer:
        time_in = datetime.now(UTC)
        forwarded = {name: headers[name] for name in _FORWARDED_HEADERS if name in headers}
        forwarded.setdefault("content-type", "application/octet-stream")
        try:
            with measured.model():
                answer = deployment.server.invoke(body, forwarded)
        except InvocationTimeoutError as error:
            raise model_error(endpoint, 0, _TIMED_OUT) from error
        except ModelServerGoneError as error:
            current = self._deployment(endpoint)
            if current is not deployment:  # an update ended between the look-up and the call
                measured.variant = current.variant["VariantName"]
                return self._ask(endpoint, body, headers, current, measured)
            message = f"The container of {measured.variant} has ended: {error}"
            raise AwsError("ServiceUnavailable", message, 503) from error
        if not 200 <= answer.status < 300:
            raise model_error(endpoint, answer.status, answer.body.decode(errors="replace"))
        if deployment.capture is not None:
            captured = CapturedInvocation(
                request_body=body,
                request_type=forwarded["content-type"],
                answer_body=answer.body,
                answer_type=answer.content_type,
                time=time_in,
                inference_id=headers.get("x-amzn-sagemaker-inference-id"),
                custom_attributes=headers.get("x-amzn-sagemaker-custom-attributes"),
            )
            deployment.capture.record(measured.variant, captured)
        return answer


def model_error(endpoint: str, status: int, message: str) -> AwsError:
    """Return SageMaker's `ModelError` for a container's HTTP status, 0 for none, and body."""
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    side = "client" if 400 <= status < 500 else "server"
    console = f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}"
    return AwsError(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{message}". '
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


def _inject(fault: Fault, endpoint: str, measured: MeasuredCall) -> ContainerAnswer | None:
    """Inject a fault into a call; return None to continue with the container."""
    if fault.kind in _FAULTS_IN_CONTAINER:
        with measured.model():
            time.sleep(min(fault.delay_seconds, INVOCATION_SECONDS) if fault.kind is FaultKind.SLOW else 0)
    match fault.kind:
        case FaultKind.SLOW:
            if fault.delay_seconds >= INVOCATION_SECONDS:
                raise model_error(endpoint, 0, _TIMED_OUT)
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
            return ContainerAnswer(200, nonsense.encode(), "application/json")
    return None
