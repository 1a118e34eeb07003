"""How long an execution of a state machine may take, and that its end is final.

MiniStack 1.5.33 ignores `TimeoutSeconds` of a machine and the five minutes of an EXPRESS one, and
an execution that somebody stops becomes FAILED when the task that was under way fails after that.
Here an execution that is out of time is TIMED_OUT, with its status event, and keeps that state;
what its task was doing goes on unseen, as a function's call does on AWS.
tests/integration/test_ministack_gaps.py fails when MiniStack closes the gap.
"""

import contextlib
import contextvars
import json
import threading
from typing import Any

from ministack.services import stepfunctions as sfn

from local.ministack.ministack_source import check_source

_FILE = "local/ministack/execution_limits.py"
_EXPRESS_SECONDS = 300.0
_RUNNING = "RUNNING"
_lock = threading.Lock()  # of two threads that end one execution, the first one does


class _EndedError(sfn._ExecutionError):  # type: ignore[misc]  # MiniStack has no types
    """An execution that has ended already cannot end another way."""


class _Execution(dict[str, Any]):
    """MiniStack's record of an execution, whose first end is its only one."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name != "status":
            super().__setitem__(name, value)
            return
        with _lock:
            if self["status"] != _RUNNING:
                raise _EndedError("States.Runtime", f"The execution is {self['status']} already")
            super().__setitem__(name, value)


def install() -> None:
    """Change MiniStack's Step Functions in this process; call once, before the first execution.

    Raises:
        MiniStackChangedError: when MiniStack's version has changed.
    """
    run, fail, stop = sfn._run_execution, sfn._fail_execution, sfn._stop_execution
    check_source(run, "996dff84", _FILE)
    check_source(fail, "e6da895f", _FILE)
    check_source(stop, "44d2d84c", _FILE)

    def run_execution(arn: str) -> None:
        found = sfn._executions.get(arn)
        if found is None:  # MiniStack was reset since it was started
            return
        execution = sfn._executions[arn] = _Execution(found)
        seconds = _seconds(sfn._state_machines.get(execution["stateMachineArn"]))
        if seconds is None:
            run(arn)
            return
        # A context of its own: the account and the region are in it.
        work = threading.Thread(target=contextvars.copy_context().run, args=(run, arn), daemon=True)
        work.start()
        work.join(seconds)
        if work.is_alive():
            with contextlib.suppress(_EndedError):
                _time_out(execution)

    def fail_execution(execution: dict[str, Any], error: str, cause: str) -> None:
        # MiniStack sets the status first, so nothing is changed or told of one that has ended.
        with contextlib.suppress(_EndedError):
            fail(execution, error, cause)

    def stop_execution(request: dict[str, Any]) -> Any:
        try:
            return stop(request)
        except _EndedError:  # between MiniStack's look and its change; it refuses now
            return stop(request)

    sfn._run_execution = run_execution
    sfn._fail_execution = fail_execution
    sfn._stop_execution = stop_execution


def _seconds(machine: dict[str, Any] | None) -> float | None:
    """Return how long an execution of a machine may take, None for as long as it likes."""
    if machine is None:
        return None
    try:
        definition = json.loads(machine["definition"])
    except ValueError:  # MiniStack fails the execution for it
        return None
    limits = [definition["TimeoutSeconds"]] if "TimeoutSeconds" in definition else []
    if machine.get("type") == "EXPRESS":
        limits.append(_EXPRESS_SECONDS)
    return min(map(float, limits), default=None)


def _time_out(execution: dict[str, Any]) -> None:
    execution["status"] = "TIMED_OUT"
    execution["stopDate"] = sfn.now_iso()
    sfn._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
    sfn._emit_execution_status_event(execution)
