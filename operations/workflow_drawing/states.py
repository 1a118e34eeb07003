"""Read a state machine in the Amazon States Language: its states and its transitions."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from common.errors import ExpectedError

START, END = "Start", "End"  # names of the two ends of an execution

Pair = tuple[str, str]  # the names of two states, or of a state and an end
Kind = Literal["start", "next", "choice", "default", "catch", "end"]

TYPES = ("Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map")
MAX_CONDITION = 46  # characters: two lines beside an arrow

# JSONPath's operators, such as NumericGreaterThanEquals, without the type in front.
_JSONPATH_OPERATORS = {
    "Equals": "=",
    "LessThan": "<",
    "LessThanEquals": "≤",
    "GreaterThan": ">",
    "GreaterThanEquals": "≥",
    "Matches": "matches",
}
_EXPRESSION = re.compile(r"^\{%\s*|\s*%\}$")
_ABBREVIATIONS = (
    (r"\$states\.context\.State\.EnteredTime", "now"),
    (r"\$states\.(input|context|result)\.", ""),
    (r"\$not\(\s*\$exists\(([^()]*)\)\s*\)", r"no \1"),
    (r"\$exists\(([^()]*)\)", r"there is \1"),
    (r"\$not\b", "not"),
    (r"\$(toMillis|number|string)\(([^()]*)\)", r"\2"),
    (r"\$([A-Za-z_]\w*)\b(?!\s*\()", r"\1"),  # a variable of Assign, but no function
    (r"^true$", "otherwise"),
    (r"\s+", " "),
)


class NotAStateMachineError(ExpectedError):
    """A file contains no state machine in the Amazon States Language."""


@dataclass(frozen=True)
class Transition:
    """A transition from the state `source` to the state `target`, `END` where the machine or a branch of it ends.

    `label` is the condition in a few words, empty for Next and End, and `detail` the whole condition.
    """

    source: str
    target: str
    kind: Kind
    label: str = ""
    detail: str = ""


@dataclass(frozen=True)
class State:
    """A state; its name is unique in the whole file, as AWS requires."""

    name: str
    kind: str  # the field Type, one of `TYPES`
    comment: str
    action: str  # in a few words, such as the service that it calls
    retries: tuple[tuple[tuple[str, ...], int], ...]  # error names and MaxAttempts of each rule of Retry
    machines: tuple["Machine", ...]  # inside of a Map, or one for each branch of a Parallel

    def inner_states(self) -> Iterator["State"]:
        """Yield all states inside of this one, those of inner Map and Parallel states too."""
        for machine in self.machines:
            for state in machine.states.values():
                yield state
                yield from state.inner_states()


@dataclass(frozen=True)
class Machine:
    """The states and transitions of a machine, in the order of the file."""

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
        return {name: state for machine, _ in _machines(self.machine) for name, state in machine.states.items()}

    @cached_property
    def transitions(self) -> tuple[Transition, ...]:
        """All transitions, those inside of Map and Parallel states too."""
        return tuple(transition for machine, _ in _machines(self.machine) for transition in machine.transitions)

    @cached_property
    def pairs(self) -> frozenset[Pair]:
        """All (source, target) of the definition.

        An execution begins with (`START`, state) and ends with (state, `END`). An iteration of a
        Map, and a branch of a Parallel state, begins and ends at the name of that state instead.
        """
        pairs = {(START, self.machine.start_at)}
        for machine, parent in _machines(self.machine):
            pairs |= {(t.source, parent if t.target == END else t.target) for t in machine.transitions}
            for state in machine.states.values():
                pairs |= {(state.name, inner.start_at) for inner in state.machines}
                if state.kind in {"Succeed", "Fail"}:
                    pairs.add((state.name, parent))
        return frozenset(pairs)


def read_definition(path: Path) -> Definition:
    """Read a JSON file in the Amazon States Language.

    Its texts may contain placeholders for the template's substitutions, such as ${EndpointName}.

    Raises OSError, or NotAStateMachineError, which names the file and the problem.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # neither JSON nor UTF-8
        raise NotAStateMachineError(f"{path} is not JSON: {error}.") from error
    try:
        machine = _machine(content)
        names = [name for inner, _ in _machines(machine) for name in inner.states]
        for name in names:
            if names.count(name) > 1:
                raise NotAStateMachineError(f"the state {name!r} is defined more than once")
            if name in {START, END}:
                raise NotAStateMachineError(f"the name {name!r} stands for an end of the execution: rename the state")
        comment = str(content.get("Comment", ""))
    except (NotAStateMachineError, AttributeError, TypeError, ValueError) as error:  # a list for an object, or the like
        raise NotAStateMachineError(f"{path} is not a valid state machine: {error}.") from error
    return Definition(path.name.removesuffix(".json").removesuffix(".asl"), comment, machine)


