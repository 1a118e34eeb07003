"""An execution's path, from histories in AWS's shape and in that of the laptop's AWS."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from operations.workflow_drawing.execution import Failure, error_counts, transition_counts
from operations.workflow_drawing.history import ExecutionNotFoundError, NoHistoryError, read_path
from operations.workflow_drawing.states import END, START
from tests.unit.aws_stubs import stubbed
from tests.unit.operations.workflow_drawing.builders import ARN, BEGAN, FAILED, SCHEDULED, TASK, History, states

BUSY = Failure("BusyError", "too many")
ENOUGH = Failure("ENOUGH", "")

LINKED = pytest.mark.parametrize("linked", [True, False], ids=["AWS", "laptop"])


def ends(path):
    """Return state, seconds, failure, attempts and failed attempts of each step."""
    return [(s.state, s.seconds, s.failure, s.attempts, s.failures) for s in path.steps]


def failures(path):
    """Return state and failure of each step."""
    return [(step.state, step.failure) for step in path.steps]


@LINKED
def test_success_is_read_step_by_step(linked):
    history = History(linked)
    history.visit("Pass", "A")
    history.task("B")
    history.visit("Choice", "C")
    path = history.succeed()
    assert (path.status, path.machine, path.name) == ("SUCCEEDED", "Machine", "one")
    assert (path.failure, path.seconds) == (None, 10)
    assert ends(path) == [("A", 1, None, 0, []), ("B", 4, None, 1, []), ("C", 1, None, 0, [])]
    first, task, choice = path.steps
    assert first.entered == BEGAN + timedelta(seconds=1)
    assert task.input == '{"to":"B"}'
    assert (choice.kind, choice.previous) == ("Choice", 1)
    assert transition_counts([path, path]) == {(START, "A"): 2, ("A", "B"): 2, ("B", "C"): 2, ("C", END): 2}


@LINKED
def test_failed_attempts_are_counted(linked):
    history = History(linked)
    history.task("A", failures=2)
    history.task("B", failures=3, caught=True)
    history.enter("Fail", "C")
    history.add("ExecutionFailed", {"error": "GONE", "cause": "for good"})
    path = history.read("FAILED", error="GONE", cause="for good")
    retried, caught, fail = path.steps
    assert (retried.attempts, len(retried.failures), retried.failure) == (3, 2, None)
    assert (caught.attempts, caught.failure, caught.failures) == (3, BUSY, [BUSY] * 3)
    assert (fail.failure, fail.seconds, fail.attempts) == (Failure("GONE", "for good"), 1, 0)
    assert path.failure == Failure("GONE", "for good")
    assert transition_counts([path])["C", END] == 1
    assert error_counts([path, path]) == {("B", "C"): 2}


@LINKED
@pytest.mark.parametrize("scheduled", [True, False])
def test_uncaught_error_ends_the_execution_in_its_state(linked, scheduled):
    """A JSONata expression can fail before anything is scheduled."""
    history = History(linked)
    history.enter("Task", "A")
    if scheduled:
        history.attempt(FAILED)
    elif linked:
        history.add("EvaluationFailed", FAILED | {"state": "A"})
    else:
        history.add("TaskFailed", TASK | FAILED)
    assert ends(history.fail()) == [("A", 4 if scheduled else 2, BUSY, 1, [BUSY])]


@LINKED
@pytest.mark.parametrize(("status", "event"), [("ABORTED", "ExecutionAborted"), ("TIMED_OUT", "ExecutionTimedOut")])
def test_execution_ended_externally_ends_in_its_state(linked, status, event):
    history = History(linked)
    history.visit("Pass", "A")
    history.enter("Wait", "B")
    history.add(event, {})
    path = history.read(status)
    assert path.status == status
    assert ends(path) == [("A", 1, None, 0, []), ("B", 1, None, 0, [])]
    assert transition_counts([path])["B", END] == 1


@LINKED
def test_running_execution_has_not_ended(linked):
    history = History(linked)
    history.visit("Pass", "A")
    between = history.read("RUNNING")
    assert between.steps[0].seconds == 1
    assert transition_counts([between]) == {(START, "A"): 1}
    history.enter("Wait", "B")
    path = history.read("RUNNING")
    assert (path.stopped, path.seconds, path.steps[-1].seconds) == (None, None, None)
    assert transition_counts([path]) == {(START, "A"): 1, ("A", "B"): 1}


@LINKED
@pytest.mark.parametrize(
    ("status", "event"),
    [("ABORTED", "ExecutionAborted"), ("TIMED_OUT", "ExecutionTimedOut"), ("FAILED", "ExecutionFailed")],
)
def test_events_after_the_end_are_ignored(linked, status, event):
    """The laptop's AWS continues the state that was running."""
    history = History(linked)
    history.enter("Task", "A")
    history.add("TaskScheduled", SCHEDULED)
    history.add(event, {"error": "ENOUGH"})
    stopped = history.events[-1]["timestamp"]
    history.add("TaskSucceeded", TASK)
    history.leave("Task", "A")
    history.visit("Pass", "B")
    path = history.read(status, stopDate=stopped, error="ENOUGH")
    assert [(s.state, s.seconds, s.failure) for s in path.steps] == [("A", 2, ENOUGH)]
    assert path.seconds == 3
    assert transition_counts([path]) == {(START, "A"): 1, ("A", END): 1}


