"""The picture of a state machine: complete, readable, and always the same."""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import timedelta

import pytest

from operations import draw_workflow
from operations.workflow_drawing import draw, read_definition, transition_counts
from operations.workflow_drawing.execution import Failure
from operations.workflow_drawing.overlay import OtherStateMachineError
from operations.workflow_drawing.states import END, START
from tests.unit.operations.workflow_drawing.builders import (
    ACCEPTED,
    BATCH,
    BEGAN,
    CYCLE,
    DEFINITIONS,
    PASS,
    REVIEW,
    SINGLE,
    failed_step,
    machine,
    path_of,
    write,
)

MAX_WIDTH = 900  # pixels: a README shows about 800, and letters are 12

SVG = "{http://www.w3.org/2000/svg}"

EACH_DEFINITION = pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)


def pair(element):
    """Return the states that an arrow, or its label, is between."""
    return element.get("data-from", ""), element.get("data-to", "")


class Picture:
    """A drawn SVG, parsed: its states, arrows, numbers and texts."""

    def __init__(self, text):
        self.root = ET.fromstring(text)  # noqa: S314  it is our own
        self.elements = list(self.root.iter())
        self.states = {e.get("data-state"): e for e in self.elements if "data-state" in e.attrib}
        self.arrows = [e for e in self.elements if "data-kind" in e.attrib]
        self.texts = [e.text or "" for e in self.root.iter(f"{SVG}text")]
        self.numbers = {
            pair(e): number.text
            for e in self.elements
            if "data-from" in e.attrib
            for number in e
            if number.get("class") == "wf-number"
        }

    def kinds(self):
        """Return (from, to, kind) of every transition, without the arrows from the start."""
        kinds = [(*pair(arrow), kind) for arrow in self.arrows for kind in arrow.get("data-kind", "").split()]
        return [transition for transition in kinds if transition[2] != "start"]


def classes(element):
    return set(element.get("class", "").split())


@EACH_DEFINITION
def test_picture_contains_every_state_and_every_transition(definition):
    picture = Picture(draw(definition))
    assert set(picture.states) == set(definition.states)
    # A state in a Map in a Map is listed under the outer one first, and then under the inner one.
    parent = {inner.name: name for name, state in definition.states.items() for inner in state.inner_states()}
    expected = Counter(
        (t.source, parent.get(t.source, END) if t.target == END else t.target, t.kind) for t in definition.transitions
    )
    assert Counter(picture.kinds()) == expected
    starts = [pair(arrow) for arrow in picture.arrows if arrow.get("data-kind") == "start"]
    assert (START, definition.machine.start_at) in starts


@EACH_DEFINITION
@pytest.mark.parametrize("count", [None, 1, 123_456])
def test_picture_fits_the_width_of_a_readme(definition, count):
    counts = None if count is None else dict.fromkeys(definition.pairs, count)
    assert float(Picture(draw(definition, counts=counts)).root.get("width", "")) <= MAX_WIDTH


def test_every_shape_has_a_plain_color_for_viewers_without_css():
    """A PDF or an image viewer draws a shape black if only a rule or a variable colors it."""
    text = draw(SINGLE, counts=dict.fromkeys(SINGLE.pairs, 1))
    assert "var(" not in text
    for element in Picture(text).elements:
        if element.tag in {f"{SVG}path", f"{SVG}polygon", f"{SVG}ellipse", f"{SVG}polyline"}:
            assert {"fill", "stroke"} <= set(element.attrib)
        elif element.tag == f"{SVG}text":
            assert element.get("fill", "").startswith("#")


def test_counts_mark_executed_transitions_only():
    counts = transition_counts([path_of(*ACCEPTED)] * 182 + [path_of(*REVIEW)] * 18)
    picture = Picture(draw(SINGLE, counts=counts))
    assert picture.numbers == {key: str(count) for key, count in counts.items()}
    executed = [arrow for arrow in picture.arrows if "wf-executed" in classes(arrow)]
    assert set(map(pair, executed)) == set(counts) - {("Threshold Confidence Not Met", END)}
    assert all("wf-off" in classes(arrow) for arrow in picture.arrows if arrow not in executed)
    assert "wf-off" in classes(picture.states["Notify Failure"])
    assert "wf-executed" in classes(picture.states["Threshold Confidence Not Met"])


