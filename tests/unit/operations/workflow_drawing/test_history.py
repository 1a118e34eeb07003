"""An execution's path, from histories in AWS's shape and in that of the laptop's AWS."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from operations.workflow_drawing.execution import Failure, error_counts, transition_counts
from operations.workflow_drawing.history import ExecutionNotFoundError, NoHistoryError, read_path
from operations.workflow_drawing.states import END, START
from tests.unit.aws_stubs import stubbed

MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:Machine"
ARN = "arn:aws:states:eu-west-1:123456789012:execution:Machine:one"
BEGAN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
TASK = {"resourceType": "sqs", "resource": "sendMessage"}
SCHEDULED = TASK | {"region": "eu-west-1", "parameters": "{}"}
FAILED = {"error": "BusyError", "cause": "too many"}


class History:
    """Writes events one second apart; each follows the one before unless `after` names another."""

    def __init__(self, linked=True):
        self.events = []
        self.linked = linked
        self.add("ExecutionStarted", {"input": "{}", "roleArn": "arn:aws:iam::1:role/x" + "x" * 9})

    def add(self, kind, details=None, after=None):
        number = len(self.events) + 1
        event = {"timestamp": BEGAN + timedelta(seconds=number - 1), "type": kind, "id": number}
        if self.linked:
            # As AWS does, the first state follows event 0.
            event["previousEventId"] = after if after is not None else max(0, number - 1)
            if number == 2:
                event["previousEventId"] = 0
        if details is not None:
            event[details_name(kind)] = details
        self.events.append(event)
        return number

    def enter(self, kind, name, after=None):
        return self.add(f"{kind}StateEntered", {"name": name, "input": f'{{"to":"{name}"}}'}, after)

    def leave(self, kind, name, after=None):
        return self.add(f"{kind}StateExited", {"name": name, "output": f'{{"of":"{name}"}}'}, after)

    def visit(self, kind, name, after=None):
        return self.leave(kind, name, self.enter(kind, name, after))

    def task(self, name, failures=0, caught=False, after=None):
        """A task with some failed attempts, then one that works unless the last error is caught."""
        self.enter("Task", name, after)
        for _ in range(failures):
            self.add("TaskScheduled", SCHEDULED)
            self.add("TaskStarted", TASK)
            self.add("TaskFailed", TASK | FAILED)
        if not caught:
            self.add("TaskScheduled", SCHEDULED)
            self.add("TaskSucceeded", TASK)
        return self.leave("Task", name)

    def read(self, status="SUCCEEDED", page=1000, stopped=None, **told):
        """Read it back through a client that gives it in pages."""
        client, stub = stubbed("stepfunctions")
        description = {
            "executionArn": ARN,
            "stateMachineArn": MACHINE,
            "status": status,
            "startDate": BEGAN,
            "input": "{}",
            **told,
        }
        if status not in {"RUNNING", "PENDING_REDRIVE"}:
            description["stopDate"] = stopped or self.events[-1]["timestamp"]
        stub.add_response("describe_execution", description, {"executionArn": ARN})
        token = None
        for start in range(0, len(self.events), page):
            answer: dict[str, Any] = {"events": self.events[start : start + page]}
            request = {"executionArn": ARN, "maxResults": 1000}
            if token:
                request["nextToken"] = token
            if start + page < len(self.events):
                token = answer["nextToken"] = f"after-{start + page}"
            stub.add_response("get_execution_history", answer, request)
        path = read_path(client, ARN)
        stub.assert_no_pending_responses()
        return path


def details_name(kind):
    if kind.endswith(("StateEntered", "StateExited")):
        kind = f"State{kind.rsplit('State', 1)[1]}"
    return f"{kind[0].lower()}{kind[1:]}EventDetails"


def states(path):
    return [step.state for step in path.steps]


SHAPES = pytest.mark.parametrize("linked", [True, False], ids=["AWS", "laptop"])


@SHAPES
def test_a_success_is_read_step_by_step(linked):
    history = History(linked)
    history.visit("Pass", "A")
    history.task("B")
    history.visit("Choice", "C")
    history.add("ExecutionSucceeded", {"output": '{"label":"bicycle"}'})
    path = history.read(output='{"label":"bicycle"}')
    assert states(path) == ["A", "B", "C"]
    assert (path.status, path.machine, path.name) == ("SUCCEEDED", "Machine", "one")
    assert (path.output, path.error, path.seconds) == ('{"label":"bicycle"}', None, 9)
    first, task, choice = path.steps
    assert (first.entered, first.seconds, first.attempts) == (BEGAN + timedelta(seconds=1), 1, 0)
    assert (task.seconds, task.attempts, task.failures, task.error) == (3, 1, (), None)
    assert (task.input, task.output) == ('{"to":"B"}', '{"of":"B"}')
    assert (choice.kind, choice.previous) == ("Choice", 1)
    assert transition_counts([path, path]) == {
        (START, "A"): 2,
        ("A", "B"): 2,
        ("B", "C"): 2,
        ("C", END): 2,
    }


@SHAPES
def test_attempts_and_what_they_failed_with_are_counted(linked):
    history = History(linked)
    history.task("A", failures=2)
    history.task("B", failures=3, caught=True)
    history.enter("Fail", "C")
    history.add("ExecutionFailed", {"error": "GONE", "cause": "for good"})
    path = history.read("FAILED", error="GONE", cause="for good")
    retried, caught, fail = path.steps
    assert (retried.attempts, len(retried.failures), retried.error) == (3, 2, None)
    assert (caught.attempts, caught.error, caught.cause) == (3, "BusyError", "too many")
    assert caught.failures == (Failure("BusyError", "too many"),) * 3
    assert (fail.error, fail.cause, fail.seconds, fail.attempts) == ("GONE", "for good", 1, 0)
    assert (path.error, path.cause, path.output) == ("GONE", "for good", None)
    assert transition_counts([path])["C", END] == 1
    assert error_counts([path, path]) == {("B", "C"): 2}


@SHAPES
def test_uncaught_error_ends_the_execution_in_its_state(linked):
    history = History(linked)
    history.enter("Task", "A")
    history.add("TaskScheduled", SCHEDULED)
    history.add("TaskFailed", TASK | FAILED)
    history.add("ExecutionFailed", FAILED)
    [step] = history.read("FAILED", **FAILED).steps
    assert (step.error, step.attempts, step.seconds, step.output) == ("BusyError", 1, 3, None)
    assert step.failures == (Failure("BusyError", "too many"),)


@SHAPES
def test_a_failed_evaluation_is_an_attempt(linked):
    """A JSONata expression can fail before anything is scheduled."""
    history = History(linked)
    history.enter("Task", "A")
    if linked:
        history.add(
            "EvaluationFailed",
            {"error": "States.QueryEvaluationError", "cause": "no", "state": "A"},
        )
    else:
        history.add("TaskFailed", TASK | {"error": "States.QueryEvaluationError", "cause": "no"})
    history.add("ExecutionFailed", {"error": "States.QueryEvaluationError", "cause": "no"})
    [step] = history.read("FAILED", error="States.QueryEvaluationError", cause="no").steps
    assert (step.error, step.attempts) == ("States.QueryEvaluationError", 1)


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT"])
@SHAPES
def test_what_was_ended_from_outside_ended_where_it_was(linked, status):
    history = History(linked)
    history.visit("Pass", "A")
    history.enter("Wait", "B")
    history.add("ExecutionAborted" if status == "ABORTED" else "ExecutionTimedOut", {})
    path = history.read(status)
    assert (path.status, states(path)) == (status, ["A", "B"])
    assert (path.steps[-1].seconds, path.steps[-1].error) == (1, None)
    assert transition_counts([path])["B", END] == 1


@SHAPES
def test_a_running_execution_ends_nowhere_yet(linked):
    history = History(linked)
    history.visit("Pass", "A")
    history.enter("Wait", "B")
    path = history.read("RUNNING")
    assert (path.stopped, path.seconds, path.steps[-1].seconds) == (None, None, None)
    assert transition_counts([path]) == {(START, "A"): 1, ("A", "B"): 1}


@SHAPES
def test_a_running_execution_between_two_states_has_not_ended(linked):
    history = History(linked)
    history.visit("Pass", "A")
    path = history.read("RUNNING")
    assert path.steps[0].seconds == 1
    assert transition_counts([path]) == {(START, "A"): 1}


@SHAPES
@pytest.mark.parametrize("end", ["Aborted", "TimedOut", "Failed"])
def test_what_a_history_says_after_the_end_did_not_happen(linked, end):
    """The laptop's AWS goes on writing what the state did that was under way."""
    history = History(linked)
    history.enter("Task", "A")
    history.add("TaskScheduled", SCHEDULED)
    history.add(f"Execution{end}", {"error": "ENOUGH"})
    stopped = history.events[-1]["timestamp"]
    history.add("TaskSucceeded", TASK)
    history.leave("Task", "A")
    history.visit("Pass", "B")
    status = {"Aborted": "ABORTED", "TimedOut": "TIMED_OUT", "Failed": "FAILED"}[end]
    path = history.read(status, stopped=stopped, error="ENOUGH")
    [step] = path.steps
    assert (step.seconds, path.seconds, step.error, step.output) == (2, 3, "ENOUGH", None)
    assert transition_counts([path]) == {(START, "A"): 1, ("A", END): 1}