def _machines(machine: Machine, parent: str = END) -> Iterator[tuple[Machine, str]]:
    """Yield each machine with the name of the state that contains it, `END` for the outermost."""
    yield machine, parent
    for state in machine.states.values():
        for inner in state.machines:
            yield from _machines(inner, state.name)


def _machine(content: Any) -> Machine:
    if not isinstance(content, dict) or not isinstance(content.get("States"), dict):
        raise NotAStateMachineError("it has no object States")
    states = {name: _state(name, fields) for name, fields in content["States"].items()}
    transitions = tuple(
        transition for name, fields in content["States"].items() for transition in _transitions(name, fields)
    )
    start_at = str(content.get("StartAt"))
    if start_at not in states:
        raise NotAStateMachineError(f"StartAt is {start_at!r}, which is not one of its states")
    for transition in transitions:
        if transition.target not in states and transition.target != END:
            raise NotAStateMachineError(
                f"the state {transition.source!r} leads to {transition.target!r}, which is not in the same States"
            )
    return Machine(start_at, states, transitions)


def _state(name: str, fields: Any) -> State:
    if not isinstance(fields, dict) or fields.get("Type") not in TYPES:
        raise NotAStateMachineError(f"the state {name!r} has no Type of {', '.join(TYPES)}")
    machines = [fields.get("ItemProcessor", fields.get("Iterator"))] if fields["Type"] == "Map" else []
    machines += fields.get("Branches", []) if fields["Type"] == "Parallel" else []
    return State(
        name,
        fields["Type"],
        str(fields.get("Comment", "")),
        _action(fields),
        tuple(
            (tuple(rule.get("ErrorEquals", ())), int(rule.get("MaxAttempts", 3)))  # AWS's default
            for rule in fields.get("Retry", [])
        ),
        tuple(map(_machine, machines)),
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
        label = str(rule.get("Comment", "")) or " or ".join(map(_error_label, errors))
        yield Transition(name, str(rule.get("Next")), "catch", label, ", ".join(errors))


def full_condition(rule: Mapping[str, Any]) -> str:
    """Return a rule's whole condition: its JSONata expression, or JSONPath's comparison as an expression."""
    return _EXPRESSION.sub("", str(rule["Condition"])) if "Condition" in rule else _jsonpath_condition(rule)


def _jsonpath_condition(rule: Mapping[str, Any]) -> str:
    for name in ("And", "Or"):
        if name in rule:
            return f" {name.lower()} ".join(map(_jsonpath_condition, rule[name]))
    if "Not" in rule:
        return f"not ({_jsonpath_condition(rule['Not'])})"
    variable = str(rule.get("Variable", "")).removeprefix("$.")
    for name, value in rule.items():
        if name in {"Variable", "Next", "Comment", "Assign", "Output"}:
            continue
        if name.startswith("Is"):  # IsPresent, IsNull, IsString ...
            return f"{variable} is {'' if value else 'not '}{name.removeprefix('Is').lower()}"
        operator = re.sub("^(String|Numeric|Boolean|Timestamp)", "", name.removesuffix("Path"))
        operand = str(value).removeprefix("$.") if name.endswith("Path") else json.dumps(value)
        return f"{variable} {_JSONPATH_OPERATORS.get(operator, operator)} {operand}"
    return variable


def short_condition(rule: Mapping[str, Any]) -> str:
    """Return a rule's Comment, or else its condition in at most `MAX_CONDITION` characters."""
    if rule.get("Comment"):
        return str(rule["Comment"])
    condition = full_condition(rule)
    for pattern, replacement in _ABBREVIATIONS:
        condition = re.sub(pattern, replacement, condition)
    return condition if len(condition) <= MAX_CONDITION else condition[: MAX_CONDITION - 1].rstrip() + "…"


def short_error(error: str) -> str:
    """Return the name of an error without its service and without "Exception"."""
    return error.rsplit(".", 1)[-1].removesuffix("Exception")


def _error_label(error: str) -> str:
    """Return an error of a Catch in words, such as "any error" or "conditional check failed"."""
    if error == "States.ALL":
        return "any error"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", short_error(error)).lower()


def _action(fields: Mapping[str, Any]) -> str:
    kind = fields["Type"]
    if kind == "Task":
        return _service(str(fields.get("Resource", "")))
    if kind == "Wait":
        return f"waits {fields['Seconds']} s" if isinstance(fields.get("Seconds"), int) else "waits"
    if kind == "Fail":
        error = str(fields.get("Error", ""))
        return f"fails: {error}" if error and not error.startswith("{%") else "fails"
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
    """Return the service and action of a task's Resource, such as "DynamoDB putItem"."""
    fields = resource.split(":")
    if ":::" not in resource:  # the ARN of a function or an activity
        return {"lambda": "Lambda", "states": "activity"}.get(fields[2] if len(fields) > 2 else "", "task")
    service, action = fields[-2], fields[-1].split(".")[0]
    name = _SERVICES.get(service, service)
    return name if service == "lambda" else f"{name} {action}"
