"""The picture of a state machine: complete, readable, and always the same."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.settings import ROOT
from operations import draw_workflow
from operations.workflow_drawing import (
    END,
    START,
    ExecutionPath,
    Step,
    draw,
    read_definition,
    transition_counts,
)
from operations.workflow_drawing.execution import Failure
from operations.workflow_drawing.overlay import OtherStateMachineError

FILES = sorted((ROOT / "statemachine").glob("*.asl.json"))
MACHINES = {path.name.split(".")[0]: read_definition(path) for path in FILES}
ONE = MACHINES["MyStateMachine"]
BEGAN = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ACCEPTED = (
    "Locate Picture",
    "Serialize Image Data",
    "Image Classification",
    "Filter Low Confidence",
    "Is Accepted",
    "Record Prediction",
)
REVIEW = (*ACCEPTED[:-1], "Claim Review", "Send To Review", "Confirm Review", "Threshold Confidence Not Met")
WIDEST = 900  # pixels: a README shows about 800, and letters are 12

SVG = "{http://www.w3.org/2000/svg}"

EACH = pytest.mark.parametrize("definition", MACHINES.values(), ids=MACHINES)


def step(name, index, **fields):
    values: dict[str, Any] = {
        "kind": ONE.states[name].kind,
        "entered": BEGAN + timedelta(seconds=index),
        "seconds": 1.0,
        "attempts": 1,
        "failures": (),
        "error": None,
        "cause": None,
        "input": '{"s3_key": "a.png"}',
        "output": "{}",
        "previous": index - 1 if index else None,
        "parent": None,
    }
    return Step(state=name, **(values | fields))


def path_of(*names, changes=(), **fields):
    """An execution that went through these states; `changes` are fields of its steps by state."""
    changes = dict(changes)
    steps = tuple(step(name, i, **changes.get(name, {})) for i, name in enumerate(names))
    values: dict[str, Any] = {
        "arn": "arn:aws:states:eu-west-1:123456789012:execution:MyStateMachine:one",
        "machine": "MyStateMachine",
        "status": "SUCCEEDED",
        "started": BEGAN,
        "stopped": BEGAN + timedelta(seconds=len(names)),
        "redriven": 0,
        "input": "{}",
        "output": "{}",
        "error": None,
        "cause": None,
    }
    return ExecutionPath(steps=steps, **(values | fields))


def made(tmp_path, states, start=None):
    file = tmp_path / "Made.asl.json"
    file.write_text(json.dumps({"StartAt": start or next(iter(states)), "States": states}))
    return read_definition(file)


def attribute(element, name):
    """An element's attribute, empty where it has none."""
    return element.get(name, "")


def ends_of(element):
    """The states that an arrow, or what stands on it, is between."""
    return attribute(element, "data-from"), attribute(element, "data-to")


class Picture:
    """A drawn SVG taken apart: its states, arrows, numbers and texts."""

    def __init__(self, text):
        self.root = ET.fromstring(text)  # noqa: S314  it is our own
        self.width = float(attribute(self.root, "width"))
        self.states = {attribute(e, "data-state"): e for e in self.root.iter() if attribute(e, "data-state")}
        self.numbers = {
            ends_of(e): number.text
            for e in self.root.iter()
            if attribute(e, "data-from")
            for number in e
            if attribute(number, "class") == "wf-number"
        }

    def texts(self):
        return [e.text or "" for e in self.root.iter(f"{SVG}text")]

    def arrows(self):
        return [(*ends_of(e), attribute(e, "data-kind")) for e in self.root.iter() if attribute(e, "data-kind")]

    def classes(self, state):
        return set(attribute(self.states[state], "class").split())


def nested(definition, state):
    """Return the names of all states inside a state."""
    return [inner.name for inner in definition.states[state].inner_states()]


