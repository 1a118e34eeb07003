"""Train a model on the staged pictures and serve it: `python -m training.create_endpoint`.

A second run trains again and updates the endpoint in place, without downtime.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from common import settings
from common.account import Caller, check_bucket, check_credentials, check_region
from common.arguments import add_bucket_argument, add_endpoint_argument, inner_share, positive_integer
from common.command import run_command
from common.errors import ExpectedError
from common.reports import write_json
from common.waiting import make_console
from training.endpoint import preflight
from training.endpoint.deployment import deploy_command, deploy_parameters, recommend, threshold_words
from training.endpoint.endpoint import (
    SmokeTestError,
    capture_uri,
    check_ours,
    create_endpoint_config,
    create_model,
    delete_superseded,
    find_endpoint,
    instance_types,
    put_endpoint,
    smoke_test,
    wait_in_service,
)
from training.endpoint.images import image_uri
from training.endpoint.role import Role, check_role, ensure_role, retry_while_role_propagates
from training.endpoint.training_job import (
    TrainingFailedError,
    TrainingResult,
    model_data_uri,
    new_checkpoints_uri,
    start_training_job,
    stop_training_job,
    wait_for_training_job,
)

TRAINING_INSTANCE = "ml.m5.xlarge"
ENDPOINT_INSTANCE = "ml.m5.large"
MAX_RUN_S = 3600
REPORT = settings.REPORTS_FOLDER / "create_endpoint" / "endpoint.json"

# On demand in us-east-1, prices of 2026; https://aws.amazon.com/sagemaker/pricing/
HOSTING_USD_PER_HOUR = {"ml.t2.medium": 0.056, "ml.m5.large": 0.115, "ml.m5.xlarge": 0.23}
HOURS_PER_MONTH = 730


class PreflightError(ExpectedError):
    """One or more checks failed; the message has a sentence for each of `problems`."""

    def __init__(self, problems: Sequence[ExpectedError]) -> None:
        """Keep the errors of the checks."""
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class CheckRefusedError(ExpectedError):
    """AWS refused, or did not answer, a call that a check needs."""


class ModelNotServedError(ExpectedError):
    """This run trained a model, and a later step failed."""


class TrainingUnwatchedError(ExpectedError):
    """This run started a training job, and waiting for it failed."""


def main(argv: list[str] | None = None) -> int:
    """Create or update the endpoint; return the exit status."""
    return run_command("create_endpoint", lambda: create(parse_arguments(argv), make_console()))


def create(arguments: argparse.Namespace, console: Console) -> None:
    """Check, train unless --model-data gives a model, serve, test, report."""
    import boto3

    session: Any = boto3.Session()
    region = check_region(session)
    caller = check_credentials(session.client("sts"))
    bucket = arguments.bucket or settings.default_bucket(caller.account, region)
    endpoint = arguments.endpoint
    manifest, role_arn = check_before(session, arguments, caller, bucket, console)
    role = Role(role_arn, changed=False)
    if not role_arn:
        role = ensure_role(session.client("iam"), caller, region=region, bucket=bucket)
    training = None
    if not arguments.model_data:
        training = train(session, arguments, bucket, role, console)
        console.print(f"Trained model: {training.model_data}", soft_wrap=True, markup=False)
    model_data = training.model_data if training else arguments.model_data
    recommendation, _, missing = recommend(session, arguments.max_error, model_data)

    name = f"{endpoint}-{datetime.now(UTC):%Y%m%d%H%M%S}"
    try:
        found, seconds, former = serve(
            session, name, arguments, model_data=model_data, bucket=bucket, role=role, console=console
        )
        # The previous configuration is deleted only after the smoke test: a person may need it for a rollback.
        label, probability, truth = try_endpoint(session, endpoint, manifest, bucket, former)
        deleted = delete_superseded(session.client("sagemaker"), endpoint, keep=name)
    except (ExpectedError, ClientError, BotoCoreError) as error:
        if not training:
            raise
        raise ModelNotServedError(
            f"{error}\nThe model was trained: to continue with it, add --model-data {model_data}"
        ) from error
    if deleted:
        console.print(f"Deleted {deleted} superseded models and configurations")

    report = {
        "endpoint": endpoint,
        "endpoint_arn": found["EndpointArn"],
        "endpoint_config": name,
        "model": name,
        "model_data": model_data,
        "instance_type": arguments.endpoint_instance,
        "data_capture_s3_uri": capture_uri(bucket),
        "seconds_to_in_service": round(seconds, 1),
        "training": asdict(training) if training else None,
        "recommendation": asdict(recommendation) if recommendation else None,
        "deploy_parameters": deploy_parameters(endpoint, recommendation),
        "smoke_test": {"class": truth, "label": label, "probability": probability},
        "role_arn": role.arn,
        "bucket": bucket,
        "region": region,
    }
    write_json(REPORT, report)
    console.print(result_table(report))
    console.print(f"Threshold: {threshold_words(recommendation, missing)}", markup=False, soft_wrap=True)
    command = deploy_command(report["deploy_parameters"])
    console.print(f"Deploy the workflow with:\n    {command}", markup=False, soft_wrap=True)
    console.print(cost_reminder(arguments.endpoint_instance), markup=False)


def check_before(
    session: Any, arguments: argparse.Namespace, caller: Caller, bucket: str, console: Console
) -> tuple[dict[str, Any], str]:
    """Check everything that would fail late, and report all problems at once.

    Returns the manifest, and the ARN of the role given with --role, "" without one. Raises PreflightError.
    """
    s3, sagemaker = session.client("s3"), session.client("sagemaker")
    problems: list[ExpectedError] = []
    manifest: dict[str, Any] = {}
    role_arn, own_role = "", not arguments.role
    with _collecting(problems):
        check_bucket(s3, bucket, session.region_name)
    if not problems:  # without the bucket, each of these checks would only repeat that
        with _collecting(problems):
            manifest = preflight.read_manifest(s3, bucket)
        with _collecting(problems):
            if arguments.model_data:
                preflight.check_model_data(s3, arguments.model_data, bucket, own_role=own_role)
            elif arguments.checkpoints:
                preflight.check_checkpoints(s3, arguments.checkpoints, bucket, own_role=own_role)
        with _collecting(problems):
            if own_role:
                preflight.check_encryption(s3, bucket)
    with _collecting(problems):
        if arguments.role:
            role_arn = check_role(session.client("iam"), arguments.role, caller, bucket)
    found = None
    with _collecting(problems):
        found = find_endpoint(sagemaker, arguments.endpoint)
        if found:
            check_ours(sagemaker, found)
    purposes: list[tuple[str, str, Literal["inference", "training"]]]
    purposes = [(arguments.endpoint_instance, "--endpoint-instance", "inference")]
    if not arguments.model_data:
        purposes.append((arguments.training_instance, "--training-instance", "training"))
    for kind, option, purpose in purposes:
        with _collecting(problems):
            preflight.check_instance_type(sagemaker, kind, trains=purpose == "training", option=option)
            image_uri(session.region_name, kind, purpose)

    quotas: list[tuple[str, int, str]] = []
    with _collecting(problems):
        quotas = _quotas_needed(sagemaker, arguments, found)
    # Without an answer within seconds, the quotas stay unknown.
    patience = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2})
    known = preflight.read_quotas(session.client("service-quotas", config=patience), {q[0] for q in quotas})
    quota_texts = []
    for quota, needed, option in quotas:
        with _collecting(problems):
            quota_texts.append(f"{quota}: {preflight.check_quota(known, quota, needed, option)}")
    if problems:
        raise PreflightError(problems)
    counts = {split: sum(classes.values()) for split, classes in manifest["counts"].items()}
    console.print(
        f"Account {caller.account}, region {session.region_name}, bucket {bucket}:"
        f" {counts['train']} training, {counts['validation']} validation and {counts['test']} test"
        f" pictures\nQuotas: {'; '.join(quota_texts)}",
        markup=False,
    )
    return manifest, role_arn


def train(session: Any, arguments: argparse.Namespace, bucket: str, role: Role, console: Console) -> TrainingResult:
    """Run the training job; stop it on Ctrl-C, since its model would not be used.

    On spot instances it keeps checkpoints, from which a later run can continue.
    Raises TrainingFailedError if it ends without a model, TrainingUnwatchedError if waiting for it fails.
    """
    sagemaker, job = session.client("sagemaker"), ""
    max_wait_s = arguments.max_wait if arguments.spot else None
    checkpoints = arguments.checkpoints
    if arguments.spot and not checkpoints:
        checkpoints = new_checkpoints_uri(bucket, arguments.endpoint)
    try:
        job = retry_while_role_propagates(
            lambda: start_training_job(
                session,
                base_name=arguments.endpoint,
                bucket=bucket,
                role_arn=role.arn,
                instance_type=arguments.training_instance,
                hyperparameters=arguments.hyperparameters,
                max_run_s=arguments.max_run,
                max_wait_s=max_wait_s,
                checkpoints=checkpoints,
            ),
            changed=role.changed,
        )
        limit_s = max_wait_s or arguments.max_run
        return wait_for_training_job(sagemaker, session.client("logs"), job, max_run_s=limit_s, console=console)
    except KeyboardInterrupt:
        if job:
            stop_training_job(sagemaker, job)
            console.print(f"\nStopping training job {job}: a stopped job costs nothing.")
            if checkpoints:
                text = f"To continue from its checkpoints, add --checkpoints {checkpoints}"
                console.print(text, markup=False, soft_wrap=True)
        else:
            console.print("\nIf a training job was started, python -m training.cleanup stops it.")
        raise
    except TrainingFailedError:
        raise
    except (ExpectedError, ClientError, BotoCoreError) as error:
        if not job:
            raise
        raise TrainingUnwatchedError(
            f"{error}\nTraining job {job} was started and may still run: look at it in the SageMaker console. Once it"
            f" has completed, continue with it by adding --model-data {model_data_uri(bucket, job)}"
        ) from error


def serve(
    session: Any,
    name: str,
    arguments: argparse.Namespace,
    *,
    model_data: str,
    bucket: str,
    role: Role,
    console: Console,
) -> tuple[dict[str, Any], float, str]:
    """Create the model and the configuration `name`, and let the endpoint serve them.

    Returns SageMaker's description of the endpoint, the seconds until it was in service, and the
    previous configuration, "" for a new endpoint.
    """
    sagemaker, endpoint = session.client("sagemaker"), arguments.endpoint
    image = image_uri(session.region_name, arguments.endpoint_instance, "inference")
    retry_while_role_propagates(
        lambda: create_model(sagemaker, name, image=image, model_data=model_data, role_arn=role.arn),
        changed=role.changed,
    )
    create_endpoint_config(sagemaker, name, model=name, instance_type=arguments.endpoint_instance, bucket=bucket)
    start = time.monotonic()
    try:
        former = put_endpoint(sagemaker, endpoint, name, console=console)
        found = wait_in_service(sagemaker, endpoint, name, console=console)
    except KeyboardInterrupt:
        console.print(
            f"\nEndpoint {endpoint} is still being created. {cost_reminder(arguments.endpoint_instance)}\n"
            f"To continue with this model, add --model-data {model_data}",
            markup=False,
        )
        raise
    return found, time.monotonic() - start, former


def try_endpoint(
    session: Any, endpoint: str, manifest: dict[str, Any], bucket: str, former: str
) -> tuple[str, float, str]:
    """Send one staged test picture; return label, probability in [0, 1], and the true class.

    Raises SmokeTestError, which names the previous configuration, `former`, if there is one.
    """
    path = min(path for path in manifest["files"] if path.startswith("test/"))
    key = f"{settings.STAGED_PREFIX}/{path}"
    picture = session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        label, probability = smoke_test(session.client("sagemaker-runtime"), endpoint, picture)
    except SmokeTestError as error:
        if not former:
            raise
        raise SmokeTestError(
            f"{error}\nThe previous configuration {former} and its model still exist:"
            " for a rollback, update the endpoint to it in the SageMaker console."
        ) from error
    return label, probability, path.split("/")[1]


def cost_reminder(instance_type: str) -> str:
    """Return what the endpoint costs while it exists."""
    price = HOSTING_USD_PER_HOUR.get(instance_type)
    known = f"about {price} USD an hour, {price * HOURS_PER_MONTH:.0f} a month" if price else "money"
    return (
        f"The endpoint costs {known} (us-east-1, {instance_type}), used or not, until you run"
        " `python -m training.cleanup`. Prices: https://aws.amazon.com/sagemaker/pricing/"
    )


def result_table(report: dict[str, Any]) -> Table:
    """Return the report as a table."""
    table = Table(title=f"Endpoint {report['endpoint']} is in service", show_header=False)
    training = report["training"]
    if training:
        accuracy = training["validation_accuracy"]
        table.add_row("training job", training["job"])
        table.add_row("training time", training_time(training))
        table.add_row("validation accuracy", "not reported" if accuracy is None else f"{accuracy:.3f}")
    table.add_row("threshold", report["deploy_parameters"]["ConfidenceThreshold"])
    table.add_row("model data", report["model_data"])
    table.add_row("model, configuration", report["model"])
    table.add_row("time to service", f"{report['seconds_to_in_service']:.0f} s")
    table.add_row("data capture", f"100 % to {report['data_capture_s3_uri']}")
    smoke = report["smoke_test"]
    table.add_row(
        "smoke test",
        f"a {smoke['class']} of the test split: {smoke['label']} ({smoke['probability']:.3f})",
    )
    for column in table.columns:
        column.overflow = "fold"
    return table


def training_time(training: dict[str, Any]) -> str:
    """Return the training time, the billed time, and what spot instances saved."""
    seconds, billable = training["seconds"], training["billable_seconds"]
    text = f"{seconds} s, {billable} s billed"
    if training["spot"]:
        times = training["interruptions"]
        saved = 1 - billable / seconds if seconds else 0.0
        text += f": spot instances saved {saved:.0%}, with {times} interruption{'' if times == 1 else 's'}"
    return text


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.create_endpoint",
        description="Train a model on the staged pictures with a SageMaker training job, and serve"
        " it from an endpoint that captures all its data. Run again, it updates the endpoint in"
        " place.",
        epilog=cost_reminder(ENDPOINT_INSTANCE),
    )
    add = parser.add_argument
    add_endpoint_argument(parser)
    add_bucket_argument(parser)
    add("--model-data", metavar="S3_URI", help="serve this model.tar.gz instead of training")
    role_help = (
        "name or ARN of the role that SageMaker assumes (environment SAGEMAKER_ROLE; without it, a least-privilege role"
        " is created, which cleanup removes)"
    )
    add("--role", metavar="ARN", default=os.environ.get("SAGEMAKER_ROLE"), help=role_help)
    training_help = f"instance type of the training job; types with a GPU work too ({TRAINING_INSTANCE})"
    add("--training-instance", metavar="TYPE", type=instance_type, default=TRAINING_INSTANCE, help=training_help)
    endpoint_help = f"instance type of the endpoint ({ENDPOINT_INSTANCE})"
    add("--endpoint-instance", metavar="TYPE", type=instance_type, default=ENDPOINT_INSTANCE, help=endpoint_help)
    max_run_help = f"SageMaker stops the training after this time ({MAX_RUN_S})"
    add("--max-run", metavar="SECONDS", type=positive_integer, default=MAX_RUN_S, help=max_run_help)
    spot_help = (
        "train on spot instances, for up to 90 %% less: SageMaker may interrupt the job, and continues from its last"
        " checkpoint"
    )
    add("--spot", action="store_true", help=spot_help)
    max_wait_help = "with --spot, limit of waiting for instances and training together (twice --max-run)"
    add("--max-wait", metavar="SECONDS", type=positive_integer, help=max_wait_help)
    checkpoints_help = (
        "continue from the checkpoints of a job that ended early, with the same arguments and pictures; its error"
        " message names them"
    )
    add("--checkpoints", metavar="S3_URI", default="", help=checkpoints_help)
    hyperparameters_help = "arguments of training/container/train.py, such as epochs=50"
    add("--hyperparameters", metavar="NAME=VALUE", nargs="+", default=[], help=hyperparameters_help)
    max_error_help = (
        "recommend the lowest threshold that keeps wrong answers among the accepted ones to this share, between 0 and 1"
        " (0.01, or what --model-data was trained with)"
    )
    add("--max-error", metavar="SHARE", type=inner_share, help=max_error_help)
    arguments = parser.parse_args(argv)
    settings.check_endpoint_name(arguments.endpoint, "--endpoint", longest=settings.MADE_ENDPOINT_NAME_LENGTH)
    if arguments.max_wait is None:
        arguments.max_wait = 2 * arguments.max_run
    elif not arguments.spot:
        parser.error("--max-wait: it needs --spot")
    if arguments.model_data and (arguments.spot or arguments.checkpoints):
        parser.error("--model-data: it skips the training, so leave out --spot and --checkpoints")
    if arguments.max_wait < arguments.max_run:
        parser.error(f"--max-wait: at least --max-run ({arguments.max_run}), which it includes")
    pairs = [text.partition("=") for text in arguments.hyperparameters]
    for name, equals, value in pairs:
        if not (name and equals and value):
            parser.error(f"--hyperparameters {name}{equals}{value}: write NAME=VALUE")
    arguments.hyperparameters = {name.lstrip("-"): value for name, _, value in pairs}
    if arguments.max_error is not None:
        # The trained model keeps the value, and `evaluate` reads it from there.
        if "max-error" in arguments.hyperparameters:
            parser.error("--max-error: give it once, not as a hyperparameter too")
        arguments.hyperparameters["max-error"] = f"{arguments.max_error:g}"
    return arguments


def instance_type(text: str) -> str:
    """Read an instance type. Raises argparse's error."""
    if not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an instance type such as ml.m5.large")
    return text


@contextmanager
def _collecting(problems: list[ExpectedError]) -> Iterator[None]:
    """Keep an error, so that the other checks run and all problems are reported at once."""
    try:
        yield
    except ExpectedError as error:
        problems.append(error)
    except (ClientError, BotoCoreError) as error:
        problems.append(CheckRefusedError(f"A check could not run. {error}"))


def _quotas_needed(
    sagemaker: Any, arguments: argparse.Namespace, found: dict[str, Any] | None
) -> list[tuple[str, int, str]]:
    """Return name, number of instances, and the option that chooses another type, for each quota.

    `found` is the description of the existing endpoint.
    """
    instance = arguments.endpoint_instance
    needed = 1
    if found and found["EndpointStatus"] == "InService":
        # A blue/green update runs the new instance beside the old one for some minutes.
        needed += instance in instance_types(sagemaker, found["EndpointConfigName"])
    quotas = [(f"{instance} for endpoint usage", needed, "--endpoint-instance")]
    if not arguments.model_data:
        usage = "spot training job usage" if arguments.spot else "training job usage"
        quotas.append((f"{arguments.training_instance} for {usage}", 1, "--training-instance"))
    return quotas


if __name__ == "__main__":
    sys.exit(main())
