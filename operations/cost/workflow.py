"""Follow a state machine's definition along a path: its states, its history, what they call.

Nothing here is counted by hand, so that a changed definition changes the cost.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from operations.cost.errors import CostError

# Events that a state leaves in an execution's history when nothing goes wrong: a task is entered,
# scheduled, started, succeeds and is exited; what has no work is entered and exited; Fail is only
# entered. As in the log levels' table of the developer guide.
HISTORY_EVENTS = {"Task": 5, "Pass": 2, "Choice": 2, "Wait": 2, "Succeed": 2, "Fail": 1}
EXECUTION_EVENTS = 2  # started; succeeded or failed
INLINE_MAP_EVENTS = 4  # entered, started, succeeded, exited
ITERATION_EVENTS = 2  # started, succeeded
ERROR_EVENTS = 2  # that log level ERROR writes for an execution that ends in a Fail state

State = Mapping[str, Any]


@dataclass(frozen=True)
class Path:
    """The states that an execution goes through, in order."""

    names: tuple[str, ...]
    states: tuple[State, ...]

    @property
    def fails(self) -> bool:
        """Whether the execution ends as FAILED."""
        return bool(self.states[-1]["Type"] == "Fail")

    @property
    def events(self) -> int:
        """Events in the execution's history; without those of Map states."""
        return EXECUTION_EVENTS + sum(HISTORY_EVENTS.get(s["Type"], 0) for s in self.states)

    @property
    def functions(self) -> list[str]:
        """Logical ids of the Lambda functions that are invoked, in order."""
        invoked = [s for s in self.states if service_call(s) == ("lambda", "invoke")]
        return [s["Arguments"]["FunctionName"][2:].removesuffix("Arn}") for s in invoked]

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """How often each call of a service other than Lambda is made: (service, call)."""
        made = [call for s in self.states if (call := service_call(s)) is not None]
        return Counter(call for call in made if call[0] != "lambda")


def service_call(state: State) -> tuple[str, str] | None:
    """Return service and call of a Task, e.g. ("dynamodb", "putItem"); None for other states."""
    if state["Type"] != "Task":
        return None
    service, call = state["Resource"].removesuffix(".sync").split(":")[-2:]
    return service, call


def follow(machine: Mapping[str, Any], decisions: Mapping[str, str]) -> Path:
    """Return the path from StartAt to the end; `decisions` names the state after each Choice.

    Raises:
        CostError: a Choice on the way has no decision, or cannot decide so, or a state is missing.
    """
    names: list[str] = []
    name: str | None = machine["StartAt"]
    while name is not None:
        if name in names:
            raise CostError(f"the path comes back to {name!r}: {' -> '.join(names)}")
        if name not in machine["States"]:
            raise CostError(f"no state {name!r}: the definition has {sorted(machine['States'])}")
        names.append(name)
        name = _after(name, machine["States"][name], decisions)
    return Path(tuple(names), tuple(machine["States"][n] for n in names))


def _after(name: str, state: State, decisions: Mapping[str, str]) -> str | None:
    if state["Type"] != "Choice":
        return state.get("Next")
    options = {choice["Next"] for choice in state["Choices"]} | {state.get("Default")}
    if decisions.get(name) not in options:
        raise CostError(
            f"Choice {name!r} goes to one of {sorted(filter(None, options))}: say to which in operations/cost/inputs.py"
        )
    return decisions[name]


def map_state(states: Iterable[State], mode: str) -> State:
    """Return the one Map state of that mode, INLINE or DISTRIBUTED. Raises CostError without."""
    for state in states:
        if state["Type"] == "Map" and state["ItemProcessor"]["ProcessorConfig"]["Mode"] == mode:
            return state
    raise CostError(f"there is no Map state of mode {mode}")
