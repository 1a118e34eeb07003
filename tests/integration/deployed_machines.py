"""Follow executions of the deployed state machines, and change a definition temporarily."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.integration.workflow_stack import PICTURE, Stack, ended, start

__all__ = ["BATCH", "PICTURE", "Path", "altered", "deployed_member", "ended", "entered", "history", "start"]

BATCH = "MyBatchStateMachineArn"
Path = tuple[str | int, ...]


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
    """Change members of a deployed definition temporarily, by their path below "States".

    The machine stays the one that the stack's rules, roles and outputs name; `machine` is the name of an output or an
    ARN. `timeout_seconds` limits its executions.
    """
    stepfunctions = stack.aws.client("stepfunctions")
    arn = stack.outputs.get(machine, machine)
    deployed = _definition(stack, machine)
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
    found = json.loads(_definition(stack, machine))["States"]
    for name in path:
        found = found[name]
    return found


def _definition(stack: Stack, machine: str) -> str:
    arn = stack.outputs.get(machine, machine)
    definition: str = stack.aws.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"]
    return definition