@LINKED
def test_transitions_of_a_cycle_are_counted_each_time(linked):
    history = History(linked)
    history.visit("Pass", "A")
    for _ in range(3):
        history.visit("Task", "B")
        history.visit("Wait", "C")
    history.task("B")
    counts = transition_counts([history.succeed()])
    assert counts == {(START, "A"): 1, ("A", "B"): 1, ("B", "C"): 3, ("C", "B"): 3, ("B", END): 1}


def test_history_is_read_to_its_last_page():
    history = History()
    for number in range(40):
        history.visit("Pass", f"State {number}")
    history.add("ExecutionSucceeded", {"output": "{}"})
    path = history.read(page=25)
    assert states(path) == [f"State {number}" for number in range(40)]
    assert [step.previous for step in path.steps] == [None, *range(39)]


def interleaved_map():
    """Return a history of two iterations of a Map whose events alternate."""
    history = History()
    started = history.start("Map", "Each")
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
    two = history.visit("Pass", "Repair", two)
    one = history.visit("Pass", "Done", one)
    history.add("MapIterationSucceeded", {"name": "Each", "index": 0}, one)
    two = history.visit("Pass", "Done", two)
    last = history.add("MapIterationSucceeded", {"name": "Each", "index": 1}, two)
    succeeded = history.add("MapStateSucceeded", None, last)
    after = history.leave("Map", "Each", succeeded)
    history.visit("Pass", "After", after)
    return history


@pytest.mark.parametrize("detailed", [True, False])
def test_iterations_of_a_map_are_separated_by_their_links(detailed):
    history = interleaved_map()
    if not detailed:
        for event in history.events:
            event.pop("mapIterationStartedEventDetails", None)
            event.pop("mapIterationSucceededEventDetails", None)
    path = history.succeed()
    assert failures(path) == [
        ("Each", None),
        ("Ask", None),
        ("Ask", BUSY),
        ("Repair", None),
        ("Done", None),
        ("Done", None),
        ("After", None),
    ]
    assert [step.parent for step in path.steps] == [None, 0, 0, 0, 0, 0, None]
    assert (path.steps[0].attempts, path.steps[-1].previous) == (0, 0)
    assert error_counts([path]) == {("Ask", "Repair"): 1}
    assert transition_counts([path]) == {
        (START, "Each"): 1,
        ("Each", "Ask"): 2,
        ("Ask", "Done"): 1,
        ("Ask", "Repair"): 1,
        ("Repair", "Done"): 1,
        ("Done", "Each"): 2,
        ("Each", "After"): 1,
        ("After", END): 1,
    }


