"""What a state machine's ASL file says: its states, and every way from one to another."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from common.errors import ExpectedError
from operations.workflow_drawing.conditions import full_condition, short_condition

# What stands in place of a state at the two ends of an execution.
START = "Start"
END = "End"

Kind = Literal["next", "choice", "default", "catch", "end"]

TYPES = ("Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map")


class NotAStateMachineError(ExpectedError):
    """A file does not hold a state machine that can be drawn, in the Amazon States Language."""


@dataclass(frozen=True)
class Transition:
    """One way from a state to another.

    Attributes:
        source: the state that is left.
        target: the state that is entered; `END` where the machine, or a branch of it, ends.
        kind: by which field of the state: Next, a rule of Choices, Default, Catch, End.
        label: when, in few words; empty for Next and End.
        detail: when, in full.
    """

    source: str
    target: str
    kind: Kind
    label: str = ""
    detail: str = ""


@dataclass(frozen=True)
class State:
    """One state.

    Attributes:
        name: unique in the whole file, as AWS demands.
        kind: the field Type, one of `TYPES`.
        comment: the field Comment, or empty.
        does: in few words, what it does: the service it calls, how long it waits.
        retries: for each rule of Retry the names of errors, and the most attempts after the first.
        parts: the machines inside: one of a Map, one for each branch of a Parallel.
    """

    name: str
    kind: str
    comment: str
    does: str
    retries: tuple[tuple[tuple[str, ...], int], ...]
    parts: tuple["Machine", ...]


@dataclass(frozen=True)
class Machine:
    """States that begin at one of them. `transitions` has them in the order of the file."""

    start_at: str
    states: Mapping[str, State]
    transitions: tuple[Transition, ...]


@dataclass(frozen=True)
class Definition:
    """A whole state machine; `name` is that of its file."""

    name: str
    comment: str
    machine: Machine

    @cached_property
    def states(self) -> Mapping[str, State]:
        """All states by name, those inside of Map and Parallel states too."""
        return {s.name: s for machine in _machines(self.machine) for s in machine.states.values()}

    @cached_property
    def transitions(self) -> tuple[Transition, ...]:
        """All transitions, those inside too."""
        return tuple(t for machine in _machines(self.machine) for t in machine.transitions)

    @cached_property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Every (from, to) that can happen as the definition has it.

        A whole execution begins as (`START`, state) and ends as (state, `END`); inside of a Map
        both of them are the Map's own name.
        """
        found = {(START, self.machine.start_at)}
        for machine, around in _enclosed(self.machine, END):
            for transition in machine.transitions:
                target = around if transition.target == END else transition.target
                found.add((transition.source, target))
            found |= {(s.name, around) for s in machine.states.values() if s.kind in {"Succeed", "Fail"}}
            found |= {(s.name, part.start_at) for s in machine.states.values() for part in s.parts}
        return frozenset(found)


