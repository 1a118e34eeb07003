"""Reading the file of a state machine: states, transitions and errors."""

import json

import pytest

from operations.workflow_drawing.states import (
    END,
    START,
    NotAStateMachineError,
    Transition,
    full_condition,
    read_definition,
    short_condition,
)
from tests.unit.operations.workflow_drawing.builders import BATCH, FILES, PASS, SINGLE, machine, write


def map_of(content):
    return machine(A={"Type": "Map", "End": True, "ItemProcessor": content})


def find_transitions(content):
    """Yield all transitions of a file, found independently of the tested code."""
    for name, state in content["States"].items():
        for rule in [state, *state.get("Choices", []), *state.get("Catch", [])]:
            if "Next" in rule:
                yield name, rule["Next"]
        if "Default" in state:
            yield name, state["Default"]
        if state.get("End"):
            yield name, END
        if "ItemProcessor" in state:
            yield from find_transitions(state["ItemProcessor"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_all_transitions_of_the_project_are_read(path):
    definition = read_definition(path)
    found = sorted((t.source, t.target) for t in definition.transitions)
    assert found == sorted(find_transitions(json.loads(path.read_text())))


def test_workflow_is_read_with_actions_catches_and_retries():
    assert SINGLE.name == "MyStateMachine"
    assert SINGLE.machine.start_at == "Locate Picture"
    assert SINGLE.states["Record Prediction"].action == "DynamoDB putItem"
    assert SINGLE.states["Image Classification"].action == "Lambda"
    assert SINGLE.states["Wait For The Other Execution"].action == "waits 5 s"
    fails = SINGLE.states["Threshold Confidence Not Met"]
    assert (fails.kind, fails.action) == ("Fail", "fails: THRESHOLD_CONFIDENCE_NOT_MET")
    assert SINGLE.states["Workflow Failed"].action == "fails"  # its error is known when it runs
    catches = [t for t in SINGLE.transitions if t.source == "Record Prediction"][1:]
    assert catches == [
        Transition(
            "Record Prediction",
            "Read Earlier Outcome",
            "catch",
            "conditional check failed",
            "DynamoDB.ConditionalCheckFailedException",
        ),
        Transition("Record Prediction", "Notify Failure", "catch", "any error", "States.ALL"),
    ]
    [(errors, attempts)] = SINGLE.states["Confirm Review"].retries
    assert (errors[0], attempts) == ("DynamoDB.ThrottlingException", 3)


def test_states_inside_of_a_map_belong_to_it():
    [outer] = BATCH.states["Classify Every Picture"].machines
    assert outer.start_at == "Classify Pictures"
    [inner] = outer.states["Classify Pictures"].machines
    assert set(inner.states) == {"Classify Picture", "Is Somebody Told", "Notify Failure", "Picture Done"}
    assert BATCH.states["Classify Every Picture"].action == "for each, distributed"
    assert {
        (START, "Take Input"),
        ("Classify Every Picture", "Classify Pictures"),  # an iteration begins
        ("Batch Done", "Classify Every Picture"),  # and ends
        ("Picture Done", "Classify Pictures"),
        ("Batch Finished", END),
    } <= BATCH.pairs
    assert ("Batch Done", END) not in BATCH.pairs


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "it has no object States"),
        ({"StartAt": "A"}, "it has no object States"),
        (machine(A=PASS) | {"StartAt": "B"}, "StartAt is 'B'"),
        (machine(A={"Type": "Pass", "Next": "B"}), "'A' leads to 'B', which is not in the same States"),
        (machine(A={"Type": "Sleep", "End": True}), "'A' has no Type of"),
        (machine(A="Pass"), "'A' has no Type of"),
        (machine(A={"Type": "Map", "End": True}), "it has no object States"),
        (machine(A={"Type": "Choice", "Choices": ["B"]}), "is not a valid state machine"),
        (machine(A={"Type": "Task", "End": True, "Retry": [1]}), "is not a valid state machine"),
        (map_of(machine(A=PASS)), "'A' is defined more than once"),
        (machine(Start=PASS), "the name 'Start' stands for an end of the execution: rename"),
        (map_of(machine(Start=PASS)), "the name 'Start' stands for an end of the execution: rename"),
        (machine(End=PASS), "the name 'End' stands for an end of the execution: rename"),
        (map_of(machine(End=PASS)), "the name 'End' stands for an end of the execution: rename"),
    ],
)
def test_invalid_state_machine_is_refused(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(NotAStateMachineError, match=message) as caught:
        read_definition(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        ({"Condition": "{% $states.input.accepted = true %}"}, "accepted = true"),
        ({"Condition": "{% $not($exists($states.input.earlier)) %}"}, "no earlier"),
        ({"Condition": "{% true %}"}, "otherwise"),
        ({"Condition": "{% $x = 1 %}", "Comment": "it is one"}, "it is one"),
        ({"Variable": "$.n", "NumericGreaterThanEquals": 3}, "n ≥ 3"),
        ({"Variable": "$.n", "StringEqualsPath": "$.m"}, "n = m"),
        ({"Not": {"Variable": "$.n", "IsPresent": False}}, "not (n is not present)"),
        (
            {"Or": [{"Variable": "$.n", "IsNull": True}, {"Variable": "$.m", "IsString": True}]},
            "n is null or m is string",
        ),
    ],
)
def test_condition_is_abbreviated(rule, label):
    assert short_condition(rule | {"Next": "B"}) == label


def test_long_condition_is_shortened_and_kept_in_full():
    rule = {"Condition": "{% $states.input.a = 'b' and " + "$states.input.c = 'd' and " * 9 + "1 %}"}
    assert len(short_condition(rule)) <= 46
    assert short_condition(rule).startswith("a = 'b' and c = 'd'")
    assert short_condition(rule).endswith("…")
    assert full_condition(rule).count("$states.input.c") == 9


@pytest.mark.parametrize(
    ("resource", "action"),
    [
        ("arn:aws:states:::sqs:sendMessage.waitForTaskToken", "SQS sendMessage"),
        ("arn:aws:states:::aws-sdk:sfn:startSyncExecution", "Step Functions startSyncExecution"),
        ("arn:aws:states:::lambda:invoke", "Lambda"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:x", "Lambda"),
        ("arn:aws:states:eu-west-1:123456789012:activity:x", "activity"),
        ("${FunctionArn}", "task"),
    ],
)
def test_action_of_a_task_is_its_service(tmp_path, resource, action):
    path = write(tmp_path, machine(A={"Type": "Task", "Resource": resource, "End": True}))
    assert read_definition(path).states["A"].action == action


def test_branches_of_a_parallel_state_are_machines(tmp_path):
    branches = [machine(B=PASS), machine(C={"Type": "Fail"})]
    path = write(tmp_path, machine(A={"Type": "Parallel", "Branches": branches, "End": True}))
    definition = read_definition(path)
    assert [part.start_at for part in definition.states["A"].machines] == ["B", "C"]
    assert definition.pairs == {(START, "A"), ("A", END), ("A", "B"), ("A", "C"), ("B", "A"), ("C", "A")}
