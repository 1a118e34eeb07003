"""Measure the endpoint on a staged split: `python -m training.evaluate`.

Writes evaluation.json and confusion_matrix.png. Every picture is accounted for: one that got no
answer counts as wrong, is listed, and makes the exit status 1.
"""

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as AwsConnectionError
from rich.console import Console
from rich.table import Table

from training import settings
from training.answer import AnswerError, read_answer
from training.arguments import positive_integer
from training.arguments import share as share_argument
from training.confusion_plot import plot_confusion
from training.errors import ExpectedError
from training.metrics import (
    confusion_matrix,
    is_accepted,
    per_class,
    quantile,
    share,
    wilson_interval,
)
from training.parallel import run_parallel
from training.preflight import check_credentials, check_region
from training.progress import progress_bar
from training.reports import write_json
from training.staging.folder import read_manifest
from training.staging.splits import SPLITS
from training.waiting import make_console

MOST_TRIES = 8  # of a picture that the endpoint is too busy for: about a minute of throttling
# Of one that gets no answer at all: a connection that broke is made again, but each time-out of an
# endpoint that hangs costs ANSWER_TIMEOUT_S.
CONNECTION_TRIES = 2
LONGEST_PAUSE_S = 20  # between tries
ANSWER_TIMEOUT_S = 65  # SageMaker gives a container 60 s
LISTED_AT_MOST = 10

# What is wrong for every picture alike: going on would only repeat it.
HOPELESS_CODES = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
}

# What passes: too many requests, or instances that are starting or overloaded.
BUSY_CODES = {"ThrottlingException", "ModelNotReadyException", "InternalDependencyException"}
BUSY_STATUSES = {429, 500, 502, 503, 504}


class EndpointNotFoundError(ExpectedError):
    """There is no endpoint of this name in this account and region."""


class StagedPictureError(ExpectedError):
    """A picture of the manifest is missing or was changed since it was staged."""


class NothingToEvaluateError(ExpectedError):
    """The split has no pictures."""


class UnknownTruthError(ExpectedError):
    """The endpoint does not know a class that the pictures belong to."""


@dataclass(frozen=True)
class Prediction:
    """One picture and what the endpoint said: `label` and `confidence`, or `error`."""

    path: str
    true_class: str
    label: str | None
    confidence: float | None
    probabilities: dict[str, float] | None
    seconds: float
    error: str | None


