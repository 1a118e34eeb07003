"""What is read from a state machine's file: states, every transition, and what is wrong with it."""

import json

import pytest

from common.settings import ROOT
from operations.workflow_drawing.conditions import full_condition, short_condition
from operations.workflow_drawing.states import (
    END,
    START,
    NotAStateMachineError,
    Transition,
    read_definition,
)

FILES = sorted((ROOT / "statemachine").glob("*.asl.json"))


def write(folder, content):
    path = folder / "Machine.asl.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def machine(**states):
    return {"StartAt": next(iter(states)), "States": states}


def written_ways(content):
    """Every way in a file, read here in another manner: by walking through all of its objects."""
    for name, state in content["States"].items():
        for rule in [state, *state.get("Choices", []), *state.get("Catch", [])]:
            if "Next" in rule:
                yield name, rule["Next"]
        if "Default" in state:
            yield name, state["Default"]
        if state.get("End"):
            yield name, END
        if "ItemProcessor" in state:
            yield from written_ways(state["ItemProcessor"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_transition_of_our_machines_is_left_out(path):
    definition = read_definition(path)
    found = sorted((t.source, t.target) for t in definition.transitions)
    assert found == sorted(written_ways(json.loads(path.read_text())))


def test_our_machine_is_read_as_it_is_meant():
    definition = read_definition(ROOT / "statemachine" / "MyStateMachine.asl.json")
    assert definition.name == "MyStateMachine"
    assert definition.machine.start_at == "Locate Picture"
    assert definition.states["Record Prediction"].action == "DynamoDB putItem"
    assert definition.states["Image Classification"].action == "Lambda"
    assert definition.states["Wait For The Other Execution"].action == "waits 5 s"
    fails = definition.states["Threshold Confidence Not Met"]
    assert (fails.kind, fails.action) == ("Fail", "fails: THRESHOLD_CONFIDENCE_NOT_MET")
    assert definition.states["Workflow Failed"].action == "fails"  # its error is known when it runs
    catches = [t for t in definition.transitions if t.source == "Record Prediction"][1:]
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
    [(errors, attempts)] = definition.states["Confirm Review"].retries
    assert (errors[0], attempts) == ("DynamoDB.ThrottlingException", 3)


def test_states_inside_of_a_map_belong_to_it():
    definition = read_definition(ROOT / "statemachine" / "MyBatchStateMachine.asl.json")
    [outer] = definition.states["Classify Every Picture"].machines
    assert outer.start_at == "Classify Pictures"
    [inner] = outer.states["Classify Pictures"].machines
    assert set(inner.states) == {
        "Classify Picture",
        "Is Somebody Told",
        "Notify Failure",
        "Picture Done",
    }
    assert definition.states["Classify Every Picture"].action == "for each, distributed"
    assert {
        (START, "Take Input"),
        ("Classify Every Picture", "Classify Pictures"),  # an iteration begins
        ("Batch Done", "Classify Every Picture"),  # and ends
        ("Picture Done", "Classify Pictures"),
        ("Batch Finished", END),
    } <= definition.pairs
    assert ("Batch Done", END) not in definition.pairs


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "it has no object States"),
        ({"StartAt": "A"}, "it has no object States"),
        (machine(A={"Type": "Pass", "End": True}) | {"StartAt": "B"}, "StartAt is 'B'"),
        (machine(A={"Type": "Pass", "Next": "B"}), "'A' leads to 'B', which is not in the same States"),
        (machine(A={"Type": "Sleep", "End": True}), "'A' has no Type of"),
        (machine(A="Pass"), "'A' has no Type of"),
        (machine(A={"Type": "Map", "End": True}), "it has no object States"),
        (machine(A={"Type": "Choice", "Choices": ["B"]}), "is not a valid state machine"),
        (machine(A={"Type": "Task", "End": True, "Retry": [1]}), "is not a valid state machine"),
        (
            machine(
                A={
                    "Type": "Map",
                    "End": True,
                    "ItemProcessor": machine(A={"Type": "Pass", "End": True}),
                }
            ),
            "'A' is defined more than once",
        ),
    ],
)
def test_what_is_no_state_machine_is_refused_by_name(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(NotAStateMachineError, match=message) as caught:
        read_definition(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", [START, END])
@pytest.mark.parametrize("nested", [True, False])
def test_a_state_with_the_name_of_an_end_of_the_picture_is_refused(tmp_path, name, nested):
    content = machine(**{name: {"Type": "Pass", "End": True}})
    if nested:
        content = machine(A={"Type": "Map", "End": True, "ItemProcessor": content})
    path = write(tmp_path, content)
    with pytest.raises(
        NotAStateMachineError, match=f"the name '{name}' stands for an end of the execution: rename"
    ) as caught:
        read_definition(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(NotAStateMachineError, match=r"none\.json cannot be read: No such file"):
        read_definition(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"Condition": "{% $states.input.accepted = true %}"}, "accepted = true"),
        ({"Condition": "{% $not($exists($states.input.earlier)) %}"}, "no earlier"),
        ({"Condition": "{% true %}"}, "otherwise"),
        ({"Condition": "{% $x = 1 %}", "Comment": "it is one"}, "it is one"),
        ({"Variable": "$.n", "NumericGreaterThanEquals": 3}, "n ≥ 3"),
        ({"Variable": "$.n", "StringEqualsPath": "$.m"}, "n = m"),
        ({"Variable": "$.n", "StringMatches": "a*"}, 'n matches "a*"'),
        ({"Variable": "$.n", "IsPresent": False}, "n is not present"),
        ({"Not": {"Variable": "$.n", "BooleanEquals": True}}, "not (n = true)"),
        (
            {"Or": [{"Variable": "$.n", "IsNull": True}, {"Variable": "$.m", "IsString": True}]},
            "n is null or m is string",
        ),
    ],
)
def test_a_condition_is_said_in_few_words(rule, words):
    assert short_condition(rule | {"Next": "B"}) == words


