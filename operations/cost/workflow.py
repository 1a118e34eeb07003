"""The states that an execution goes through, read from the definition, and what they call."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import ExpectedError

# Events of a state in an execution's history without errors, as in the table of log levels in the developer
# guide: a task is entered, scheduled, started, succeeds and is exited; a Fail state is only entered.
HISTORY_EVENTS = {"Task": 5, "Pass": 2, "Choice": 2, "Wait": 2, "Succeed": 2, "Fail": 1}
EXECUTION_EVENTS = 2  # started; succeeded or failed
INLINE_MAP_EVENTS = 4  # entered, started, succeeded, exited
ITERATION_EVENTS = 2  # started, succeeded
ERROR_EVENTS = 2  # that log level ERROR writes for an execution that ends in a Fail state

State = Mapping[str, Any]


class CostError(ExpectedError):
    """The cost cannot be calculated; the message names the file or the state, and what to correct."""


@dataclass(frozen=True)
class Path:
    """The states that an execution goes through, in order."""

    states: tuple[State, ...]

    @property
    def fails(self) -> bool:
        """Whether the execution ends as FAILED."""
        return bool(self.states[-1]["Type"] == "Fail")

    @property
    def events(self) -> int:
        """Events in the execution's history; without those of Map states."""
        return EXECUTION_EVENTS + sum(HISTORY_EVENTS.get(s["Type"], 0) for s in self.states)

    def logged_events(self, level: str) -> int:
        """Return the events that Step Functions logs at level ALL, ERROR, FATAL or OFF."""
        return {"ALL": self.events, "ERROR": ERROR_EVENTS * self.fails, "FATAL": int(self.fails), "OFF": 0}[level]

    @property
    def functions(self) -> list[str]:
        """Logical ids of the Lambda functions that are invoked, in order."""
        invoked = [s for s in self.states if service_call(s) == ("lambda", "invoke")]
        return [s["Arguments"]["FunctionName"][2:].removesuffix("Arn}") for s in invoked]

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """Number of calls of services other than Lambda, by (service, call)."""
        calls = [call for s in self.states if (call := service_call(s)) is not None]
        return Counter(call for call in calls if call[0] != "lambda")


def service_call(state: State) -> tuple[str, str] | None:
    """Return service and call of a Task, e.g. ("dynamodb", "putItem"); None for other states."""
    if state["Type"] != "Task":
        return None
    service, call = state["Resource"].removesuffix(".sync").split(":")[-2:]
    return service, call


def follow(machine: Mapping[str, Any], decisions: Mapping[str, str]) -> Path:
    """Return the path from StartAt to the end; `decisions` names the state after each Choice.

    Raises:
        CostError: a Choice on the path has no decision or none of its own, a state is missing, or the path is a cycle.
    """
    names: list[str] = []
    name: str | None = machine["StartAt"]
    while name is not None:
        if name in names:
            raise CostError(f"the path comes back to {name!r}: {' -> '.join(names)}")
        if name not in machine["States"]:
            raise CostError(f"no state {name!r}: the definition has {sorted(machine['States'])}")
        names.append(name)
        name = _next(name, machine["States"][name], decisions)
    return Path(tuple(machine["States"][n] for n in names))


def _next(name: str, state: State, decisions: Mapping[str, str]) -> str | None:
    if state["Type"] != "Choice":
        return state.get("Next")
    targets = {choice["Next"] for choice in state["Choices"]} | {state.get("Default")}
    if decisions.get(name) not in targets:
        raise CostError(
            f"Choice {name!r} goes to one of {sorted(filter(None, targets))}: name it in operations/cost/inputs.py"
        )
    return decisions[name]


def map_state(states: Iterable[State], mode: str) -> State:
    """Return the first Map state of that mode, INLINE or DISTRIBUTED. Raises CostError if there is none."""
    for state in states:
        if state["Type"] == "Map" and state["ItemProcessor"]["ProcessorConfig"]["Mode"] == mode:
            return state
    raise CostError(f"there is no Map state of mode {mode}")
