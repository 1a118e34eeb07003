"""Time-out of an execution of a state machine, and a final status.

MiniStack ignores `TimeoutSeconds` of a state machine and the five minutes of an EXPRESS one, and a stopped execution
becomes FAILED when its running task fails later. With the patch an execution's first final status stays; its task
continues without effect on it, as an invocation of a function does on AWS.
"""

import contextlib
import contextvars
import json
import threading
from collections.abc import Callable
from typing import Any

from ministack.services import stepfunctions as sfn

from local.ministack.patches import Patches

_EXPRESS_SECONDS = 300.0
_lock = threading.Lock()  # the first of two threads that end one execution wins
patches = Patches(__name__)


class _EndedError(sfn._ExecutionError):  # type: ignore[misc]  # MiniStack has no types
    """An execution with a final status cannot get another one."""


class _Execution(dict[str, Any]):
    """MiniStack's record of an execution; its first final status is its only one."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name != "status":
            super().__setitem__(name, value)
            return
        with _lock:
            if self["status"] != "RUNNING":
                raise _EndedError("States.Runtime", f"The execution is already {self['status']}")
            super().__setitem__(name, value)


@patches.wrap(sfn, "_run_execution", "996dff84")
def _with_time_out(run: Callable[[str], None]) -> Callable[[str], None]:
    def run_execution(arn: str) -> None:
        found = sfn._executions.get(arn)
        if found is None:  # MiniStack was reset in the meantime
            return
        execution = sfn._executions[arn] = _Execution(found)
        seconds = _seconds(sfn._state_machines.get(execution["stateMachineArn"]))
        if seconds is None:
            run(arn)
            return
        # Its own context: a context variable holds the account and the region.
        work = threading.Thread(target=contextvars.copy_context().run, args=(run, arn), daemon=True)
        work.start()
        work.join(seconds)
        if work.is_alive():
            with contextlib.suppress(_EndedError):
                execution["status"] = "TIMED_OUT"
                execution["stopDate"] = sfn.now_iso()
                sfn._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
                sfn._emit_execution_status_event(execution)

    return run_execution


@patches.wrap(sfn, "_fail_execution", "e6da895f")
def _unless_ended(fail: Callable[..., None]) -> Callable[..., None]:
    def fail_execution(execution: dict[str, Any], error: str, cause: str) -> None:
        # MiniStack sets the status first, so an ended execution is not changed and emits no event.
        with contextlib.suppress(_EndedError):
            fail(execution, error, cause)

    return fail_execution


@patches.wrap(sfn, "_stop_execution", "44d2d84c")
def _again_if_ended(stop: Callable[..., Any]) -> Callable[..., Any]:
    def stop_execution(request: dict[str, Any]) -> Any:
        try:
            return stop(request)
        except _EndedError:  # it ended between MiniStack's check and its change; now MiniStack refuses
            return stop(request)

    return stop_execution


def _seconds(machine: dict[str, Any] | None) -> float | None:
    """Return the maximum duration of an execution, or None for no limit."""
    if machine is None:
        return None
    try:
        definition = json.loads(machine["definition"])
    except ValueError:  # MiniStack itself fails such an execution
        return None
    limits = [definition.get("TimeoutSeconds"), _EXPRESS_SECONDS if machine.get("type") == "EXPRESS" else None]
    return min((float(limit) for limit in limits if limit is not None), default=None)
