"""The demo's page shows the figures of the run's files."""

import json
import re
from pathlib import Path

import pytest

from common.settings import ROOT
from demo.charts import charts, confusion_text
from demo.outcomes import PictureOutcome
from demo.page import CAUSE_LENGTH, SHOWN_AT_MOST, groups, results, write_demo_page
from tests.unit.demo.demo_runs import HOSTILE_ERROR, Run, make_run
from training.evaluation.plots.confusion import MOST_WITH_NUMBERS

DEFINITION = ROOT / "statemachine" / "MyStateMachine.asl.json"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(run) -> str:
    return write_demo_page(run.reports, run.staged, DEFINITION).read_text(encoding="utf-8")


def test_page_is_self_contained_and_beside_the_summary(run, page):
    assert (run.reports / "demo" / "index.html").is_file()
    assert not re.findall(r"""(?:src|href|srcset)=["'](?!data:)https?:""", page)
    assert not re.findall(r"@import|<script|<link[^>]+stylesheet", page)


def test_page_escapes_markup(page):
    assert "<b>cut off</b>" not in page
    assert "&lt;b&gt;cut off&lt;/b&gt; &amp; &#39;done&#39;" in page


def test_links_lead_to_the_runs_files(run, page):
    targets = re.findall(r'<li><a href="([^"]+)"', page)
    assert targets[0] == "monitor/monitor.html"
    for target in ("summary.json", "../evaluate/evaluation.json"):
        assert target in targets
        assert (run.reports / "demo" / target).is_file()


def test_page_of_a_kept_run_has_no_count_of_resources_left(tmp_path, page):
    assert "Resources left" in page
    assert "test pictures from the archive cifar-100-vehicles.tar.gz went" in page
    kept = make_run(tmp_path)
    kept.summary["source"] = {"kind": "synthetic"}
    del kept.summary["resources_left"]
    (kept.reports / "demo" / "summary.json").write_text(json.dumps(kept.summary))
    text = write_demo_page(kept.reports, kept.staged, DEFINITION).read_text()
    assert "Resources left" not in text
    assert "test pictures from drawn vehicles went" in text


def test_results_are_counted_by_class_and_in_total():
    pictures = [
        PictureOutcome("a.png", "car", "accepted", "car", 0.9),
        PictureOutcome("b.png", "car", "accepted", "van", 0.9),
        PictureOutcome("c.png", "van", "review", "van", 0.6),
        PictureOutcome("d.png", "van", "failed"),
    ]
    assert results(pictures) == [
        {"name": "car", "pictures": 2, "right": 1, "wrong": 1, "review": 0, "failed": 0},
        {"name": "van", "pictures": 2, "right": 0, "wrong": 0, "review": 1, "failed": 1},
        {"name": "all", "pictures": 4, "right": 1, "wrong": 1, "review": 1, "failed": 1},
    ]


def test_pictures_are_grouped_by_outcome(run):
    pictures = [PictureOutcome(**p) for p in run.summary["pictures"]]
    right, wrong, review, failed = groups(pictures, run.staged / "test")

    accepted = [p for p in pictures if p.outcome == "accepted"]
    assert right.summary.startswith(f"{sum(p.label == p.truth for p in accepted)} of 40 pictures")
    assert wrong.summary == f"{sum(p.label != p.truth for p in accepted)} of 40 pictures"
    assert wrong.samples[0].answer == "motorcycle, 0.9875"  # the surest first
    assert wrong.samples[0].verdict == "wrong: bicycle"
    assert not wrong.samples[0].right
    assert review.summary.endswith(f"; here are {SHOWN_AT_MOST}, with the lowest confidence")
    assert len(review.samples) == SHOWN_AT_MOST
    assert review.samples[0].answer == "motorcycle, 0.5125"
    assert review.samples[0].alt == (
        "motorcycle-00000.png, a picture of class motorcycle; the model says motorcycle, 0.5125"
    )
    assert [s.verdict for s in failed.samples] == [HOSTILE_ERROR]
    assert all(s.image.startswith("data:image/png;base64,") for s in right.samples)


