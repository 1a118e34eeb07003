"""Where the deployed workflow takes pictures and keeps answers: the outputs of its stack."""

from typing import Any

from botocore.exceptions import ClientError

from common.errors import ExpectedError

NEEDED = ("PicturesBucketName", "PredictionsTableName", "StateMachineArn")


class StackNotFoundError(ExpectedError):
    """The workflow's stack is not there, or has no such output."""


def stack_outputs(cloudformation: Any, stack_name: str) -> dict[str, str]:
    """Return the outputs of the workflow's stack by name. Raises StackNotFoundError."""
    try:
        [stack] = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise StackNotFoundError(
            f"There is no stack {stack_name} in this account and region: deploy it with `sam build && sam deploy`."
        ) from error
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
    missing = [name for name in NEEDED if name not in outputs]
    if missing:
        raise StackNotFoundError(
            f"The stack {stack_name} is {stack['StackStatus']} and gives no {missing[0]}:"
            " deploy it with `sam build && sam deploy`."
        )
    return outputs