def read_definition(path: Path) -> Definition:
    """Read a state machine's file in the Amazon States Language, in JSON.

    Placeholders for the template's substitutions, such as ${EndpointName}, may be in its texts.

    Raises NotAStateMachineError naming the file and what is wrong with it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotAStateMachineError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # of JSON, or of UTF-8
        raise NotAStateMachineError(f"{path} is not JSON: {error}.") from error
    try:
        machine = _machine(content)
        names = [name for each in _machines(machine) for name in each.states]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise NotAStateMachineError(f"the state {twice!r} is there more than once")
        comment = str(content.get("Comment", ""))
    except (NotAStateMachineError, AttributeError, TypeError, ValueError) as error:
        # The latter three: a list where an object belongs, or the like.
        raise NotAStateMachineError(f"{path} is no state machine in the Amazon States Language: {error}.") from error
    taken = next((name for name in names if name in {START, END}), None)
    if taken is not None:
        raise NotAStateMachineError(
            f"{path} has a state named {taken!r}, which the picture calls an end of the execution: rename the state."
        )
    return Definition(path.name.removesuffix(".json").removesuffix(".asl"), comment, machine)


def _machines(machine: Machine) -> Iterator[Machine]:
    yield machine
    for state in machine.states.values():
        for part in state.parts:
            yield from _machines(part)


def _enclosed(machine: Machine, around: str) -> Iterator[tuple[Machine, str]]:
    """Yield each machine with the name of the state that it is in, `around` for the outermost."""
    yield machine, around
    for state in machine.states.values():
        for part in state.parts:
            yield from _enclosed(part, state.name)


def _machine(content: Any) -> Machine:
    if not isinstance(content, dict) or not isinstance(content.get("States"), dict):
        raise NotAStateMachineError("it has no object States")
    states = {name: _state(name, fields) for name, fields in content["States"].items()}
    transitions = tuple(
        transition for name, fields in content["States"].items() for transition in _transitions(name, fields)
    )
    start_at = str(content.get("StartAt"))
    if start_at not in states:
        raise NotAStateMachineError(f"StartAt is {start_at!r}, which is none of its states")
    for transition in transitions:
        if transition.target not in states and transition.target != END:
            raise NotAStateMachineError(
                f"the state {transition.source!r} leads to {transition.target!r}, which is not beside it"
            )
    return Machine(start_at, states, transitions)


def _state(name: str, fields: Any) -> State:
    if not isinstance(fields, dict) or fields.get("Type") not in TYPES:
        raise NotAStateMachineError(f"the state {name!r} has no Type of {', '.join(TYPES)}")
    parts = [fields.get("ItemProcessor", fields.get("Iterator"))] if fields["Type"] == "Map" else []
    parts += fields.get("Branches", []) if fields["Type"] == "Parallel" else []
    return State(
        name,
        fields["Type"],
        str(fields.get("Comment", "")),
        _does(fields),
        tuple(
            (tuple(rule.get("ErrorEquals", ())), int(rule.get("MaxAttempts", 3)))  # AWS's default
            for rule in fields.get("Retry", [])
        ),
        tuple(_machine(part) for part in parts),
    )


def _transitions(name: str, fields: Mapping[str, Any]) -> Iterator[Transition]:
    if fields.get("End") is True:
        yield Transition(name, END, "end")
    if "Next" in fields:
        yield Transition(name, str(fields["Next"]), "next")
    for rule in fields.get("Choices", []):
        yield Transition(name, str(rule.get("Next")), "choice", short_condition(rule), full_condition(rule))
    if "Default" in fields:
        yield Transition(name, str(fields["Default"]), "default", "otherwise", "otherwise")
    for rule in fields.get("Catch", []):
        errors = [str(error) for error in rule.get("ErrorEquals", [])]
        label = str(rule.get("Comment", "")) or " or ".join(map(_in_words, errors))
        yield Transition(name, str(rule.get("Next")), "catch", label, ", ".join(errors))


def short_error(error: str) -> str:
    """Shorten the name of an error: without its service and without "Exception"."""
    return error.rsplit(".", 1)[-1].removesuffix("Exception")


def _in_words(error: str) -> str:
    """Put what a Catch is for in words, such as "any error" or "conditional check failed"."""
    if error == "States.ALL":
        return "any error"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", short_error(error)).lower()


def _does(fields: Mapping[str, Any]) -> str:
    kind = fields["Type"]
    if kind == "Task":
        return _service(str(fields.get("Resource", "")))
    if kind == "Wait":
        for name in ("Seconds", "SecondsPath", "Timestamp", "TimestampPath"):
            if isinstance(fields.get(name), int):
                return f"waits {fields[name]} s"
        return "waits"
    if kind == "Fail":
        error = fields.get("Error", fields.get("ErrorPath", ""))
        fixed = error and not str(error).startswith(("{%", "$"))
        return f"fails: {error}" if fixed else "fails"
    if kind == "Map":
        config = (fields.get("ItemProcessor") or {}).get("ProcessorConfig") or {}
        return "for each, distributed" if config.get("Mode") == "DISTRIBUTED" else "for each"
    return {"Succeed": "succeeds", "Choice": "choice", "Pass": "pass", "Parallel": "in parallel"}[kind]


_SERVICES = {
    "lambda": "Lambda",
    "dynamodb": "DynamoDB",
    "sqs": "SQS",
    "sns": "SNS",
    "s3": "S3",
    "sfn": "Step Functions",
    "states": "Step Functions",
    "sagemaker": "SageMaker",
    "events": "EventBridge",
}


def _service(resource: str) -> str:
    """Put a task's Resource in words, such as "DynamoDB putItem"; a function is "Lambda"."""
    parts = resource.split(":")
    if ":::" not in resource:  # the ARN of a function or an activity
        return {"lambda": "Lambda", "states": "activity"}.get(parts[2] if len(parts) > 2 else "", "task")
    service, action = (parts[-2], parts[-1].split(".")[0])
    name = _SERVICES.get(service, service)
    return name if service == "lambda" else f"{name} {action}"