def test_run_without_failures_has_no_group_of_failures(run):
    only = PictureOutcome("inbox/bicycle/bicycle-00001.png", "bicycle", "accepted", "bicycle", 0.9)
    found = groups([only], run.staged / "test")
    assert [(g.title, len(g.samples)) for g in found] == [
        ("Accepted and right", 1),
        ("Accepted but wrong", 0),
        ("Review: a person decides", 0),
    ]


def test_long_cause_is_shortened_in_the_caption(run):
    error = "Lambda.Unknown: " + json.dumps({"errorMessage": "x" * 32_000}, indent=2)
    key = "inbox/bicycle/bicycle-00001.png"
    [*_, failed] = groups([PictureOutcome(key, "bicycle", "failed", error=error)], run.staged / "test")
    [sample] = failed.samples
    assert sample.verdict.startswith('Lambda.Unknown: { "errorMessage": "xxx')
    assert len(sample.verdict) == CAUSE_LENGTH
    assert sample.verdict.endswith("…")


def test_charts_have_text_alternatives(run):
    _, risk, reliability = charts(run.evaluation)
    accepted = run.evaluation["accepted"]
    wrong = accepted - round(accepted * run.evaluation["accuracy_accepted"])
    assert (
        f"of all 40 answers {40 - run.evaluation['correct']} are wrong; at the threshold 0.8123"
        f" {accepted} are accepted" in str(risk.html)
    )
    assert f"{wrong} of them wrongly" in str(risk.html)
    assert str(reliability.html).count("confidence ") >= 5


def test_confusion_text_lists_correct_answers_and_the_most_frequent_mistakes():
    assert confusion_text([[18, 2], [3, 17]], ["bike", "car"]) == (
        "Confusion matrix: 18 of 20 bike right, 17 of 20 car right, 3 car taken for bike, 2 bike taken for car."
    )
    names = [f"class {n}" for n in range(10)]
    counts = [[50 if i == j else i + j for j in range(10)] for i in range(10)]
    text = confusion_text(counts, names)
    assert "17 class 9 taken for class 8" in text
    assert text.endswith("78 rarer kinds of mistakes.")


def test_threshold_that_accepts_nothing_has_no_dot(run):
    assert charts(run.evaluation)[1].caption.endswith("The dot marks the threshold.")
    _, risk, _ = charts(run.evaluation | {"threshold": 0.9999, "accepted": 0, "coverage": 0.0})
    assert "at the threshold 0.9999 0 are accepted" in str(risk.html)
    assert risk.caption.endswith("Nothing is accepted at the threshold.")


def test_size_of_the_confusion_matrix_is_limited(run):
    def side(classes: int) -> int:
        counts = [[10 * (i == j) for j in range(classes)] for i in range(classes)]
        matrix = {"true_rows_predicted_columns": [f"class {n}" for n in range(classes)], "counts": counts}
        confusion, *_ = charts(run.evaluation | {"confusion_matrix": matrix})
        assert confusion.wide
        found = re.search(r'width="(\d+)"', str(confusion.html))
        assert found
        return int(found[1])

    assert side(10) < side(MOST_WITH_NUMBERS) == side(MOST_WITH_NUMBERS + 5)


def test_evaluation_without_answers_has_charts(run):
    silent = {"label": None, "confidence": None, "probabilities": None, "error": "down"}
    nothing = run.evaluation | {
        "predictions": [p | silent for p in run.evaluation["predictions"]],
        "recommendation": None,
        "accepted": 0,
        "coverage": 0.0,
    }
    _, risk, reliability = charts(nothing)
    assert "of all 40 answers 40 are wrong" in str(risk.html)
    assert "no picture got an answer" in str(reliability.html)


def test_every_stage_of_the_demo_has_a_title_on_the_page():
    template = (ROOT / "demo" / "demo.html.j2").read_text()
    code = Path(ROOT / "demo" / "__main__.py").read_text()
    code += Path(ROOT / "demo" / "session.py").read_text().split("def deploy(")[1]
    for name in set(re.findall(r'\.stage\(\s*"(\w+)"', code)) - {"page"}:
        assert f'"{name}":' in template, name