@EACH_DEFINITION
def test_each_count_is_on_its_own_arrow_and_in_the_description(definition):
    counts = {key: 1000 + number for number, key in enumerate(sorted(definition.pairs))}
    text = draw(definition, counts=counts)
    assert Picture(text).numbers == {key: f"{count:,}" for key, count in counts.items()}
    for (source, target), count in counts.items():
        assert f"From {source} to {target}: {count:,} times" in text


@pytest.mark.parametrize(
    ("after_errors", "text"),
    [
        (None, "also after any error"),
        ({}, "none of them after any error"),
        ({("Confirm Review", "Threshold Confidence Not Met"): 2}, "2 of them after any error"),
    ],
)
def test_arrow_for_success_and_errors_has_the_number_of_errors(after_errors, text):
    transition = ("Confirm Review", "Threshold Confidence Not Met")
    svg = draw(SINGLE, counts=transition_counts([path_of(*REVIEW)] * 73), after_errors=after_errors)
    picture = Picture(svg)
    [label] = [e for e in picture.elements if "wf-label" in classes(e) and pair(e) == transition]
    lines = sorted((e for e in label if e.text), key=lambda e: float(e.get("y", "")))
    assert " ".join(e.text or "" for e in lines) == f"73 {text}"
    # Release Claim was never entered.
    assert picture.texts.count("also after any error") == (1 if after_errors is not None else 2)
    assert "Send To Review leads to Release Claim after any error." in svg
    errors = ", 2 of them after an error." if after_errors else "."
    assert f"From Confirm Review to Threshold Confidence Not Met: 73 times{errors}" in svg


def test_aborted_executions_are_counted_in_their_last_state():
    path = path_of(*ACCEPTED[:3], status="ABORTED")
    assert Picture(draw(SINGLE, counts=transition_counts([path] * 7))).texts.count("7") == 4


def test_path_is_drawn_with_times_attempts_and_errors():
    failure = Failure("EndpointGoneError", "no such endpoint")
    changes = failed_step(failure, 9) | {"ended": BEGAN + timedelta(seconds=2 + 83)}
    path = path_of(
        *ACCEPTED[:3],
        "Notify Failure",
        "Workflow Failed",
        changes={"Image Classification": changes},
        status="FAILED",
        failure=failure,
    )
    picture = Picture(draw(SINGLE, path=path, steps=True))
    assert {
        "1 min 23 s · 9 attempts",
        "EndpointGoneError",
        "EndpointGoneError: no such endpoint",  # in the list below
        'input {"s3_key": "a.png"}',
        "08:00:00.000",
        "08:00:04.000",
    } <= set(picture.texts)
    assert any(t.startswith("FAILED after 5 s with EndpointGoneError: no such") for t in picture.texts)
    assert classes(picture.states["Image Classification"]) == {"wf-state", "wf-executed", "wf-failed"}
    assert classes(picture.states["Locate Picture"]) == {"wf-state", "wf-executed"}
    assert classes(picture.states["Record Prediction"]) == {"wf-state", "wf-off"}
    caught = next(e for e in picture.elements if pair(e) == ("Image Classification", "Notify Failure"))
    assert {"wf-executed", "wf-catch"} <= classes(caught)


def test_steps_of_a_cycle_are_numbered_on_its_arrows():
    path = path_of(*ACCEPTED, *CYCLE * 4, *CYCLE[:2], "Already Decided")
    texts = Picture(draw(SINGLE, path=path)).texts
    assert "8, 11, 14 +2" in texts  # Which Outcome, from Read Earlier Outcome
    assert "10, 13, 16 +1" in texts  # and back from the wait
    assert "5 s · 5 visits" in texts