def main(argv: list[str] | None = None) -> int:
    """Evaluate; return 0, or 1 where anything kept a picture from being answered."""
    arguments = parse_arguments(argv)
    console = make_console()
    try:
        errors = evaluate(arguments, console)
    except (ExpectedError, ClientError, BotoCoreError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("evaluate: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 1 if errors else 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description="Send a staged split to the endpoint and write accuracy, confusion matrix and"
        " per-class figures.",
    )
    parser.add_argument(
        "--endpoint", default=settings.ENDPOINT_NAME, help="endpoint's name (default: %(default)s)"
    )
    parser.add_argument(
        "--staged",
        type=Path,
        default=settings.STAGED_FOLDER,
        help="folder of staged pictures (default: %(default)s)",
    )
    parser.add_argument(
        "--split", choices=SPLITS, default="test", help="pictures to send (default: %(default)s)"
    )
    parser.add_argument(
        "--threshold",
        type=share_argument,
        default=settings.CONFIDENCE_THRESHOLD,
        help="confidence from which an answer is accepted, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--class-names",
        nargs="+",
        metavar="NAME",
        default=default_class_names(settings.PARAMETERS),
        help="classes of an endpoint that answers a bare list, in its order (default: ClassNames"
        " of samconfig.toml)",
    )
    parser.add_argument(
        "--concurrency",
        type=positive_integer,
        default=8,
        help="requests at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=settings.REPORTS_FOLDER / "evaluate",
        help="folder for evaluation.json and confusion_matrix.png (default: %(default)s)",
    )
    return parser.parse_args(argv)


def default_class_names(parameters: Mapping[str, str]) -> list[str] | None:
    """Return the stack's parameter ClassNames as a list, None where it is empty."""
    return [name for name in parameters.get("ClassNames", "").split(",") if name] or None


def evaluate(arguments: argparse.Namespace, console: Console) -> int:
    """Do what the command line says; return how many pictures got no answer.

    Raises ExpectedError.
    """
    pictures = staged_pictures(arguments.staged, arguments.split)
    runtime = runtime_client(arguments.concurrency)
    with progress_bar(console, "Pictures") as report:
        predictions = predict_all(
            runtime,
            arguments.endpoint,
            pictures,
            class_names=arguments.class_names,
            concurrency=arguments.concurrency,
            report=report,
        )
    evaluation = {
        "endpoint": arguments.endpoint,
        "split": arguments.split,
        **summarise(predictions, arguments.threshold),
    }
    write(arguments.out, evaluation)
    _print_result(console, evaluation)
    console.print(
        f"Wrote {arguments.out}/evaluation.json and confusion_matrix.png",
        markup=False,
        soft_wrap=True,
    )
    return int(evaluation["errors"])


def staged_pictures(root: Path, split: str) -> list[tuple[str, str, bytes]]:
    """Return (path, true class, PNG bytes) of each picture of a split, in the manifest's order.

    Raises NotStagedError, StagedPictureError, NothingToEvaluateError.
    """
    pictures = []
    for path, facts in read_manifest(root)["files"].items():
        if not path.startswith(f"{split}/"):
            continue
        try:
            content = (root / path).read_bytes()
        except FileNotFoundError:
            content = b""
        if hashlib.sha256(content).hexdigest() != facts["sha256"]:
            raise StagedPictureError(
                f"{root / path} is missing or was changed: run `python -m training.stage_data`"
                " again."
            )
        pictures.append((path, path.split("/")[1], content))
    if not pictures:
        raise NothingToEvaluateError(f"{root} has no pictures of the {split} split.")
    return pictures


def runtime_client(concurrency: int) -> Any:
    """Return a client that tries once: `predict` decides what is worth another try.

    The SDK's retries would repeat time-outs as often as throttling, and sleep through a Ctrl-C; its
    adaptive mode holds all requests down to a few a second for minutes after a burst of throttling
    (200 pictures with 60 throttled took 110 s; so they take seconds).

    Raises RegionMissingError, CredentialsError.
    """
    import boto3  # noqa: PLC0415  --help does without
    from botocore.config import Config  # noqa: PLC0415  as above

    session: Any = boto3.Session()
    check_region(session)
    check_credentials(session.client("sts"))
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
) -> list[Prediction]:
    """Send every picture, `concurrency` at a time. The order of predictions is the pictures'.

    Raises EndpointNotFoundError, UnknownTruthError, ClientError for what no picture could pass.
    """
    stop = Event()
    return run_parallel(
        lambda picture: predict(runtime, endpoint, picture, class_names, stop),
        pictures,
        threads=concurrency,
        report=report,
        stop=stop,
    )


def predict(
    runtime: Any,
    endpoint: str,
    picture: tuple[str, str, bytes],
    class_names: Sequence[str] | None,
    stop: Event,
) -> Prediction:
    """Send one picture, again where that may help, until `stop` is set.

    What went wrong with it alone is returned in `error`. `seconds` are those of the last try.
    """
    path, true_class, content = picture
    tries = 0
    while True:
        tries += 1
        began = time.monotonic()
        try:
            body = runtime.invoke_endpoint(
                EndpointName=endpoint,
                ContentType="image/png",
                Accept="application/json",
                Body=content,
            )["Body"].read()
            seconds = time.monotonic() - began
            probabilities = read_answer(body, class_names)
            break
        except ClientError as error:
            _raise_if_hopeless(error, endpoint)
            problem: Exception = error
            most = MOST_TRIES if _is_busy(error) else 1
        except (AwsConnectionError, HTTPClientError, IncompleteReadError) as error:
            problem, most = error, CONNECTION_TRIES
        except AnswerError as error:
            problem, most = error, 1
        if tries == most or stop.wait(_pause(tries)):
            return _unanswered(path, true_class, time.monotonic() - began, problem)
    if true_class not in probabilities:
        raise UnknownTruthError(
            f"Endpoint {endpoint} tells {', '.join(probabilities)} apart, and {path} is a"
            f" {true_class}: stage the classes that it was trained on, or train it again."
        )
    label = max(probabilities, key=lambda name: probabilities[name])
    return Prediction(path, true_class, label, probabilities[label], probabilities, seconds, None)