@SHAPES
def test_a_circle_is_walked_as_often_as_it_was(linked):
    history = History(linked)
    history.visit("Pass", "A")
    for _ in range(3):
        history.visit("Task", "B")
        history.visit("Wait", "C")
    history.task("B")
    history.add("ExecutionSucceeded", {"output": "{}"})
    counts = transition_counts([history.read()])
    assert counts == {
        (START, "A"): 1,
        ("A", "B"): 1,
        ("B", "C"): 3,
        ("C", "B"): 3,
        ("B", END): 1,
    }


def test_a_history_is_read_to_its_last_page():
    history = History()
    for number in range(40):
        history.visit("Pass", f"State {number}")
    history.add("ExecutionSucceeded", {"output": "{}"})
    path = history.read(page=25)
    assert states(path) == [f"State {number}" for number in range(40)]
    assert [step.previous for step in path.steps] == [None, *range(39)]


def interleaved_map():
    """Two iterations of a Map, whose events come in turns."""
    history = History()
    history.enter("Map", "Each")
    started = history.add("MapStateStarted", {"length": 2})
    one = history.add("MapIterationStarted", {"name": "Each", "index": 0}, started)
    two = history.add("MapIterationStarted", {"name": "Each", "index": 1}, started)
    one = history.enter("Task", "Ask", one)
    two = history.enter("Task", "Ask", two)
    one = history.add("TaskScheduled", SCHEDULED, one)
    two = history.add("TaskScheduled", SCHEDULED, two)
    two = history.add("TaskFailed", TASK | FAILED, two)
    one = history.add("TaskSucceeded", TASK, one)
    one = history.leave("Task", "Ask", one)
    two = history.leave("Task", "Ask", two)
    two = history.visit("Pass", "Mend", two)
    one = history.visit("Pass", "Done", one)
    history.add("MapIterationSucceeded", {"name": "Each", "index": 0}, one)
    two = history.visit("Pass", "Done", two)
    last = history.add("MapIterationSucceeded", {"name": "Each", "index": 1}, two)
    succeeded = history.add("MapStateSucceeded", None, last)
    after = history.leave("Map", "Each", succeeded)
    history.visit("Pass", "After", after)
    history.add("ExecutionSucceeded", {"output": "{}"})
    return history