def test_running_execution_is_marked_in_its_state():
    path = path_of(*ACCEPTED[:2], changes={ACCEPTED[1]: {"ended": None}}, status="RUNNING", stopped=None)
    texts = Picture(draw(SINGLE, path=path, steps=True)).texts
    assert texts.count("running") == 2
    assert any(text.startswith("RUNNING; started 2026-11-23 08:00:00") for text in texts)


def test_long_path_is_listed_by_its_first_and_last_steps():
    path = path_of(*ACCEPTED, *CYCLE * 100)
    svg = draw(SINGLE, path=path, steps=True)
    texts = Picture(svg).texts
    assert "246 more steps" in texts
    assert {"1", "30", "277", "306"} <= set(texts)
    assert "31" not in texts
    description = svg.split("<desc")[1].split("</desc>")[0]
    assert "246 more, " in description
    assert len(description) < 3000


def test_states_that_a_history_omits_are_neither_executed_nor_pale():
    counts = {
        (START, "Take Input"): 1,
        ("Take Input", "Are These Pictures"): 1,
        ("Are These Pictures", "Classify Every Picture"): 1,
    }
    picture = Picture(draw(BATCH, counts=counts))
    assert classes(picture.states["Classify Every Picture"]) == {"wf-state", "wf-executed"}
    assert classes(picture.states["Notify Failure"]) == {"wf-state"}
    assert classes(picture.states["Batch Stopped"]) == {"wf-state", "wf-off"}
    inner = {e.get("class") for e in picture.elements if pair(e)[0] == "Classify Picture"}
    assert inner == {"wf-arrow", "wf-label"}


def test_child_of_a_distributed_map_is_drawn_inside_of_it():
    counts = {
        (START, "Classify Pictures"): 3,
        ("Classify Pictures", "Count Outcomes"): 3,
        ("Count Outcomes", END): 3,  # ended from outside
    }
    picture = Picture(draw(BATCH, counts=counts))
    assert picture.texts.count("3") == 3
    assert "wf-executed" in classes(picture.states["Count Outcomes"])
    assert classes(picture.states["Take Input"]) == {"wf-state", "wf-off"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": path_of("Locate Picture", "Image Classification")},
        {"counts": {("Take Input", "Are These Pictures"): 1}},
        {"counts": {(START, "Is Accepted"): 1}},
    ],
)
def test_execution_of_another_machine_is_refused(arguments):
    with pytest.raises(OtherStateMachineError, match="not of the state machine MyStateMachine"):
        draw(SINGLE, **arguments)


def test_names_are_escaped(tmp_path):
    name = '</title><script>alert("&")</script>'
    definition = read_definition(write(tmp_path, machine(**{name: PASS | {"Comment": name}})))
    text = draw(definition, counts={(START, name): 1})
    assert set(Picture(text).states) == {name}
    assert "<script" not in text


# A terminal's escape sequences, what XML cannot contain, and half of a surrogate pair.
UNPRINTABLE = pytest.mark.parametrize(
    "text", ["\x1b[31mred", "\x9b31mred", "a\x00\x01b", "\x7f", "\uffff", "\ufffe", "\ud800"], ids=ascii
)


@UNPRINTABLE
def test_unprintable_text_of_an_execution_is_replaced(text):
    failure = Failure(text, text)
    changes = {
        ACCEPTED[1]: {"failure": failure, "input": text},
        ACCEPTED[2]: {"failure": Failure("E", json.dumps(text)), "input": json.dumps({"key": text})},
    }
    path = path_of(*ACCEPTED[:3], changes=changes, status="FAILED", failure=failure)
    svg = draw(SINGLE, path=path, steps=True)
    assert set(Picture(svg.encode()).states) == set(SINGLE.states)
    assert not set("\x00\x01\x1b\x7f\x9b\uffff\ufffe\ud800") & set(svg)
    assert "\N{REPLACEMENT CHARACTER}" in svg


