"""Executions of the deployed workflow, drawn from the histories that the laptop's AWS keeps."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from common.settings import ROOT
from operations.draw_workflow import DEFINITION
from operations.workflow_drawing import (
    END,
    START,
    ExecutionPath,
    draw,
    read_definition,
    read_path,
    transition_counts,
)
from tests.integration.deployed_machines import BATCH, altered, ended, entered, history, start
from tests.integration.laptop_aws import wait_until
from tests.integration.workflow_stack import BLACK, GREY, WHITE, Stack, execute, fault, put

ONE = read_definition(DEFINITION)
MANY = read_definition(ROOT / "statemachine" / "MyBatchStateMachine.asl.json")
ACCEPTED = [
    "Locate Picture",
    "Serialize Image Data",
    "Image Classification",
    "Filter Low Confidence",
    "Is Accepted",
    "Record Prediction",
]
REVIEW = [*ACCEPTED[:-1], "Claim Review", "Send To Review", "Confirm Review", "Threshold Confidence Not Met"]


def path_of(stack: Stack, arn: str) -> ExecutionPath:
    """Read an execution's path, as the command does."""
    return read_path(stack.aws.client("stepfunctions"), arn)


def states(path: ExecutionPath) -> list[str]:
    """Return the names of a path's states in order."""
    return [step.state for step in path.steps]


