"""A call that an execution tried again is captured each time, and is one picture for drift."""

import json
from datetime import timedelta

import pytest

from operations.monitor import main
from operations.monitoring.capture_locations import FolderCaptures
from operations.monitoring.reading import read_captures
from tests.unit.aws_stubs import StubbedSession
from tests.unit.operations.captures import BEGIN, drawn, line, named, write

# Seven answers to four questions: a retry is the same picture under the same id.
CALLS = [(1, "a"), (2, "b"), (1, "a"), (3, "b"), (1, "a"), (1, "b"), (2, "b")]
FIRST = [0, 1, 3, 5]


def captures(folder, calls):
    return write(
        folder,
        [
            line(
                named(car=0.9, van=0.1),
                drawn(picture),
                BEGIN + timedelta(seconds=second),
                inference_id=inference_id,
            )
            for second, (picture, inference_id) in enumerate(calls)
        ],
    )


def read(folder):
    return read_captures(FolderCaptures(folder), class_names=None, processes=1, report=lambda *_: None).predictions


def test_of_a_call_that_was_tried_again_the_first_answer_counts(tmp_path):
    captures(tmp_path, CALLS)
    found = read(tmp_path)
    assert len(found) == len(CALLS)
    times = (found.without_repeats().times - BEGIN.timestamp()).tolist()
    assert times == FIRST


def test_in_another_hours_file_too(tmp_path):
    captures(tmp_path, [(1, "a")])
    again = line(named(car=0.9, van=0.1), drawn(1), inference_id="a")
    write(tmp_path, [again], BEGIN + timedelta(hours=1))
    assert len(read(tmp_path).without_repeats()) == 1


@pytest.mark.parametrize("inference_id", [None, "", "-"])
def test_the_same_picture_without_an_id_is_another_call(tmp_path, inference_id):
    """As of a camera with its lid on, which must not count as one picture."""
    captures(tmp_path, [(1, inference_id)] * 5)
    assert len(read(tmp_path).without_repeats()) == 5


def test_nothing_has_no_repeats(tmp_path):
    write(tmp_path, [b"{\n"])
    assert len(read(tmp_path).without_repeats()) == 0


def test_the_report_counts_them_and_compares_each_picture_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("boto3.Session", StubbedSession)
    fine = [(number, f"execution-{number}") for number in range(30)]
    captures(tmp_path / "fine", fine)
    captures(tmp_path / "now", [*fine, *fine[:3] * 20])
    options = ["--captures", str(tmp_path / "now"), "--out", str(tmp_path / "out")]
    options += ["--baseline-captures", str(tmp_path / "fine"), "--threshold", "0.9"]

    assert main(options) == 0

    figures = json.loads((tmp_path / "out/monitor.json").read_text())
    assert (figures["predictions"], figures["repeated"]) == (90, 60)
    assert {tuple(f["pictures"]) for f in figures["drift"]["features"] if f["p"]} == {(30, 30)}
    assert max(f["effect"] for f in figures["drift"]["features"] if f["p"]) == 0
    assert len(figures["sample"]["labels"]) == 30
    said = "60 predictions are of calls that were tried again, and count once here."
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "out/monitor.html").read_text()
