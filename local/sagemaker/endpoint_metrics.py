"""CloudWatch metrics of each call of an endpoint, in the namespace AWS/SageMaker."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# local.ministack.metrics.record: namespace, name, value, unit, and `dimensions` by name
RecordMetric = Callable[..., None]

_NAMESPACE = "AWS/SageMaker"


class MeasuredCall:
    """The metrics of one call, sent at its end.

    A call of an unknown endpoint has no variant and therefore no metrics, as on AWS. A call that
    did not reach the container has no latencies. A throttled call has HTTP status 400 and counts
    as 4XX.
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
            record(_NAMESPACE, name, value, unit, dimensions=dimensions)