def summarise(predictions: Sequence[Prediction], threshold: float) -> dict[str, Any]:
    """Return all that evaluation.json holds of these predictions."""
    truth = [p.true_class for p in predictions]
    labels = [p.label for p in predictions]
    classes = sorted({*truth, *(name for p in predictions for name in p.probabilities or ())})
    hits = sum(t == label for t, label in zip(truth, labels, strict=True))
    accepted = [
        p
        for p in predictions
        if p.probabilities and is_accepted([*p.probabilities.values()], threshold)
    ]
    seconds = [p.seconds for p in predictions if p.error is None]
    return {
        "threshold": threshold,
        "pictures": len(predictions),
        "correct": hits,
        "accuracy": share(hits, len(predictions)),
        "accuracy_interval_95": wilson_interval(hits, len(predictions)),
        "accepted": len(accepted),
        "coverage": share(len(accepted), len(predictions)),
        "accuracy_accepted": share(sum(p.label == p.true_class for p in accepted), len(accepted)),
        "errors": sum(p.error is not None for p in predictions),
        "classes": per_class(truth, labels, classes),
        "confusion_matrix": {
            "true_rows_predicted_columns": classes,
            "counts": confusion_matrix(truth, labels, classes),
        },
        "latency_s": {"median": quantile(seconds, 0.5), "p90": quantile(seconds, 0.9)},
        "predictions": [asdict(p) for p in predictions],
    }


def write(folder: Path, evaluation: dict[str, Any]) -> None:
    """Write evaluation.json and confusion_matrix.png, each as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix = evaluation["confusion_matrix"]
    plot_confusion(
        matrix["counts"],
        matrix["true_rows_predicted_columns"],
        f"{evaluation['endpoint']}: {evaluation['correct']} of {evaluation['pictures']}"
        f" {evaluation['split']} pictures right",
        folder / "confusion_matrix.png",
    )
    write_json(folder / "evaluation.json", evaluation)


def _raise_if_hopeless(error: ClientError, endpoint: str) -> None:
    code, message = _code(error), error.response["Error"].get("Message", "")
    if code == "ValidationError" and "not found" in message.lower():
        raise EndpointNotFoundError(
            f"Endpoint {endpoint} was not found: run `python -m training.create_endpoint`, or"
            " give its name with --endpoint."
        ) from error
    if code in HOPELESS_CODES:
        raise error


def _is_busy(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return _code(error) in BUSY_CODES or status in BUSY_STATUSES


def _code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", ""))


def _pause(tries: int) -> float:
    """Return seconds to wait after so many tries: random, so that threads do not come at once."""
    return random.random() * min(2.0 ** (tries - 1), LONGEST_PAUSE_S)  # noqa: S311  no secret


def _unanswered(path: str, true_class: str, seconds: float, error: Exception) -> Prediction:
    return Prediction(path, true_class, None, None, None, seconds, f"{error}")


def _print_result(console: Console, evaluation: dict[str, Any]) -> None:
    low, high = evaluation["accuracy_interval_95"]
    classes = Table(title=f"{evaluation['endpoint']} on the {evaluation['split']} split")
    matrix = evaluation["confusion_matrix"]
    names = matrix["true_rows_predicted_columns"]
    for heading in ("true class", "precision", "recall", "F1", "pictures"):
        classes.add_column(heading, justify="left" if heading == "true class" else "right")
    for name in names:
        classes.add_column(f"as {name}", justify="right")
    for name, counts in zip(names, matrix["counts"], strict=True):
        facts = evaluation["classes"][name]
        classes.add_row(
            name,
            *(_figure(facts[key]) for key in ("precision", "recall", "f1")),
            str(facts["support"]),
            *map(str, counts),
        )
    console.print(classes)
    latency = evaluation["latency_s"]
    for name, text in (
        ("Accuracy", f"{_figure(evaluation['accuracy'])} of {evaluation['pictures']} pictures"
                     f" (95 %: {low:.3f} to {high:.3f})"),
        ("Accepted", f"{evaluation['accepted']} at threshold {evaluation['threshold']:g}: coverage"
                     f" {_figure(evaluation['coverage'])}, accuracy"
                     f" {_figure(evaluation['accuracy_accepted'])}"),
        ("Latency", f"{_figure(latency['median'])} s median, {_figure(latency['p90'])} s p90"),
        ("Errors", f"{evaluation['errors']} pictures without an answer"),
    ):  # fmt: skip
        console.print(f"{name:9} {text}", markup=False, soft_wrap=True)
    failed = [p for p in evaluation["predictions"] if p["error"]]
    for prediction in failed[:LISTED_AT_MOST]:
        console.print(
            f"  {prediction['path']}: {prediction['error']}", markup=False, soft_wrap=True
        )
    if len(failed) > LISTED_AT_MOST:
        console.print(f"  and {len(failed) - LISTED_AT_MOST} more, in evaluation.json")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