@EACH
def test_picture_contains_every_state_and_every_transition(definition):
    picture = Picture(draw(definition))
    assert set(picture.states) == set(definition.states)
    drawn = Counter(
        (source, target, kind)
        for source, target, kinds in picture.arrows()
        for kind in kinds.split()
        if kind != "start"
    )
    # A state in a Map in a Map is listed under the outer one first, and then under the inner one.
    parent = {name: s for s in definition.states for name in nested(definition, s)}
    expected = Counter(
        (t.source, parent.get(t.source, END) if t.target == END else t.target, t.kind) for t in definition.transitions
    )
    assert drawn == expected
    starts = [(source, target) for source, target, kinds in picture.arrows() if kinds == "start"]
    assert (START, definition.machine.start_at) in starts


@EACH
@pytest.mark.parametrize("count", [None, 1, 123_456])
def test_picture_fits_a_readme(definition, count):
    counts = None if count is None else dict.fromkeys(definition.pairs, count)
    assert Picture(draw(definition, counts=counts)).width <= WIDEST


def test_every_shape_has_a_plain_color_for_viewers_without_css():
    """A PDF or an image viewer draws black what is colored by a rule or a variable only."""
    text = draw(ONE, counts=dict.fromkeys(ONE.pairs, 1))
    assert "var(" not in text
    for element in Picture(text).root.iter():
        if element.tag in {f"{SVG}path", f"{SVG}polygon", f"{SVG}ellipse", f"{SVG}polyline"}:
            assert {"fill", "stroke"} <= set(element.attrib)
        elif element.tag == f"{SVG}text":
            assert attribute(element, "fill").startswith("#")


def test_counts_stand_on_their_arrows_and_on_no_others():
    counts = transition_counts([path_of(*ACCEPTED)] * 182 + [path_of(*REVIEW)] * 18)
    picture = Picture(draw(ONE, counts=counts))
    texts = Counter(picture.texts())
    # Start and three Next; accepted and its end; five on the way to review, and its end.
    assert (texts["200"], texts["182"], texts["18"]) == (5, 2, 5)
    arrows = [e for e in picture.root.iter() if attribute(e, "data-kind")]
    taken = {
        (attribute(e, "data-from"), attribute(e, "data-to")) for e in arrows if "wf-taken" in attribute(e, "class")
    }
    assert taken == {pair for pair in counts if pair != ("Threshold Confidence Not Met", END)}
    assert all("wf-off" in attribute(e, "class") for e in arrows if "wf-taken" not in attribute(e, "class"))
    assert "wf-off" in picture.classes("Notify Failure")
    assert "wf-taken" in picture.classes("Threshold Confidence Not Met")


@EACH
def test_each_number_stands_on_its_own_arrow(definition):
    counts = {pair: 1000 + number for number, pair in enumerate(sorted(definition.pairs))}
    picture = Picture(draw(definition, counts=counts))
    assert picture.numbers == {pair: f"{count:,}" for pair, count in counts.items()}


@pytest.mark.parametrize(
    ("after_errors", "words"),
    [
        (None, "also after any error"),
        ({}, "none of them after any error"),
        ({("Confirm Review", "Threshold Confidence Not Met"): 2}, "2 of them after any error"),
    ],
)
def test_an_arrow_for_success_and_errors_says_how_many_were_errors(after_errors, words):
    """Its number comes first: the words below are of some of them only."""
    pair = ("Confirm Review", "Threshold Confidence Not Met")
    text = draw(ONE, counts=transition_counts([path_of(*REVIEW)] * 73), after_errors=after_errors)
    picture = Picture(text)
    [label] = [e for e in picture.root.iter() if "wf-label" in attribute(e, "class") and ends_of(e) == pair]
    texts = sorted((e for e in label if e.text), key=lambda e: float(attribute(e, "y")))
    assert " ".join(e.text or "" for e in texts) == f"73 {words}"
    never = [e for e in picture.texts() if e == "also after any error"]
    assert len(never) == (1 if after_errors is not None else 2)  # Release Claim was never entered
    of_them = ", 2 of them after an error." if after_errors else "."
    assert f"From Confirm Review to Threshold Confidence Not Met: 73 times{of_them}" in text


