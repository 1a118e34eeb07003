"""Ask Step Functions, as little as possible, which executions have ended and why they failed.

Both calls are throttled for the whole account: ListExecutions to 5 a second (2 outside of the
largest regions) and DescribeExecution to 15 (10), from buckets of 200 (100) and 300 (250); from
AWS's page "Step Functions service quotas". A list tells 1,000 executions at a time when each ended,
so only those that no item of the table explains are described.
"""

from typing import Any, NamedTuple

from common.s3_picture import find_picture, json_object

PAGE = 1000  # executions, the most that ListExecutions gives at a time
FAILED = ("FAILED", "TIMED_OUT", "ABORTED")
ENDED = ("SUCCEEDED", *FAILED)
LOW_CONFIDENCE = "THRESHOLD_CONFIDENCE_NOT_MET"


class Ended(NamedTuple):
    """An execution that is over; `stopped` is in seconds since 1970."""

    arn: str
    status: str
    stopped: float


class Failure(NamedTuple):
    """Why an execution failed, and which version of which object it was about."""

    key: str
    version_id: str
    error: str
    cause: str


def ended_since(stepfunctions: Any, machine: str, since: float) -> tuple[list[Ended], int]:
    """Return the executions begun since then (seconds since 1970) that have ended, newest first.

    Also returns how many pages that took. Raises ClientError.
    """
    found: list[Ended] = []
    pages = stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=machine, maxResults=PAGE)
    for number, page in enumerate(pages, start=1):
        for execution in page["executions"]:
            if execution["startDate"].timestamp() < since:
                return found, number
            if execution["status"] in ENDED:
                found.append(
                    Ended(
                        execution["executionArn"],
                        execution["status"],
                        execution["stopDate"].timestamp(),
                    )
                )
    return found, number


def describe_failure(stepfunctions: Any, arn: str) -> Failure:
    """Return why this execution failed. Raises ClientError."""
    told = stepfunctions.describe_execution(executionArn=arn)
    key, version_id = picture_of(told.get("input", ""))
    return Failure(key, version_id, told.get("error") or told["status"], told.get("cause", ""))


def picture_of(text: str) -> tuple[str, str]:
    """Return key and version of the object that an execution's input names, "" where it does not.

    The version is "null" where there is none, as the table has it.
    """
    picture = find_picture(json_object(text))
    return (picture.key, picture.version_id or "null") if picture else ("", "")
