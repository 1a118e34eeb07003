"""What a run came to: every picture counted once, latencies from when it was due."""

import io

import pytest
from rich.console import Console

from operations.sending.display import how_far, show
from operations.sending.figures import answer_s, figures, picture_facts, place_of, spread
from tests.unit.operations.arrivals import BEGAN, arrival, execution_arn, uploaded

PICTURES = [
    uploaded("right", 1, place="accepted", label="bicycle", truth="bicycle", stopped=BEGAN + 2),
    uploaded("wrong", 2, place="accepted", label="bicycle", truth="motorcycle", stopped=BEGAN + 5),
    uploaded("unknown", 3, place="accepted", label="motorcycle"),
    uploaded("doubtful", 4, place="review", guess="bicycle", truth="bicycle", stopped=BEGAN + 9),
    uploaded("odd", 5, place="failed", error="NotAPictureError", kind="corrupt", stopped=BEGAN + 6),
    uploaded("silent", 6),
    arrival("refused", 7, upload_error="SlowDown: reduce: your rate", late_s=0.5),
    arrival("not-begun", 8),
]
ASKED = {
    "followed": True,
    "interrupted": False,
    "problem": None,
    "trouble": "",
    "load": {"wait": 120.0},
}


def printed(pictures: list, **changes: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=120, highlight=False)
    show(console, ASKED | figures(pictures, BEGAN, 0.0) | changes, pictures)
    return out.getvalue()


def test_every_picture_is_in_exactly_one_place():
    found = figures(PICTURES, BEGAN, 0.0)
    places = ("accepted", "review", "failed", "no_answer", "upload_failed", "not_sent")
    assert [found[place] for place in places] == [3, 1, 1, 1, 1, 1]
    assert sum(found[place] for place in places) == found["pictures"] == len(PICTURES)


def test_a_latency_counts_from_when_the_picture_was_due_whenever_it_was_sent():
    late = uploaded("late", at=10, late_s=30.0, upload_s=0.1, stopped=BEGAN + 45)
    assert answer_s(late, BEGAN, 0.0) == 35
    assert answer_s(uploaded("silent"), BEGAN, 0.0) is None


def test_a_latency_is_corrected_for_the_clocks():
    one = uploaded("a", at=10, stopped=BEGAN + 15 + 7)  # AWS's clock is 7 s ahead
    assert answer_s(one, BEGAN, 7.0) == 5


def test_pictures_without_an_answer_do_not_count_as_quick():
    latency = figures(PICTURES, BEGAN, 0.0)["latency_s"]
    assert latency["answer"]["count"] == 4
    assert latency["answer"]["max"] == 5
    assert latency["answer_accepted"]["count"] == 2
    assert latency["upload"]["count"] == 6
    assert latency["late"]["max"] == 0.5


def test_percentiles_of_nothing_are_no_numbers():
    assert spread([None]) == {"p50": None, "p90": None, "p95": None, "p99": None, "max": None, "count": 0}


def test_percentiles_are_those_of_the_values():
    found = spread([float(n) for n in range(101)])
    assert found == {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100, "count": 101}


def test_accuracy_is_over_accepted_pictures_whose_class_is_known():
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


def test_a_run_of_nothing_has_figures_too():
    assert figures([], BEGAN, 0.0)["pictures"] == 0
    assert "all" in printed([])


def test_the_facts_of_a_picture_hold_its_file_and_never_its_bytes():
    made = uploaded("a", execution_arn=execution_arn("e"))
    assert picture_facts(made, BEGAN, 0.0)["file"] == "a"
    made.body = b"bytes"
    facts = picture_facts(made, BEGAN, 0.0)
    assert (facts["file"], facts["place"], "body" in facts) == (None, "no answer", False)


def test_what_is_over_counts_no_picture_that_is_still_on_its_way():
    sent, over, words = how_far(PICTURES)
    assert (sent, over) == (7, 6)
    assert words == "3 accepted, 1 review, 1 failed, 1 upload failed"


def test_the_tables_name_every_place_and_what_was_left_unanswered():
    text = printed(PICTURES)
    for words in (
        "accepted as bicycle",
        "failed: NotAPictureError",
        "no answer within 120 s of the last upload",
        "upload failed: SlowDown",
        "not sent",
        "no answer: inbox/run/silent",
        "upload failed: inbox/run/refused: SlowDown: reduce: your rate",
        "1 answered pictures are not among the latencies",
        "Accuracy among accepted: 0.500",
        "corrupt",
    ):
        assert words in text


def test_an_interrupted_run_claims_no_waiting():
    text = printed(PICTURES, interrupted=True)
    assert "no answer yet" in text
    assert "within 120 s" not in text


def test_a_run_that_follows_nothing_claims_no_answers():
    text = printed(PICTURES[5:], followed=False)
    assert "answer not waited for" in text
    assert "no answer: " not in text
    assert "review" not in text


def test_many_unanswered_pictures_are_cut_short_and_counted():
    text = printed([uploaded(f"{n}") for n in range(25)])
    assert text.count("no answer: inbox/run/") == 10
    assert "and 15 more" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"clock_offset_s": -3.25}, "-3.2 s from this machine's"), ({"trouble": "Rate"}, "Rate")],
)
def test_what_bears_on_the_figures_is_told(changes, words):
    assert words in printed(PICTURES, **changes)


def test_a_picture_is_where_its_facts_say():
    assert [place_of(p) for p in PICTURES[4:]] == [
        "failed",
        "no answer",
        "upload failed",
        "not sent",
    ]
