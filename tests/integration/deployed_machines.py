"""Start the deployed state machines, follow them, and give them another definition for a while."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.integration.laptop_aws import wait_until
from tests.integration.workflow_stack import ANSWER_SECONDS, Stack

PICTURE = "StateMachineArn"
BATCH = "MyBatchStateMachineArn"
Path = tuple[str | int, ...]


def start(stack: Stack, event: object, machine: str = PICTURE) -> str:
    """Start the machine that an output of the stack names; return the execution's ARN."""
    arn: str = stack.aws.client("stepfunctions").start_execution(
        stateMachineArn=stack.outputs[machine], input=json.dumps(event)
    )["executionArn"]
    return arn


def ended(stack: Stack, arn: str, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
    """Return an execution's description once it has ended."""
    stepfunctions = stack.aws.client("stepfunctions")

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = stepfunctions.describe_execution(executionArn=arn)
        return found if found["status"] != "RUNNING" else None

    return wait_until(look, seconds)


def history(stack: Stack, arn: str) -> list[dict[str, Any]]:
    """Return an execution's events so far."""
    events: list[dict[str, Any]] = stack.aws.client("stepfunctions").get_execution_history(
        executionArn=arn, maxResults=1000
    )["events"]
    return events


def entered(stack: Stack, arn: str, state: str) -> int:
    """Return how often an execution has entered a state so far."""
    return sum(event.get("stateEnteredEventDetails", {}).get("name") == state for event in history(stack, arn))


@contextmanager
def altered(
    stack: Stack,
    changes: Mapping[Path, object],
    machine: str = PICTURE,
    timeout_seconds: int | None = None,
) -> Iterator[None]:
    """Change members of a deployed definition, by their path below "States", for a while.

    The machine stays the one that the stack's rules, roles and outputs name; `machine` is the name
    of an output or an ARN. With `timeout_seconds` its executions may take no longer.
    """
    stepfunctions = stack.aws.client("stepfunctions")
    arn = stack.outputs.get(machine, machine)
    deployed = stepfunctions.describe_state_machine(stateMachineArn=arn)["definition"]
    definition = json.loads(deployed)
    for path, value in changes.items():
        members = definition["States"]
        for name in path[:-1]:
            members = members[name]
        assert path[-1] in members, f"the definition has no {path}"
        members[path[-1]] = value
    if timeout_seconds is not None:
        definition["TimeoutSeconds"] = timeout_seconds
    stepfunctions.update_state_machine(stateMachineArn=arn, definition=json.dumps(definition))
    try:
        yield
    finally:
        stepfunctions.update_state_machine(stateMachineArn=arn, definition=deployed)


def deployed_member(stack: Stack, *path: str | int, machine: str = PICTURE) -> Any:
    """Return a member of a deployed definition, by its path below "States"."""
    arn = stack.outputs.get(machine, machine)
    found = json.loads(stack.aws.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"])[
        "States"
    ]
    for name in path:
        found = found[name]
    return found