def test_a_long_condition_is_cut_and_kept_in_full_beside():
    rule = {"Condition": "{% $states.input.a = 'b' and " + "$states.input.c = 'd' and " * 9 + "1 %}"}
    assert len(short_condition(rule)) <= 46
    assert short_condition(rule).startswith("a = 'b' and c = 'd'")
    assert short_condition(rule).endswith("…")
    assert full_condition(rule).count("$states.input.c") == 9


@pytest.mark.parametrize(
    ("resource", "does"),
    [
        ("arn:aws:states:::sqs:sendMessage.waitForTaskToken", "SQS sendMessage"),
        ("arn:aws:states:::aws-sdk:sfn:startSyncExecution", "Step Functions startSyncExecution"),
        ("arn:aws:states:::lambda:invoke", "Lambda"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:x", "Lambda"),
        ("arn:aws:states:eu-west-1:123456789012:activity:x", "activity"),
        ("${FunctionArn}", "task"),
    ],
)
def test_a_task_is_named_after_the_service_that_it_calls(tmp_path, resource, does):
    path = write(tmp_path, machine(A={"Type": "Task", "Resource": resource, "End": True}))
    assert read_definition(path).states["A"].action == does


def test_the_branches_of_a_parallel_state_are_machines_too(tmp_path):
    branches = [machine(B={"Type": "Pass", "End": True}), machine(C={"Type": "Fail"})]
    path = write(tmp_path, machine(A={"Type": "Parallel", "Branches": branches, "End": True}))
    definition = read_definition(path)
    assert [part.start_at for part in definition.states["A"].machines] == ["B", "C"]
    assert definition.pairs == {
        (START, "A"),
        ("A", END),
        ("A", "B"),
        ("A", "C"),
        ("B", "A"),
        ("C", "A"),
    }