def test_the_description_says_the_counts_in_words():
    text = draw(ONE, counts={(START, "Locate Picture"): 1234})
    assert "From Start to Locate Picture: 1,234 times." in text
    assert "Send To Review leads to Release Claim after any error." in text


def test_executions_that_were_ended_from_outside_are_counted_where_they_were():
    path = path_of(*ACCEPTED[:3], status="ABORTED")
    assert Counter(Picture(draw(ONE, counts=transition_counts([path] * 7))).texts())["7"] == 4


def test_a_path_is_painted_with_times_attempts_and_errors():
    failure = Failure("EndpointGoneError", "no such endpoint")
    path = path_of(
        *ACCEPTED[:3],
        "Notify Failure",
        "Workflow Failed",
        changes={
            "Image Classification": {
                "attempts": 9,
                "seconds": 83.0,
                "failures": (failure,) * 9,
                "error": failure.error,
                "cause": failure.cause,
            }
        },
        status="FAILED",
        error=failure.error,
        cause=failure.cause,
    )
    picture = Picture(draw(ONE, path=path, steps=True))
    texts = picture.texts()
    assert "1 min 23 s · 9 attempts" in texts
    assert "EndpointGoneError" in texts
    assert "EndpointGoneError: no such endpoint" in texts  # in the list below
    assert 'input {"s3_key": "a.png"}' in texts
    assert {"08:00:00.000", "08:00:04.000"} <= set(texts)
    assert any(t.startswith("FAILED after 5 s with EndpointGoneError: no such") for t in texts)
    assert picture.classes("Image Classification") == {"wf-state", "wf-taken", "wf-failed"}
    assert picture.classes("Locate Picture") == {"wf-state", "wf-taken"}
    assert picture.classes("Record Prediction") == {"wf-state", "wf-off"}
    caught = next(
        e
        for e in picture.root.iter()
        if attribute(e, "data-from") == "Image Classification" and attribute(e, "data-to") == "Notify Failure"
    )
    assert {"wf-taken", "wf-catch"} <= set(attribute(caught, "class").split())


def test_the_steps_of_a_circle_are_numbered_on_its_arrows():
    circle = ("Read Earlier Outcome", "Which Outcome", "Wait For The Other Execution")
    path = path_of(*ACCEPTED, *circle, *circle, *circle, *circle, *circle[:2], "Already Decided")
    texts = Picture(draw(ONE, path=path)).texts()
    assert "8, 11, 14 +2" in texts  # Which Outcome, from Read Earlier Outcome
    assert "10, 13, 16 +1" in texts  # and back from the wait
    assert "5 s · 5 visits" in texts


def test_a_running_execution_says_where_it_is():
    path = path_of(*ACCEPTED[:2], changes={ACCEPTED[1]: {"seconds": None}}, status="RUNNING", stopped=None)
    texts = Picture(draw(ONE, path=path, steps=True)).texts()
    assert texts.count("running") == 2
    assert any(text.startswith("RUNNING; started 2026-11-23 08:00:00") for text in texts)


def test_a_long_path_is_listed_by_its_beginning_and_its_end():
    names = ["Read Earlier Outcome", "Which Outcome", "Wait For The Other Execution"] * 100
    texts = Picture(draw(ONE, path=path_of(*ACCEPTED, *names), steps=True)).texts()
    assert "246 more steps" in texts
    assert {"1", "30", "277", "306"} <= set(texts)
    assert "31" not in texts
    described = draw(ONE, path=path_of(*ACCEPTED, *names)).split("<desc")[1].split("</desc>")[0]
    assert "246 more, " in described
    assert len(described) < 3000


def test_states_that_a_history_leaves_out_are_neither_taken_nor_pale():
    batch = MACHINES["MyBatchStateMachine"]
    counts = {
        (START, "Take Input"): 1,
        ("Take Input", "Are These Pictures"): 1,
        ("Are These Pictures", "Classify Every Picture"): 1,
    }
    picture = Picture(draw(batch, counts=counts))
    assert picture.classes("Classify Every Picture") == {"wf-state", "wf-taken"}
    assert picture.classes("Notify Failure") == {"wf-state"}
    assert picture.classes("Batch Stopped") == {"wf-state", "wf-off"}
    inner = {attribute(e, "class") for e in picture.root.iter() if attribute(e, "data-from") == "Classify Picture"}
    assert inner == {"wf-arrow", "wf-label"}