@pytest.fixture
def failed_parallel():
    """Return a history of a Parallel state of which one branch fails, so that AWS aborts the other."""
    history = History()
    started = history.start("Parallel", "Both")
    left = history.enter("Task", "Left", started)
    right = history.enter("Task", "Right", started)
    left = history.add("TaskScheduled", SCHEDULED, left)
    right = history.add("TaskScheduled", SCHEDULED, right)
    left = history.add("TaskFailed", TASK | FAILED, left)
    history.add("TaskStateAborted", None, left)
    history.add("TaskStateAborted", None, right)
    history.add("ParallelStateFailed", None, left)
    return history


@pytest.mark.parametrize("caught", [False, True])
def test_aborted_branch_has_not_failed_and_ends_before_the_execution(failed_parallel, caught):
    if caught:
        failed_parallel.leave("Parallel", "Both")
        for number in range(9):
            failed_parallel.visit("Pass", f"P{number}")
    path = failed_parallel.succeed() if caught else failed_parallel.fail()
    assert ends(path) == [
        ("Both", 10 if caught else 9, BUSY, 0, [BUSY]),
        ("Left", 5, BUSY, 1, [BUSY]),
        ("Right", 5, None, 1, []),
        *([(f"P{number}", 1, None, 0, []) for number in range(9)] if caught else []),
    ]


def test_retried_parallel_state_has_not_failed_and_counts_both_attempts(failed_parallel):
    started = failed_parallel.add("ParallelStateStarted")
    failed_parallel.visit("Task", "Left", started)
    failed_parallel.visit("Task", "Right", started)
    failed_parallel.add("ParallelStateSucceeded")
    failed_parallel.leave("Parallel", "Both")
    path = failed_parallel.succeed()
    assert [(s.state, s.parent, s.previous) for s in path.steps] == [
        ("Both", None, None),
        ("Left", 0, None),
        ("Right", 0, None),
        ("Left", 0, None),
        ("Right", 0, None),
    ]
    assert (path.steps[0].failure, path.steps[0].failures) == (None, [BUSY])
    inner = [("Both", "Left"), ("Both", "Right"), ("Left", "Both"), ("Right", "Both")]
    assert transition_counts([path]) == dict.fromkeys(inner, 2) | {(START, "Both"): 1, ("Both", END): 1}


def test_branch_without_an_end_event_ends_with_its_parallel_state():
    history = History()
    started = history.start("Parallel", "Both")
    left = history.enter("Fail", "Left", started)
    history.enter("Wait", "Right", started)
    history.add("ParallelStateFailed", None, left)
    history.leave("Parallel", "Both")
    history.visit("Pass", "After")
    assert [step.seconds for step in history.succeed().steps] == [5, 2, 1, 1]


def test_fail_state_in_a_branch_fails_its_parallel_state():
    history = History()
    started = history.start("Parallel", "Both")
    left = history.enter("Wait", "Left", started)
    right = history.enter("Fail", "Right", started)
    history.add("WaitStateAborted", None, left)
    history.add("ParallelStateFailed", None, right)
    assert failures(history.fail()) == [("Both", BUSY), ("Left", None), ("Right", BUSY)]


def test_execution_ended_externally_ends_its_innermost_step():
    history = History()
    history.start("Parallel", "Both")
    left = history.enter("Wait", "Left")
    history.add("WaitStateAborted", None, left)
    history.add("ParallelStateAborted", None, left)
    history.add("ExecutionAborted", {"error": "ENOUGH"})
    path = history.read("ABORTED", error="ENOUGH")
    assert ends(path) == [("Both", 4, None, 0, []), ("Left", 1, ENOUGH, 0, [])]


def test_task_aborted_during_a_retry_ends_with_the_abort():
    history = History()
    history.enter("Task", "A")
    history.attempt(FAILED)
    history.add("TaskScheduled", SCHEDULED)
    assert ends(history.read("RUNNING")) == [("A", None, None, 2, [BUSY])]
    history.add("ExecutionAborted", {"error": "ENOUGH"})
    stopped = history.read("ABORTED", error="ENOUGH", cause="for today")
    assert ends(stopped) == [("A", 5, Failure("ENOUGH", "for today"), 2, [BUSY])]