def test_the_iterations_of_a_map_are_told_apart_by_their_links():
    path = interleaved_map().read()
    assert states(path) == ["Each", "Ask", "Ask", "Mend", "Done", "Done", "After"]
    assert [step.parent for step in path.steps] == [None, 0, 0, 0, 0, 0, None]
    assert [step.error for step in path.steps][1:3] == [None, "BusyError"]
    assert path.steps[-1].previous == 0
    assert error_counts([path]) == {("Ask", "Mend"): 1}
    assert path.steps[0].attempts == 0
    assert transition_counts([path]) == {
        (START, "Each"): 1,
        ("Each", "Ask"): 2,
        ("Ask", "Done"): 1,
        ("Ask", "Mend"): 1,
        ("Mend", "Done"): 1,
        ("Done", "Each"): 2,
        ("Each", "After"): 1,
        ("After", END): 1,
    }


def test_iterations_without_their_details_are_read_by_their_links():
    history = interleaved_map()
    for event in history.events:
        for name in [name for name in event if name.startswith("mapIteration")]:
            del event[name]
    path = history.read()
    assert [step.parent for step in path.steps] == [None, 0, 0, 0, 0, 0, None]


def test_the_branches_of_a_parallel_state_are_told_apart_too():
    history = History()
    history.enter("Parallel", "Both")
    started = history.add("ParallelStateStarted")
    one = history.enter("Pass", "Left", started)
    two = history.enter("Pass", "Right", started)
    history.leave("Pass", "Left", one)
    two = history.leave("Pass", "Right", two)
    done = history.add("ParallelStateSucceeded", None, two)
    history.leave("Parallel", "Both", done)
    history.add("ExecutionSucceeded", {"output": "{}"})
    assert transition_counts([history.read()]) == {
        (START, "Both"): 1,
        ("Both", "Left"): 1,
        ("Both", "Right"): 1,
        ("Left", "Both"): 1,
        ("Right", "Both"): 1,
        ("Both", END): 1,
    }