@UNPRINTABLE
def test_unprintable_text_of_a_definition_is_replaced(tmp_path, text):
    states = {
        f"A{text}": {"Type": "Task", "Comment": text, "Next": "B", "Catch": [{"ErrorEquals": [text], "Next": "B"}]},
        "B": {"Type": "Fail", "Error": text},
    }
    definition = read_definition(write(tmp_path, machine(**states)))
    counts = {(START, f"A{text}"): 1, (f"A{text}", "B"): 1}
    assert len(Picture(draw(definition, counts=counts).encode()).states) == 2


@pytest.mark.parametrize(
    "states",
    [
        {"A": {"Type": "Succeed"}},
        {"A": {"Type": "Fail", "Error": "X" * 90}},  # no good end, and a long word
        {"A": {"Type": "Pass", "Next": "A"}},  # leads to itself, and never ends
        {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Wait", "Seconds": 1, "Next": "A"}},
        {"A": PASS, "B": {"Type": "Pass", "Next": "B"}},  # not reached
        {
            "A": {"Type": "Task", "Next": "B", "Catch": [{"ErrorEquals": ["E"], "Next": "C"}]},
            "C": {"Type": "Pass", "Next": "A"},
            "B": {"Type": "Task", "End": True, "Catch": [{"ErrorEquals": ["E"], "Next": "C"}]},
        },
        {"A": {"Type": "Parallel", "End": True, "Branches": [machine(**{name: PASS}) for name in "BCD"]}},
    ],
)
def test_unusual_machine_is_drawn_completely(tmp_path, states):
    definition = read_definition(write(tmp_path, machine(**states)))
    picture = Picture(draw(definition))
    assert set(picture.states) == set(definition.states)
    assert len(picture.kinds()) == len(definition.transitions)


def test_large_machine_is_drawn_in_bounded_time(tmp_path):
    """Sixty states in a row, every third a Choice of two and all others with a Catch."""
    states = {}
    for n in range(60):
        rest = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Bad"}]}
        states[f"S{n}"] = {"Type": "Task", "Next": f"S{n + 1}" if n < 59 else "Good", **rest}
        if n % 3 == 0 and n < 57:
            rule = {"Condition": "{% $x %}", "Next": f"S{n + 3}"}
            states[f"S{n}"] = {"Type": "Choice", "Choices": [rule], "Default": f"S{n + 1}"}
    states |= {"Good": {"Type": "Succeed"}, "Bad": {"Type": "Fail"}}
    definition = read_definition(write(tmp_path, machine(**states)))
    assert set(Picture(draw(definition)).states) == set(states)


def test_picture_works_alone_and_inside_of_a_page():
    text = draw(SINGLE)
    picture = Picture(text)
    assert picture.root.get("role") == "img"
    labels = {picture.root.get(name) for name in ("aria-labelledby", "aria-describedby")}
    assert {e.get("id") for e in picture.elements if "id" in e.attrib} == labels
    assert "@media (prefers-color-scheme: dark)" in text
    css = text.split("<style>")[1].split("</style>")[0]
    selectors = re.findall(r"^\s*([^@{}\n]+) \{", css, re.MULTILINE)
    assert selectors
    assert all(part.strip().startswith(".wf") for line in selectors for part in line.split(","))
    assert min(float(e.attrib["font-size"]) for e in picture.elements if "font-size" in e.attrib) >= 12
    assert not re.findall(r"""(?:href|src|url)\s*[=(]""", text)  # requests nothing


def test_pictures_of_one_page_have_different_ids():
    pictures = [draw(SINGLE), draw(SINGLE, counts={}), draw(SINGLE, path=path_of(*ACCEPTED))]
    ids = [re.findall(r' id="([^"]+)"', picture) for picture in pictures]
    assert len({one for found in ids for one in found}) == 6


@pytest.mark.parametrize("picture", draw_workflow.DOCS, ids=lambda path: path.name)
def test_documentation_picture_is_current(picture):
    assert picture.read_text(encoding="utf-8") == draw(read_definition(draw_workflow.DOCS[picture])), (
        "it is stale: run `python -m operations.draw_workflow --write-docs`"
    )