@pytest.mark.parametrize(
    "given",
    [
        {"path": path_of("Locate Picture", "Image Classification")},
        {"counts": {("Take Input", "Are These Pictures"): 1}},
        {"counts": {(START, "Is Accepted"): 1}},
    ],
)
def test_what_another_machine_did_is_refused(given):
    with pytest.raises(OtherStateMachineError, match="not of the state machine MyStateMachine"):
        draw(ONE, **given)


def test_counts_and_a_path_cannot_both_be_painted():
    with pytest.raises(ValueError, match="not both"):
        draw(ONE, counts={}, path=path_of(*ACCEPTED))


def test_counts_of_errors_belong_to_counts():
    with pytest.raises(ValueError, match="`after_errors` needs `counts`"):
        draw(ONE, after_errors={})


def test_names_are_text_and_never_markup(tmp_path):
    name = '</title><script>alert("&")</script>'
    definition = made(tmp_path, {name: {"Type": "Pass", "Comment": name, "End": True}})
    text = draw(definition, counts={(START, name): 1})
    assert set(Picture(text).states) == {name}
    assert "<script" not in text


# A terminal's escape sequences, what XML cannot hold, and half of a surrogate pair.
UNFIT = ("\x1b[31mred", "\x9b31mred", "a\x00\x01b", "\x7f", "\uffff", "\ufffe", "\ud800")


@pytest.mark.parametrize("unfit", UNFIT, ids=ascii)
def test_what_executions_did_is_well_formed_whatever_is_in_it(unfit):
    changes = {
        ACCEPTED[1]: {"error": unfit, "cause": unfit, "input": unfit},
        ACCEPTED[2]: {"input": json.dumps({"key": unfit}), "cause": json.dumps(unfit)},
    }
    path = path_of(*ACCEPTED[:3], changes=changes, status="FAILED", error=unfit, cause=unfit)
    text = draw(ONE, path=path, steps=True)
    assert set(Picture(text.encode()).states) == set(ONE.states)
    assert not set("\x00\x01\x1b\x7f\x9b\uffff\ufffe\ud800") & set(text)
    assert "\N{REPLACEMENT CHARACTER}" in text


@pytest.mark.parametrize("unfit", UNFIT, ids=ascii)
def test_a_definition_is_drawn_whatever_is_in_its_texts(tmp_path, unfit):
    states = {
        f"A{unfit}": {"Type": "Task", "Comment": unfit, "Next": "B", "Catch": [{"ErrorEquals": [unfit], "Next": "B"}]},
        "B": {"Type": "Fail", "Error": unfit},
    }
    definition = made(tmp_path, states)
    counts = {(START, f"A{unfit}"): 1, (f"A{unfit}", "B"): 1}
    assert len(Picture(draw(definition, counts=counts).encode()).states) == 2