def failed_parallel():
    """A Parallel state of which one branch fails, so that AWS aborts the other; its last event."""
    history = History()
    history.enter("Parallel", "Both")
    started = history.add("ParallelStateStarted")
    left = history.enter("Task", "Left", started)
    right = history.enter("Task", "Right", started)
    left = history.add("TaskScheduled", SCHEDULED, left)
    right = history.add("TaskScheduled", SCHEDULED, right)
    left = history.add("TaskFailed", TASK | FAILED, left)
    history.add("TaskStateAborted", None, left)
    history.add("TaskStateAborted", None, right)
    return history, history.add("ParallelStateFailed", None, left)


BUSY = Failure("BusyError", "too many")


def told(path):
    """Of each step: its state, seconds, error, attempts and those that failed."""
    return [(s.state, s.seconds, s.error, s.attempts, s.failures) for s in path.steps]


def test_a_branch_that_was_aborted_has_not_failed():
    history, failed = failed_parallel()
    history.add("ExecutionFailed", FAILED, failed)
    assert told(history.read("FAILED", **FAILED)) == [
        ("Both", 9, "BusyError", 0, (BUSY,)),
        ("Left", 5, "BusyError", 1, (BUSY,)),
        ("Right", 5, None, 1, ()),
    ]


def test_aborted_branches_end_when_they_do_and_not_with_the_execution():
    history, failed = failed_parallel()
    last = history.leave("Parallel", "Both", failed)
    for number in range(9):
        last = history.visit("Pass", f"P{number}", last)
    history.add("ExecutionSucceeded", {"output": "{}"})
    assert told(history.read())[:4] == [
        ("Both", 10, "BusyError", 0, (BUSY,)),  # caught
        ("Left", 5, "BusyError", 1, (BUSY,)),
        ("Right", 5, None, 1, ()),
        ("P0", 1, None, 0, ()),
    ]


def test_a_branch_is_closed_when_its_parallel_state_fails_though_no_event_says_so():
    history = History()
    history.enter("Parallel", "Both")
    started = history.add("ParallelStateStarted")
    left = history.enter("Fail", "Left", started)
    history.enter("Wait", "Right", started)
    last = history.add("ParallelStateFailed", None, left)
    last = history.leave("Parallel", "Both", last)
    history.visit("Pass", "After", last)
    history.add("ExecutionSucceeded", {"output": "{}"})
    steps = history.read().steps
    assert [step.seconds for step in steps] == [5, 2, 1, 1]


