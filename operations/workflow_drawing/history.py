"""What one execution did, from the history that Step Functions keeps of it."""

from typing import Any

from botocore.exceptions import ClientError

from common.errors import ExpectedError
from operations.workflow_drawing.events import EventReader
from operations.workflow_drawing.execution import ExecutionPath

EVENTS_A_PAGE = 1000  # the most that AWS gives at once


class ExecutionNotFoundError(ExpectedError):
    """There is no such execution, or Step Functions has forgotten it."""


class NoHistoryError(ExpectedError):
    """Step Functions keeps no history of this execution."""


def read_path(stepfunctions: Any, execution_arn: str, *, data: bool = True) -> ExecutionPath:
    """Read what an execution did until now, on AWS or on the laptop.

    Without `data`, no step's input and output are asked for: with a picture in each of them they
    are nearly all of a history.

    Raises:
        NoHistoryError: for an EXPRESS execution, of which AWS keeps logs only.
        ExecutionNotFoundError: there is none of this ARN, or AWS has forgotten it after 90 days.
        ClientError: Step Functions refuses for another reason.
    """
    if ":express:" in execution_arn:
        raise NoHistoryError(
            f"{execution_arn} is an EXPRESS execution, of which Step Functions keeps no history:"
            " read its logs (the log group of its state machine) instead."
        )
    try:
        description = stepfunctions.describe_execution(executionArn=execution_arn)
        pages = stepfunctions.get_paginator("get_execution_history").paginate(
            executionArn=execution_arn,
            PaginationConfig={"PageSize": EVENTS_A_PAGE},
            **({} if data else {"includeExecutionData": False}),
        )
        events = [event for page in pages for event in page["events"]]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"ExecutionDoesNotExist", "InvalidArn"}:
            raise ExecutionNotFoundError(
                f"There is no execution {execution_arn} in this account and region: copy its ARN"
                " from `aws stepfunctions list-executions`. AWS forgets one after 90 days."
            ) from error
        if code == "StateMachineTypeNotSupported":
            raise NoHistoryError(
                f"{execution_arn} is of an EXPRESS state machine, of which Step Functions keeps no"
                " history: read its logs instead."
            ) from error
        raise
    reader = EventReader(description)
    for event in sorted(events, key=lambda event: int(event["id"])):
        reader.read(event)
    return ExecutionPath(
        execution_arn,
        str(description["stateMachineArn"]).split(":stateMachine:", 1)[-1].split(":")[0],
        description["status"],
        description["startDate"],
        description.get("stopDate"),
        int(description.get("redriveCount") or reader.redriven),
        description.get("input"),
        description.get("output") if description["status"] == "SUCCEEDED" else None,
        description.get("error"),
        description.get("cause"),
        reader.steps(),
    )