def test_inner_map_ends_in_the_outer_one():
    history = History()
    history.start("Map", "Outer")
    for index in (0, 1):
        history.add("MapIterationStarted", {"name": "Outer", "index": index})
        history.start("Map", "Inner")
        history.add("MapIterationStarted", {"name": "Inner", "index": 0})
        history.visit("Pass", "X")
        history.add("MapIterationSucceeded", {"name": "Inner", "index": 0})
        history.add("MapStateSucceeded")
        history.leave("Map", "Inner")
        history.add("MapIterationSucceeded", {"name": "Outer", "index": index})
    history.add("MapStateSucceeded")
    history.leave("Map", "Outer")
    history.visit("Pass", "After")
    path = history.succeed()
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


def test_inner_failure_fails_each_enclosing_state():
    history = History()
    for name in ("Outer", "Inner"):
        history.start("Parallel", name)
    history.enter("Task", "X")
    history.attempt(FAILED)
    history.add("ParallelStateFailed")
    history.add("ParallelStateFailed")
    history.leave("Parallel", "Outer")
    history.visit("Pass", "After")
    path = history.succeed()
    assert failures(path) == [("Outer", BUSY), ("Inner", BUSY), ("X", BUSY), ("After", None)]
    assert path.steps[1].seconds == 6


def test_failed_and_caught_map_has_its_error():
    history = History()
    history.enter("Map", "Each")
    history.add("MapRunStarted", {"mapRunArn": "arn:run"})
    history.add("MapRunFailed", {"error": "States.ExceedToleratedFailureThreshold"})
    history.add("MapStateFailed")
    history.leave("Map", "Each")
    history.visit("Pass", "After")
    expected = Failure("States.ExceedToleratedFailureThreshold", "")
    assert failures(history.succeed()) == [("Each", expected), ("After", None)]


def test_map_on_the_laptop_is_one_step_without_attempts():
    """Its tasks' events are in the history without the names of their states."""
    history = History(linked=False)
    history.enter("Map", "Each")
    for _ in range(3):
        history.attempt(FAILED)
    history.leave("Map", "Each")
    assert ends(history.succeed()) == [("Each", 10, None, 0, [])]


@pytest.mark.parametrize("entered_again", [True, False])
def test_redrive_resumes_the_failed_state(entered_again):
    history = History()
    history.visit("Pass", "A")
    history.enter("Task", "B")
    history.attempt(FAILED)
    history.add("ExecutionFailed", FAILED)
    history.add("ExecutionRedriven", {"redriveCount": 1})
    if entered_again:
        history.enter("Task", "B")
    history.attempt()
    history.leave("Task", "B")
    history.add("ExecutionSucceeded", {"output": "{}"})
    path = history.read(redriveCount=1)
    assert (states(path), path.redriven) == (["A", "B"], 1)
    assert (path.steps[1].attempts, path.steps[1].failure) == (2, None)
    assert transition_counts([path]) == {(START, "A"): 1, ("A", "B"): 1, ("B", END): 1}


def test_history_without_data_is_read():
    history = History()
    history.add("PassStateEntered", {"name": "A"})
    history.add("PassStateExited", {"name": "A"})
    history.add("ExecutionSucceeded", {})
    [step] = history.read().steps
    assert step.input is None


def test_express_execution_is_refused_without_a_request():
    client, _ = stubbed("stepfunctions")
    arn = ARN.replace(":execution:", ":express:") + ":0c9a"
    with pytest.raises(NoHistoryError, match=r"EXPRESS execution, .* read its logs"):
        read_path(client, arn)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("ExecutionDoesNotExist", ExecutionNotFoundError, ARN),
        ("InvalidArn", ExecutionNotFoundError, ARN),
        ("StateMachineTypeNotSupported", NoHistoryError, ARN),
        ("ThrottlingException", ClientError, "ThrottlingException"),
    ],
)
def test_refusal_of_step_functions_is_named(code, error, message):
    client, stub = stubbed("stepfunctions")
    stub.add_client_error("describe_execution", code, "no")
    with pytest.raises(error, match=message):
        read_path(client, ARN)