def test_a_fail_state_in_a_branch_fails_what_is_around_it():
    history = History()
    history.enter("Parallel", "Both")
    started = history.add("ParallelStateStarted")
    history.enter("Wait", "Left", started)
    right = history.enter("Fail", "Right", started)
    history.add("WaitStateAborted", None, right - 1)
    failed = history.add("ParallelStateFailed", None, right)
    history.add("ExecutionFailed", FAILED, failed)
    path = history.read("FAILED", **FAILED)
    assert [(s.state, s.error) for s in path.steps] == [
        ("Both", "BusyError"),
        ("Left", None),
        ("Right", "BusyError"),
    ]


def test_a_parallel_state_that_works_when_tried_again_has_not_failed():
    history, failed = failed_parallel()
    started = history.add("ParallelStateStarted", None, failed)
    history.visit("Task", "Left", started)
    right = history.visit("Task", "Right", started)
    history.add("ParallelStateSucceeded", None, right)
    history.leave("Parallel", "Both")
    history.add("ExecutionSucceeded", {"output": "{}"})
    path = history.read()
    assert [(s.state, s.parent, s.previous) for s in path.steps] == [
        ("Both", None, None),
        ("Left", 0, None),
        ("Right", 0, None),
        ("Left", 0, None),
        ("Right", 0, None),
    ]
    assert (path.steps[0].error, path.steps[0].failures) == (None, (BUSY,))


def test_what_ends_an_execution_from_outside_ends_its_innermost_step():
    history = History()
    history.enter("Parallel", "Both")
    started = history.add("ParallelStateStarted")
    left = history.enter("Wait", "Left", started)
    history.add("WaitStateAborted", None, left)
    history.add("ParallelStateAborted", None, left)
    history.add("ExecutionAborted", {"error": "ENOUGH"})
    path = history.read("ABORTED", error="ENOUGH")
    assert told(path) == [("Both", 4, None, 0, ()), ("Left", 1, "ENOUGH", 0, ())]


def test_a_task_that_was_stopped_while_tried_again_ended_by_that():
    history = History()
    history.enter("Task", "A")
    history.add("TaskScheduled", SCHEDULED)
    history.add("TaskFailed", TASK | FAILED)
    history.add("TaskScheduled", SCHEDULED)
    assert told(history.read("RUNNING")) == [("A", None, None, 2, (BUSY,))]
    history.add("ExecutionAborted", {"error": "ENOUGH"})
    stopped = history.read("ABORTED", error="ENOUGH", cause="for today")
    assert told(stopped) == [("A", 4, "ENOUGH", 2, (BUSY,))]
    assert stopped.steps[0].cause == "for today"


def test_what_ends_with_an_inner_map_ends_in_the_outer_one():
    history = History()
    history.enter("Map", "Outer")
    history.add("MapStateStarted", {"length": 2})
    for index in (0, 1):
        history.add("MapIterationStarted", {"name": "Outer", "index": index})
        history.enter("Map", "Inner")
        history.add("MapStateStarted", {"length": 1})
        history.add("MapIterationStarted", {"name": "Inner", "index": 0})
        history.visit("Pass", "X")
        history.add("MapIterationSucceeded", {"name": "Inner", "index": 0})
        history.add("MapStateSucceeded")
        history.leave("Map", "Inner")
        history.add("MapIterationSucceeded", {"name": "Outer", "index": index})
    history.add("MapStateSucceeded")
    history.leave("Map", "Outer")
    history.visit("Pass", "After")
    history.add("ExecutionSucceeded", {"output": "{}"})
    path = history.read()
    assert transition_counts([path]) == {
        (START, "Outer"): 1,
        ("Outer", "Inner"): 2,
        ("Inner", "X"): 2,
        ("X", "Inner"): 2,
        ("Inner", "Outer"): 2,
        ("Outer", "After"): 1,
        ("After", END): 1,
    }
    assert [step.parent for step in path.steps] == [None, 0, 1, 0, 3, None]


