"""List ended executions and describe failed ones, with as few calls as possible.

Both calls are throttled for the whole account: ListExecutions to 5 a second (2 outside the largest regions) and
DescribeExecution to 15 (10), from buckets of 200 (100) and 300 (250); from AWS's page "Step Functions service quotas".
A list gives the end of 1,000 executions, so only failures that no item of the table explains are described.
"""

from typing import Any, NamedTuple

from common.predictions import PredictionKey
from common.s3_picture import find_picture, json_object

PAGE = 1000  # executions, the most that ListExecutions gives at a time
FAILED_STATUSES = ("FAILED", "TIMED_OUT", "ABORTED")
ENDED_STATUSES = ("SUCCEEDED", *FAILED_STATUSES)


class EndedExecution(NamedTuple):
    """An execution that has ended; `stopped` is in seconds since 1970."""

    arn: str
    status: str
    stopped: float


class DescribedExecution(NamedTuple):
    """The picture of an execution, None where its input names none, and its error, "" of one that succeeded."""

    arn: str
    picture: PredictionKey | None
    error: str
    cause: str = ""


def ended_since(stepfunctions: Any, machine: str, since: float) -> tuple[list[EndedExecution], int]:
    """Return the executions begun since then (seconds since 1970) that have ended, newest first, and the pages read.

    Raises ClientError.
    """
    ended: list[EndedExecution] = []
    pages = stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=machine, maxResults=PAGE)
    for number, page in enumerate(pages, start=1):
        for execution in page["executions"]:
            if execution["startDate"].timestamp() < since:
                return ended, number
            if execution["status"] in ENDED_STATUSES:
                stopped = execution["stopDate"].timestamp()
                ended.append(EndedExecution(execution["executionArn"], execution["status"], stopped))
    return ended, number


def describe(stepfunctions: Any, arn: str) -> DescribedExecution:
    """Return the picture and the error of an ended execution. Raises ClientError."""
    answer = stepfunctions.describe_execution(executionArn=arn)
    picture = find_picture(json_object(answer.get("input")))
    error = "" if answer["status"] == "SUCCEEDED" else answer.get("error") or answer["status"]
    return DescribedExecution(arn, PredictionKey.of(picture) if picture else None, error, answer.get("cause", ""))
