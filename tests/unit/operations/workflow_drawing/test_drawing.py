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
