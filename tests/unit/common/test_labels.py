"""Labels and the questions that they answer: how they are read, and how damaged ones are reported."""

import json
import re

import pytest

from common.labels.label import (
    NEITHER,
    LabelError,
    QuestionError,
    is_label_key,
    label_key,
    now,
    read_label,
    read_message,
)
from common.s3_picture import S3Picture
from common.settings import ROOT
from tests.unit.operations.review_backend import body, label, question

# `printf b/k | sha256sum`
SHA_256_OF_B_K = "710800c9e207017de17bae08517e6f4be26fb0ada2b05edb083c85538fb0c0ac"


def field_names(value, assigned):
    """Return the names in a JSONata object, or in the objects that its variables were assigned."""
    if isinstance(value, dict):
        return set(value)
    variables = set(re.findall(r"\$(\w+)", value)) & set(assigned)
    return set(re.findall(r"'(\w+)': ", value)).union(*(field_names(assigned[name], assigned) for name in variables))


def test_message_of_the_workflow_has_the_fields_of_the_tests():
    states = json.loads((ROOT / "statemachine/MyStateMachine.asl.json").read_text())["States"]
    assigned = {name: value for state in states.values() for name, value in state.get("Assign", {}).items()}
    written = states["Send To Review"]["Arguments"]["MessageBody"]
    assert field_names(written, assigned) == set(json.loads(body()))


def test_message_is_read_with_the_models_answer():
    asked = question(7)
    assert asked.picture == S3Picture("pictures", "inbox/7.png", "v7")
    assert (asked.guess, asked.confidence, asked.threshold) == ("bicycle", 0.625, 0.9)
    assert asked.probabilities() == [("bicycle", 0.625), ("motorcycle", 0.375)]


@pytest.mark.parametrize("inferences", [None, [0.5], "?", [1, None], [10**400, 0]], ids=str)
def test_unusable_probabilities_are_left_out(inferences):
    assert question(inferences=inferences).probabilities() == [("bicycle", None), ("motorcycle", None)]


@pytest.mark.parametrize(
    ("changes", "class_names", "confidence"),
    [
        ({"class_names": None}, ("bicycle",), 0.625),
        ({"class_names": [], "label": None}, (), 0.625),
        ({"class_names": [3], "confidence": "high", "threshold": True}, ("bicycle",), None),
        ({"confidence": 10**400}, ("bicycle", "motorcycle"), None),
    ],
    ids=["no classes", "no guess either", "wrong types", "huge number"],
)
def test_unusable_fields_are_left_out(changes, class_names, confidence):
    asked = question(**changes)
    assert (asked.class_names, asked.confidence) == (class_names, confidence)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *[(text, "names no picture") for text in ("", "not JSON", "[1]", '{"s3_bucket": "b"}')],
        *[(body(**changes), "names no picture") for changes in ({"s3_key": ""}, {"s3_bucket": 5})],
        (body(s3_key="\ud800"), "not Unicode"),  # a lone surrogate, which JSON can spell
        (body(s3_version_id="\udfff"), "not Unicode"),
        (body(label="\ud800", class_names=None), "not Unicode"),
        (body(class_names=["neither", "bicycle"]), "class 'neither' is reserved"),
        (body(class_names=None, label="neither"), "class 'neither' is reserved"),
    ],
    ids=ascii,
)
def test_message_without_an_answerable_question_is_an_error(text, reason):
    with pytest.raises(QuestionError, match=reason) as raised:
        read_message(text)
    str(raised.value).encode()  # it is printed


@pytest.mark.parametrize(
    "one",
    [
        label(3, "motorcycle"),
        label(3, NEITHER, s3_version_id=None, inferences=None, endpoint_name=None, confidence=None),
        label(4, "bicycle", s3_key="inbox/ümläut \n.png"),
    ],
)
def test_label_is_read_as_written(one):
    assert read_label(one.body(), "x") == one
    assert json.loads(one.body())["decided_by"] == "ada"


def test_each_version_has_its_own_label_key():
    folder = f"review-labels/{SHA_256_OF_B_K}"
    names = [label_key(S3Picture("b", "k", version)) for version in ("1", "2", None)]
    assert names == [f"{folder}/1.json", f"{folder}/2.json", f"{folder}/null.json"]
    assert all(is_label_key(name) for name in names)


@pytest.mark.parametrize(
    "key",
    [
        "review-labels/notes.txt",
        "review-labels/x/1.json",
        f"review-labels/{SHA_256_OF_B_K}/1.json.bak",
        f"review-labels/{SHA_256_OF_B_K}/more/1.json",
        f"labels/{SHA_256_OF_B_K}/1.json",
        f"review-labels/backup/review-labels/{SHA_256_OF_B_K}/1.json",
    ],
)
def test_other_keys_are_not_labels(key):
    assert not is_label_key(key)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "Expecting"),
        (b"[]", "not a JSON object"),
        (b"\xff", "utf-8"),
        (b"{}", "names no picture"),
        (json.dumps({**json.loads(body()), "decided_at": "x"}).encode(), "its decided_by is None"),
    ],
)
def test_damaged_label_is_named(content, reason):
    with pytest.raises(LabelError, match=rf"^s3://b/x.json is not a label .*{reason}") as raised:
        read_label(content, "s3://b/x.json")
    assert "delete" not in str(raised.value)  # it may be anything, and anybody's


def test_times_are_in_utc_to_the_millisecond():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())
