"""A repeated call of an execution is captured each time, and is one picture for drift."""

import json
from datetime import timedelta

import pytest

from operations.monitor import main
from tests.unit.aws_stubs import StubbedSession
from tests.unit.operations.captures import BEGIN, drawn, line, named, read, write


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


def test_without_repeats_keeps_the_first_answer(tmp_path):
    # Seven answers to four requests: a repeated call has the same picture and the same id.
    calls = [(1, "a"), (2, "b"), (1, "a"), (3, "b"), (1, "a"), (1, "b"), (2, "b")]
    captures(tmp_path, calls)
    repeated = line(named(car=0.9, van=0.1), drawn(1), inference_id="a")
    write(tmp_path, [repeated], BEGIN + timedelta(hours=1))

    predictions = read(tmp_path).predictions

    assert len(predictions) == len(calls) + 1
    assert (predictions.without_repeats().times - BEGIN.timestamp()).tolist() == [0, 1, 3, 5]


@pytest.mark.parametrize("inference_id", [None, "", "-"])
def test_without_repeats_keeps_equal_pictures_without_an_id(tmp_path, inference_id):
    """Those of a covered camera must not count as one picture."""
    captures(tmp_path, [(1, inference_id)] * 5)
    assert len(read(tmp_path).predictions.without_repeats()) == 5


def test_report_counts_repeats_and_compares_each_picture_once(tmp_path, monkeypatch, capsys):
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
    note = "60 predictions are of repeated calls, and count once in this comparison."
    assert note in capsys.readouterr().out
    assert note in (tmp_path / "out/monitor.html").read_text()
