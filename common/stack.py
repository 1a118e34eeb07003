"""The outputs of the workflow's stack: its buckets, table, queues and state machine."""

import argparse
from typing import Any

from botocore.exceptions import ClientError

from common import settings
from common.errors import ExpectedError

REQUIRED_OUTPUTS = ("PicturesBucketName", "PredictionsTableName", "StateMachineArn")
DEPLOY = "deploy it with `sam build && sam deploy`"


class StackNotFoundError(ExpectedError):
    """The workflow's stack does not exist, or lacks an output."""


def add_stack_argument(parser: argparse.ArgumentParser, effect: str = "") -> None:
    """Add --stack-name, whose default is the name in samconfig.toml; `effect` ends the help text."""
    name = settings.project().stack_name
    text = f"the workflow's stack ({name}, from samconfig.toml){effect}"
    parser.add_argument("--stack-name", metavar="NAME", default=name, help=text)


def stack_outputs(cloudformation: Any, stack_name: str, *more: str) -> dict[str, str]:
    """Return the outputs of the workflow's stack by name.

    Raises StackNotFoundError if there is no stack, or if it lacks one of REQUIRED_OUTPUTS or of `more`.
    """
    try:
        [stack] = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise StackNotFoundError(f"There is no stack {stack_name} in this account and region: {DEPLOY}.") from error
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
    missing = [name for name in (*REQUIRED_OUTPUTS, *more) if name not in outputs]
    if missing:
        raise StackNotFoundError(
            f"The stack {stack_name} is {stack['StackStatus']} and has no output {missing[0]}: it failed or is of an"
            f" older version, {DEPLOY}."
        )
    return outputs
