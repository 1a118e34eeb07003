"""Send every picture to the endpoint, and again if a retry may help."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as AwsConnectionError

from common.endpoint_answer import AnswerError, read_answer
from common.errors import ExpectedError
from common.parallel import run_parallel
from common.predictions import is_accepted

BUSY_TRIES = 8  # if the endpoint is too busy: about a minute of throttling
# If the connection breaks or times out. Each time-out of a hanging endpoint costs ANSWER_TIMEOUT_S.
CONNECTION_TRIES = 2
LONGEST_PAUSE_S = 20  # between tries
ANSWER_TIMEOUT_S = 65  # SageMaker gives a container 60 s

# Errors that every other picture would get too.
FATAL_CODES = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
}

# Transient: too many requests, or instances that are starting or overloaded.
BUSY_CODES = {"ThrottlingException", "ModelNotReadyException", "InternalDependencyException"}
BUSY_STATUSES = {429, 500, 502, 503, 504}


class EndpointNotFoundError(ExpectedError):
    """There is no endpoint of this name in this account and region."""


class UnknownTruthError(ExpectedError):
    """The endpoint does not know the class of a picture."""


@dataclass(frozen=True)
class EndpointPrediction:
    """The endpoint's answer about one picture: `label` and `confidence`, or `error`."""

    path: str
    true_class: str
    label: str | None
    confidence: float | None
    probabilities: dict[str, float] | None
    seconds: float
    error: str | None

    def is_accepted(self, threshold: float) -> bool:
        """Apply the acceptance rule; a picture without an answer is never accepted."""
        return self.probabilities is not None and is_accepted([*self.probabilities.values()], threshold)


def runtime_client(session: Any, concurrency: int) -> Any:
    """Return a client that does not retry: `predict` decides what to retry.

    The SDK's retries would repeat time-outs as often as throttling, and sleep through a Ctrl-C; its
    adaptive mode limits all requests to a few a second for minutes after a burst of throttling
    (200 pictures with 60 throttled took 110 s; without it, they take seconds).
    """
    return session.client(
        "sagemaker-runtime",
        config=Config(
            max_pool_connections=concurrency,
            read_timeout=ANSWER_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": 1},
        ),
    )


def predict_all(
    runtime: Any,
    endpoint: str,
    pictures: Sequence[tuple[str, str, bytes]],
    *,
    class_names: Sequence[str] | None,
    concurrency: int,
    report: Callable[[int, int | None], None],
) -> list[EndpointPrediction]:
    """Send every picture, `concurrency` at a time; return the predictions in the pictures' order.

    Raises EndpointNotFoundError, UnknownTruthError, and ClientError for an error that concerns all pictures.
    """
    stop = Event()

    def send(picture: tuple[str, str, bytes]) -> EndpointPrediction:
        return predict(runtime, endpoint, picture, class_names, stop)

    return run_parallel(send, pictures, threads=concurrency, report=report, stop=stop)


def predict(
    runtime: Any, endpoint: str, picture: tuple[str, str, bytes], class_names: Sequence[str] | None, stop: Event
) -> EndpointPrediction:
    """Send one picture, retrying transient errors until `stop` is set.

    An error that concerns this picture alone is returned in `error`. `seconds` is the time of the last try.
    """
    path, true_class, content = picture
    tries = 0
    while True:
        tries += 1
        began = time.monotonic()
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=endpoint, ContentType="image/png", Accept="application/json", Body=content
            )
            body = answer["Body"].read()
            seconds = time.monotonic() - began
            probabilities = read_answer(body, class_names)
            break
        except ClientError as error:
            _raise_if_fatal(error, endpoint)
            problem: Exception = error
            most = BUSY_TRIES if _is_busy(error) else 1
        except (AwsConnectionError, HTTPClientError, IncompleteReadError) as error:
            problem, most = error, CONNECTION_TRIES
        except AnswerError as error:
            problem, most = error, 1
        if tries >= most or stop.wait(_pause(tries)):
            return EndpointPrediction(path, true_class, None, None, None, time.monotonic() - began, str(problem))
    if true_class not in probabilities:
        raise UnknownTruthError(
            f"Endpoint {endpoint} knows the classes {', '.join(probabilities)}, and {path} is of class"
            f" {true_class}: stage the classes that it was trained on, or train it again."
        )
    label = max(probabilities, key=probabilities.__getitem__)
    return EndpointPrediction(path, true_class, label, probabilities[label], probabilities, seconds, None)


def _raise_if_fatal(error: ClientError, endpoint: str) -> None:
    code, message = _code(error), error.response["Error"].get("Message", "")
    if code == "ValidationError" and "not found" in message.lower():
        raise EndpointNotFoundError(
            f"Endpoint {endpoint} was not found: run `python -m training.create_endpoint`, or"
            " give its name with --endpoint."
        ) from error
    if code in FATAL_CODES:
        raise error


def _is_busy(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return _code(error) in BUSY_CODES or status in BUSY_STATUSES


def _code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", ""))


def _pause(tries: int) -> float:
    """Return seconds to wait after so many tries: random, so that threads do not retry at the same time."""
    return random.random() * min(2.0 ** (tries - 1), LONGEST_PAUSE_S)  # noqa: S311  no secret
