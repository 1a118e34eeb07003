"""Figures of a run: every picture is counted once, and latencies count from when it was due."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from operations.sending.report import answer_s, count_ended, figures, outcome_of, picture_facts, progress, show, spread
from tests.unit.operations.arrivals import BEGAN, arrival, execution_arn, uploaded

PICTURES = [
    uploaded("right", 1, outcome="accepted", label="bicycle", truth="bicycle", stopped=BEGAN + 2),
    uploaded("wrong", 2, outcome="accepted", label="bicycle", truth="motorcycle", stopped=BEGAN + 5),
    uploaded("unknown", 3, outcome="accepted", label="motorcycle"),
    uploaded("review", 4, outcome="review", guess="bicycle", truth="bicycle", stopped=BEGAN + 9),
    uploaded("odd", 5, outcome="failed", error="NotAPictureError", kind="corrupt", stopped=BEGAN + 6),
    uploaded("silent", 6),
    arrival("refused", 7, upload_error="SlowDown: reduce: your rate", late_s=0.5),
    arrival("not-begun", 8),
]
OUTCOMES = {"accepted": 3, "review": 1, "failed": 1, "no_answer": 1, "upload_failed": 1, "not_sent": 1}
ASKED = {"followed": True, "interrupted": False, "problem": None, "tracking_error": "", "load": {"wait": 120.0}}


def printed(pictures: list, **changes: object) -> str:
    out = io.StringIO()
    show(Console(file=out, width=120, highlight=False), ASKED | figures(pictures, BEGAN, 0.0) | changes, pictures)
    return out.getvalue()


def test_every_picture_has_exactly_one_outcome():
    found = figures(PICTURES, BEGAN, 0.0)
    assert {name: found[name] for name in OUTCOMES} == OUTCOMES
    assert found["pictures"] == sum(OUTCOMES.values()) == len(PICTURES)
    assert [outcome_of(p) for p in PICTURES[4:]] == ["failed", "no answer", "upload failed", "not sent"]


@pytest.mark.parametrize(
    ("one", "offset", "seconds"),
    [
        pytest.param(uploaded("late", 10, late_s=30.0, stopped=BEGAN + 45), 0.0, 35, id="from when it was due"),
        pytest.param(uploaded("a", 10, stopped=BEGAN + 15 + 7), 7.0, 5, id="corrected for AWS's clock"),
        pytest.param(uploaded("silent"), 0.0, None, id="no end"),
    ],
)
def test_latency_counts_from_when_the_picture_was_due(one, offset, seconds):
    assert answer_s(one, BEGAN, offset) == seconds


def test_latencies_leave_out_pictures_without_an_end():
    latency = figures(PICTURES, BEGAN, 0.0)["latency_s"]
    assert (latency["answer"]["count"], latency["answer"]["max"]) == (4, 5)
    assert (latency["answer_accepted"]["count"], latency["upload"]["count"]) == (2, 6)
    assert latency["late"]["max"] == 0.5


@pytest.mark.parametrize(
    ("values", "percentiles"),
    [([None], [None] * 5 + [0]), ([float(n) for n in range(101)], [50, 90, 95, 99, 100, 101])],
)
def test_spread_has_percentiles_and_count(values, percentiles):
    assert spread(values) == dict(zip(("p50", "p90", "p95", "p99", "max", "count"), percentiles, strict=True))


def test_accuracy_is_over_accepted_pictures_of_known_class():
    found = figures(PICTURES, BEGAN, 0.0)
    assert found["accuracy_accepted"] == 0.5
    assert found["by_kind"]["as it is"]["accuracy_accepted"] == 0.5
    assert found["by_kind"]["corrupt"]["accuracy_accepted"] is None
    unknown = figures([PICTURES[2]], BEGAN, 0.0)
    assert (unknown["accuracy_accepted"], unknown["accuracy_accepted_interval_95"]) == (None, None)


def test_errors_and_labels_are_counted_by_name():
    found = figures(PICTURES, BEGAN, 0.0)
    assert found["accepted_by_label"] == {"bicycle": 2, "motorcycle": 1}
    assert found["failed_by_error"] == {"NotAPictureError": 1}
    assert found["upload_failed_by_error"] == {"SlowDown": 1}


def test_empty_run_has_figures():
    assert figures([], BEGAN, 0.0)["pictures"] == 0
    assert "all" in printed([])


@pytest.mark.parametrize(("body", "file"), [(Path("a"), "a"), (b"bytes", None)])
def test_facts_of_a_picture_have_its_file_and_not_its_bytes(body, file):
    made = uploaded("a", execution_arn=execution_arn("e"))
    made.body = body
    facts = picture_facts(made, BEGAN, 0.0)
    assert (facts["file"], facts["outcome"], "body" in facts) == (file, "no answer", False)


def test_progress_counts_ended_uploads_and_pictures():
    assert count_ended(PICTURES) == (7, 6, "3 accepted, 1 review, 1 failed, 1 upload failed")


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_and_in_a_log(monkeypatch, terminal):
    monkeypatch.setattr("operations.sending.report.SECONDS_BETWEEN_LINES", 0)
    out = io.StringIO()
    with progress(Console(file=out, width=120, force_terminal=terminal), PICTURES, follows=True) as tick:
        tick()
    assert "Sent 7 of 8, ended 6 (3 accepted, 1 review" in out.getvalue()


@pytest.mark.parametrize(
    ("changes", "present", "absent"),
    [
        (
            {},
            [
                "accepted as bicycle",
                "failed: NotAPictureError",
                "no answer within 120 s of the last upload",
                "upload failed: SlowDown",
                "not sent",
                "no answer: inbox/run/silent",
                "upload failed: inbox/run/refused: SlowDown: reduce: your rate",
                "The latencies lack 1 decided pictures",
                "Accuracy among accepted: 0.500",
                "corrupt",
            ],
            [],
        ),
        ({"interrupted": True}, ["no answer yet"], ["within 120 s"]),
        ({"followed": False}, ["answer not waited for"], ["no answer: "]),
        ({"clock_offset_s": -3.25}, ["-3.2 s from this machine's"], []),
        ({"tracking_error": "Rate"}, ["The last poll for outcomes failed: Rate"], []),
    ],
    ids=["all", "interrupted", "not followed", "clock offset", "tracking error"],
)
def test_tables_and_notes_describe_the_run(changes, present, absent):
    text = printed(PICTURES, **changes)
    assert [part for part in present if part not in text] == []
    assert [part for part in absent if part in text] == []


def test_long_list_of_unanswered_pictures_is_cut():
    text = printed([uploaded(f"{n}") for n in range(25)])
    assert text.count("no answer: inbox/run/") == 10
    assert "and 15 more" in text
