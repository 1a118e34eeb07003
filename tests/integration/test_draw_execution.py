"""Executions of the deployed workflow, drawn from the histories that the laptop's AWS keeps."""

import json
import sys
from collections import Counter

import pytest

from operations.workflow_drawing import ExecutionPath, draw, read_path, transition_counts
from operations.workflow_drawing.execution import Failure
from operations.workflow_drawing.history import ExecutionNotFoundError
from operations.workflow_drawing.states import END, START
from tests.integration.commands import run_command
from tests.integration.deployed_machines import BATCH as BATCH_MACHINE
from tests.integration.deployed_machines import altered, ended, entered, history, start
from tests.integration.laptop_aws import wait_until
from tests.integration.workflow_stack import BLACK, GREY, WHITE, Stack, execute, fault, put
from tests.unit.operations.workflow_drawing.builders import ACCEPTED, BATCH, REVIEW, SINGLE, states


def path_of(stack: Stack, arn: str) -> ExecutionPath:
    """Read an execution's path, as the command does."""
    return read_path(stack.aws.client("stepfunctions"), arn)


def test_accepted_picture_takes_the_main_path(stack):
    execution = execute(stack, put(stack, WHITE))
    path = path_of(stack, execution["executionArn"])
    assert states(path) == ACCEPTED
    assert (path.status, path.failure) == ("SUCCEEDED", None)
    assert path.machine == stack.outputs["StateMachineArn"].rsplit(":", 1)[-1]
    assert json.loads(path.steps[0].input or "") == json.loads(execution["input"])
    assert [step.attempts for step in path.steps] == [0, 1, 1, 1, 0, 1]
    seconds = [step.seconds or 0.0 for step in path.steps]
    assert min(seconds) >= 0
    assert 0 < sum(seconds) <= (path.seconds or 0.0)
    assert transition_counts([path])["Record Prediction", END] == 1


def test_picture_below_the_threshold_takes_the_path_to_review(stack):
    path = path_of(stack, execute(stack, put(stack, GREY))["executionArn"])
    assert states(path) == REVIEW
    failure = path.steps[-1].failure
    assert failure is not None
    assert failure == path.failure
    assert failure.error == "THRESHOLD_CONFIDENCE_NOT_MET"
    assert "is not accepted at threshold" in failure.cause


@pytest.mark.parity("states-history")
def test_path_contains_attempts_and_the_caught_error(healthy):
    fault(healthy, {"kind": "throttled", "calls": 2})
    busy = path_of(healthy, execute(healthy, put(healthy, WHITE))["executionArn"])
    assert states(busy) == ACCEPTED
    classified = busy.steps[2]
    assert (classified.attempts, classified.failure) == (3, None)
    assert [failure.error for failure in classified.failures] == ["EndpointBusyError"] * 2

    fault(healthy, {"kind": "gone"})
    gone = path_of(healthy, execute(healthy, put(healthy, WHITE))["executionArn"])
    assert states(gone) == [*ACCEPTED[:3], "Notify Failure", "Workflow Failed"]
    for step in (gone.steps[2], gone.steps[-1]):
        assert step.failure is not None
        assert step.failure.error == "EndpointNotFoundError"
    assert transition_counts([gone])["Image Classification", "Notify Failure"] == 1


def test_running_and_stopped_executions_are_drawn(stack):
    """The laptop's AWS continues the state of a stopped execution, and writes its events into the history."""
    wait = {"Type": "Wait", "Seconds": 6, "Next": "Serialize Image Data"}
    with altered(stack, {("Locate Picture",): wait}):
        arn = start(stack, put(stack, WHITE))
        wait_until(lambda: entered(stack, arn, "Locate Picture"))
        running = path_of(stack, arn)
        stack.aws.client("stepfunctions").stop_execution(executionArn=arn, error="ENOUGH", cause="for today")
        stopped = path_of(stack, arn)
        wait_until(lambda: history(stack, arn)[-1]["type"] != "ExecutionAborted", seconds=30)
        assert path_of(stack, arn) == stopped
    assert (running.status, running.steps[0].seconds) == ("RUNNING", None)
    assert transition_counts([running]) == {(START, "Locate Picture"): 1}
    assert "running" in draw(SINGLE, path=running, steps=True)
    assert (stopped.status, stopped.failure) == ("ABORTED", Failure("ENOUGH", "for today"))
    [step] = stopped.steps
    assert (step.state, step.failure) == ("Locate Picture", stopped.failure)
    assert (step.seconds or 0.0) <= (stopped.seconds or 0.0) < 6
    assert transition_counts([stopped])["Locate Picture", END] == 1
    assert "ABORTED" in draw(SINGLE, path=stopped, steps=True)


def test_command_draws_an_execution_and_lists_its_steps(stack, tmp_path):
    execution = execute(stack, put(stack, BLACK, "by-hand/drawn & listed.png"))
    out = tmp_path / "one.svg"
    command = (sys.executable, "-m", "operations.draw_workflow")
    options = ("--execution", execution["executionArn"], "--out", str(out))
    done = run_command(stack.aws, *command, *options, COLUMNS="200")
    assert done.stdout.startswith("SUCCEEDED after ")
    for name in ACCEPTED:
        assert name in done.stdout
    picture = out.read_text()
    assert "by-hand/drawn &amp; listed.png" in picture
    assert picture.count('class="wf-state wf-executed"') == len(ACCEPTED)


@pytest.mark.parity("states-history")
def test_unknown_execution_is_refused(stack):
    arn = stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:") + ":unknown"
    with pytest.raises(ExecutionNotFoundError, match=arn):
        path_of(stack, arn)


def test_batch_is_drawn_without_the_states_of_its_children(stack):
    prefix = "drawn-batch/"
    for number in range(3):
        put(stack, WHITE, f"{prefix}{number}.png")
    event = {"s3_bucket": stack.outputs["PicturesBucketName"], "prefix": prefix}
    path = path_of(stack, ended(stack, start(stack, event, BATCH_MACHINE))["executionArn"])
    assert path.status == "SUCCEEDED"
    assert states(path) == [
        "Take Input",
        "Are These Pictures",
        "Classify Every Picture",
        "Find Map Run",
        "Has Map Run",
        "Count Pictures Found",
        "Summarize",
        "Is Every Picture Accounted For",
        "Batch Finished",
    ]
    assert path.steps[2].attempts == 0
    picture = draw(BATCH, path=path, steps=True)
    assert 'class="wf-state" data-state="Notify Failure"' in picture  # not in the history, so not pale
    assert 'class="wf-state wf-off" data-state="Batch Stopped"' in picture


def test_transitions_of_all_executions_add_up(stack):
    stepfunctions = stack.aws.client("stepfunctions")
    for body in (WHITE, GREY, b"no picture"):
        execute(stack, put(stack, body))
    listed = stepfunctions.list_executions(stateMachineArn=stack.outputs["StateMachineArn"])
    paths = [read_path(stepfunctions, e["executionArn"]) for e in listed["executions"]]
    assert len(paths) >= 3
    counts = transition_counts(paths)
    entered_states, left_states = Counter[str](), Counter[str]()
    for (source, target), count in counts.items():
        left_states[source] += count
        entered_states[target] += count
    assert left_states[START] == entered_states[END] == len(paths)
    assert all(entered_states[name] == left_states[name] for name in SINGLE.states)
    assert f"From Start to Locate Picture: {len(paths)} times." in draw(SINGLE, counts=counts)