@pytest.mark.parametrize(
    "states",
    [
        {"A": {"Type": "Succeed"}},
        {"A": {"Type": "Fail", "Error": "X" * 90}},  # no good end, and a long word
        {"A": {"Type": "Pass", "Next": "A"}},  # leads to itself, and never ends
        {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Wait", "Seconds": 1, "Next": "A"}},
        {"A": {"Type": "Pass", "End": True}, "B": {"Type": "Pass", "Next": "B"}},  # not reached
        {
            "A": {"Type": "Task", "Next": "B", "Catch": [{"ErrorEquals": ["E"], "Next": "C"}]},
            "C": {"Type": "Pass", "Next": "A"},
            "B": {"Type": "Task", "End": True, "Catch": [{"ErrorEquals": ["E"], "Next": "C"}]},
        },
        {
            "A": {
                "Type": "Parallel",
                "End": True,
                "Branches": [{"StartAt": n, "States": {n: {"Type": "Pass", "End": True}}} for n in "BCD"],
            }
        },
    ],
)
def test_odd_machines_are_drawn_completely_too(tmp_path, states):
    definition = made(tmp_path, states)
    picture = Picture(draw(definition))
    assert set(picture.states) == set(definition.states)
    assert sum(len(kinds.split()) for *_, kinds in picture.arrows() if kinds != "start") == len(definition.transitions)


def test_a_large_machine_is_drawn_in_bounded_time(tmp_path):
    """Sixty states in a row, every third with two ways on and all with a Catch."""
    states = {}
    for n in range(60):
        rest = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Bad"}]}
        states[f"S{n}"] = {"Type": "Task", "Next": f"S{n + 1}" if n < 59 else "Good", **rest}
        if n % 3 == 0 and n < 57:
            rule = {"Condition": "{% $x %}", "Next": f"S{n + 3}"}
            states[f"S{n}"] = {"Type": "Choice", "Choices": [rule], "Default": f"S{n + 1}"}
    states |= {"Good": {"Type": "Succeed"}, "Bad": {"Type": "Fail"}}
    assert set(Picture(draw(made(tmp_path, states))).states) == set(states)


def test_the_picture_is_right_alone_and_inside_of_a_page():
    text = draw(ONE)
    picture = Picture(text)
    assert attribute(picture.root, "role") == "img"
    ids = {attribute(e, "id") for e in picture.root.iter()} - {""}
    named = [attribute(picture.root, name) for name in ("aria-labelledby", "aria-describedby")]
    assert set(named) == ids
    assert "@media (prefers-color-scheme: dark)" in text
    css = text.split("<style>")[1].split("</style>")[0]
    selectors = re.findall(r"^\s*([^@{}\n]+) \{", css, re.MULTILINE)
    assert selectors
    assert all(part.strip().startswith(".wf") for line in selectors for part in line.split(","))
    sizes = [float(attribute(e, "font-size")) for e in picture.root.iter() if "font-size" in e.attrib]
    assert min(sizes) >= 12
    assert not re.findall(r"""(?:href|src|url)\s*[=(]""", text)  # asks for nothing


def test_pictures_of_one_page_have_names_of_their_own():
    pictures = [draw(ONE), draw(ONE, counts={}), draw(ONE, path=path_of(*ACCEPTED))]
    ids = [re.findall(r' id="([^"]+)"', picture) for picture in pictures]
    assert len({one for found in ids for one in found}) == 6


@pytest.mark.parametrize("picture", draw_workflow.DOCS, ids=lambda path: path.name)
def test_the_pictures_in_the_documentation_are_those_of_the_definitions(picture):
    assert picture.read_text(encoding="utf-8") == draw_workflow.docs_picture(draw_workflow.DOCS[picture]), (
        "it is stale: run `python -m operations.draw_workflow --write-docs`"
    )


def test_a_child_of_a_map_is_painted_inside_of_it():
    """On AWS each child of a Distributed Map is an execution of its own."""
    batch = MACHINES["MyBatchStateMachine"]
    counts = {
        (START, "Classify Pictures"): 3,
        ("Classify Pictures", "Count Outcomes"): 3,
        ("Count Outcomes", END): 3,  # ended from outside
    }
    picture = Picture(draw(batch, counts=counts))
    assert Counter(picture.texts())["3"] == 3
    assert "wf-taken" in picture.classes("Count Outcomes")
    assert picture.classes("Take Input") == {"wf-state", "wf-off"}


def test_the_same_picture_comes_out_of_another_process():
    """Neither random numbers nor the order of sets influence it."""
    script = (
        "import sys; from random import seed; seed(int(sys.argv[1]));"
        "from operations import draw_workflow as d;"
        "sys.stdout.write(d.docs_picture(d.DEFINITION))"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, "1"],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "1"},
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert process.stdout.decode() == draw(ONE)