def test_an_inner_failure_fails_each_state_around_it():
    history = History()
    history.enter("Parallel", "Outer")
    history.add("ParallelStateStarted")
    history.enter("Parallel", "Inner")
    history.add("ParallelStateStarted")
    history.task("X", failures=1, caught=True)
    history.events.pop()  # it is not left
    history.add("ParallelStateFailed")
    history.add("ParallelStateFailed")
    history.leave("Parallel", "Outer")
    history.visit("Pass", "After")
    history.add("ExecutionSucceeded", {"output": "{}"})
    path = history.read()
    assert [(s.state, s.error) for s in path.steps] == [
        ("Outer", "BusyError"),
        ("Inner", "BusyError"),
        ("X", "BusyError"),
        ("After", None),
    ]
    assert path.steps[1].seconds == 6


def test_a_map_that_failed_and_was_caught_says_so():
    history = History()
    history.enter("Map", "Each")
    started = history.add("MapRunStarted", {"mapRunArn": "arn:run"})
    history.add("MapRunFailed", {"error": "States.ExceedToleratedFailureThreshold"}, started)
    history.add("MapStateFailed")
    history.leave("Map", "Each")
    history.visit("Pass", "After")
    history.add("ExecutionSucceeded", {"output": "{}"})
    path = history.read()
    assert states(path) == ["Each", "After"]
    assert path.steps[0].error == "States.ExceedToleratedFailureThreshold"


def test_on_the_laptop_a_map_is_one_step_that_was_not_tried_often():
    """Its tasks' events are in the history without the names of their states."""
    history = History(linked=False)
    history.enter("Map", "Each")
    for _ in range(3):
        history.add("TaskScheduled", SCHEDULED)
        history.add("TaskFailed", TASK | FAILED)
    history.leave("Map", "Each")
    history.add("ExecutionSucceeded", {"output": "{}"})
    path = history.read()
    [step] = path.steps
    assert (step.state, step.attempts, step.error) == ("Each", 0, None)


@pytest.mark.parametrize("entered_again", [True, False])
def test_a_redrive_goes_on_in_the_state_that_had_failed(entered_again):
    history = History()
    history.visit("Pass", "A")
    history.enter("Task", "B")
    history.add("TaskScheduled", SCHEDULED)
    history.add("TaskFailed", TASK | FAILED)
    history.add("ExecutionFailed", FAILED)
    history.add("ExecutionRedriven", {"redriveCount": 1})
    if entered_again:
        history.enter("Task", "B")
    history.add("TaskScheduled", SCHEDULED)
    history.add("TaskSucceeded", TASK)
    history.leave("Task", "B")
    history.add("ExecutionSucceeded", {"output": "{}"})
    path = history.read(redriveCount=1)
    assert (states(path), path.redriven) == (["A", "B"], 1)
    assert (path.steps[1].attempts, path.steps[1].error) == (2, None)
    assert transition_counts([path]) == {(START, "A"): 1, ("A", "B"): 1, ("B", END): 1}


def test_a_history_that_leaves_data_out_is_read_without_it():
    history = History()
    history.add("PassStateEntered", {"name": "A"})
    history.add("PassStateExited", {"name": "A"})
    history.add("ExecutionSucceeded", {})
    [step] = history.read().steps
    assert (step.input, step.output) == (None, None)


def test_of_an_express_execution_there_is_no_history():
    client, stub = stubbed("stepfunctions")
    arn = ARN.replace(":execution:", ":express:") + ":0c9a"
    with pytest.raises(NoHistoryError, match=r"EXPRESS execution, .* read its logs"):
        read_path(client, arn)
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ExecutionDoesNotExist", ExecutionNotFoundError),
        ("InvalidArn", ExecutionNotFoundError),
        ("StateMachineTypeNotSupported", NoHistoryError),
        ("ThrottlingException", ClientError),
    ],
)
def test_what_step_functions_refuses_is_said(code, error):
    client, stub = stubbed("stepfunctions")
    stub.add_client_error("describe_execution", code, "no")
    with pytest.raises(error) as caught:
        read_path(client, ARN)
    assert code in str(caught.value) or ARN in str(caught.value)