def draw_command(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m operations.draw_workflow` as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "operations.draw_workflow", *arguments],
        cwd=ROOT,
        env=os.environ | stack.aws.env | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_accepted_picture_took_the_main_way(stack):
    execution = execute(stack, put(stack, WHITE))
    path = path_of(stack, execution["executionArn"])
    assert states(path) == ACCEPTED
    assert (path.status, path.error) == ("SUCCEEDED", None)
    assert path.machine == stack.outputs["StateMachineArn"].rsplit(":", 1)[-1]
    assert path.input == execution["input"]
    assert json.loads(path.output or "null") == json.loads(execution["output"])
    assert [step.attempts for step in path.steps] == [0, 1, 1, 1, 0, 1]
    seconds = [step.seconds or 0.0 for step in path.steps]
    assert min(seconds) >= 0
    assert 0 < sum(seconds) <= (path.seconds or 0.0)
    assert transition_counts([path])["Record Prediction", END] == 1


def test_picture_below_the_threshold_takes_the_path_to_review(stack):
    path = path_of(stack, execute(stack, put(stack, GREY))["executionArn"])
    assert states(path) == REVIEW
    assert path.steps[-1].error == path.error == "THRESHOLD_CONFIDENCE_NOT_MET"
    assert "is not accepted at threshold" in (path.steps[-1].cause or "")


@pytest.mark.parity("states-history")
def test_path_contains_attempts_and_the_caught_error(healthy):
    fault(healthy, {"kind": "throttled", "calls": 2})
    busy = path_of(healthy, execute(healthy, put(healthy, WHITE))["executionArn"])
    assert states(busy) == ACCEPTED
    asked = busy.steps[2]
    assert (asked.attempts, asked.error) == (3, None)
    assert [failure.error for failure in asked.failures] == ["EndpointBusyError"] * 2

    fault(healthy, {"kind": "gone"})
    gone = path_of(healthy, execute(healthy, put(healthy, WHITE))["executionArn"])
    assert states(gone) == [*ACCEPTED[:3], "Notify Failure", "Workflow Failed"]
    assert (gone.steps[2].error, gone.steps[-1].error) == ("EndpointNotFoundError",) * 2
    assert transition_counts([gone])["Image Classification", "Notify Failure"] == 1


def test_an_execution_that_runs_and_one_that_was_stopped_are_drawn(stack):
    wait = {"Type": "Wait", "Seconds": 60, "Next": "Serialize Image Data"}
    with altered(stack, {("Locate Picture",): wait}):
        arn = start(stack, put(stack, WHITE))
        wait_until(lambda: entered(stack, arn, "Locate Picture"))
        running = path_of(stack, arn)
        assert (running.status, running.steps[0].seconds) == ("RUNNING", None)
        assert transition_counts([running]) == {(START, "Locate Picture"): 1}
        stack.aws.client("stepfunctions").stop_execution(executionArn=arn, error="ENOUGH", cause="for today")
        stopped = path_of(stack, arn)
    assert (stopped.status, stopped.error) == ("ABORTED", "ENOUGH")
    assert transition_counts([stopped])["Locate Picture", END] == 1
    assert "running" in draw(ONE, path=running, steps=True)
    assert "ABORTED" in draw(ONE, path=stopped, steps=True)


def test_a_stopped_execution_ended_when_it_was_stopped(stack):
    """The laptop's AWS goes on for a while, and writes into the history what it does."""
    wait = {"Type": "Wait", "Seconds": 4, "Next": "Serialize Image Data"}
    with altered(stack, {("Locate Picture",): wait}):
        arn = start(stack, put(stack, WHITE))
        wait_until(lambda: entered(stack, arn, "Locate Picture"))
        stack.aws.client("stepfunctions").stop_execution(executionArn=arn, error="ENOUGH")
        before = path_of(stack, arn)
        wait_until(lambda: history(stack, arn)[-1]["type"] != "ExecutionAborted", seconds=30)
        after = path_of(stack, arn)
    assert before == after
    [step] = after.steps
    assert (step.state, step.error, step.output) == ("Locate Picture", "ENOUGH", None)
    assert (step.seconds or 0.0) <= (after.seconds or 0.0) < 4


def test_the_command_draws_an_execution_and_lists_its_steps(stack, tmp_path):
    execution = execute(stack, put(stack, BLACK, "by-hand/drawn & listed.png"))
    out = tmp_path / "one.svg"
    done = draw_command(stack, "--execution", execution["executionArn"], "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("SUCCEEDED after ")
    for name in ACCEPTED:
        assert name in done.stdout
    picture = out.read_text()
    assert "by-hand/drawn &amp; listed.png" in picture
    assert picture.count('class="wf-state wf-taken"') == len(ACCEPTED)


@pytest.mark.parity("states-history")
def test_the_command_refuses_what_it_cannot_draw(stack, tmp_path):
    out = str(tmp_path / "none.svg")
    arn = execute(stack, put(stack, BLACK))["executionArn"]
    unknown = draw_command(stack, "--execution", f"{arn}-never", "--out", out)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith(f"draw_workflow: There is no execution {arn}-never")
    batch = ROOT / "statemachine" / "MyBatchStateMachine.asl.json"
    other = draw_command(stack, "--execution", arn, "--definition", str(batch), "--out", out)
    assert other.returncode == 1
    assert "is not of the state machine MyBatchStateMachine" in other.stderr
    assert not (tmp_path / "none.svg").exists()


def test_a_batch_is_drawn_though_its_children_are_not_named(stack):
    prefix = "drawn-batch/"
    for number in range(3):
        put(stack, WHITE, f"{prefix}{number}.png")
    event = {"s3_bucket": stack.outputs["PicturesBucketName"], "prefix": prefix}
    path = path_of(stack, ended(stack, start(stack, event, BATCH))["executionArn"])
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
    picture = draw(MANY, path=path, steps=True)
    assert 'class="wf-state" data-state="Notify Failure"' in picture  # not execution, so not pale
    assert 'class="wf-state wf-off" data-state="Batch Stopped"' in picture


def test_all_executions_of_the_machine_add_up(stack):
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
    assert all(entered_states[name] == left_states[name] for name in ONE.states)
    assert f"From Start to Locate Picture: {len(paths)} times." in draw(ONE, counts=counts)


def test_an_express_execution_of_the_laptop_keeps_its_history(stack):
    """AWS keeps none; read_path refuses its ARN there (tests/unit)."""
    machines = stack.aws.client("stepfunctions").list_state_machines()["stateMachines"]
    [express] = [m["stateMachineArn"] for m in machines if m["type"] == "EXPRESS"]
    execution = stack.aws.client("stepfunctions", inject_host_prefix=False).start_sync_execution(
        stateMachineArn=express, input=json.dumps(put(stack, WHITE))
    )
    assert states(path_of(stack, execution["executionArn"])) == ACCEPTED
