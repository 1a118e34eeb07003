"""The demo's page in a real browser: the run's figures, at every width, light and dark."""

import json

import pytest

from common.settings import ROOT
from demo.page import write_demo_page
from tests.browser.conftest import DESKTOP, PHONE, WIDTHS
from tests.browser.demo_page_checks import check_figures
from tests.unit.demo.demo_runs import HOSTILE_ERROR, PER_CLASS, Run, make_run

DEFINITION = ROOT / "statemachine" / "MyStateMachine.asl.json"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    made = make_run(tmp_path_factory.mktemp("run"))
    write_demo_page(made.reports, made.staged, DEFINITION)
    return made


@pytest.fixture(scope="module")
def address(run: Run) -> str:
    return (run.reports / "demo" / "index.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_page_shows_the_runs_figures(watched, run, address, width, scheme, tmp_path):
    visit = watched(WIDTHS[width], scheme, address)
    visit.check()
    check_figures(visit, run.summary, run.evaluation)
    visit.screenshot(tmp_path / f"{width}-{scheme}.png")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_open_details_fit(watched, address, size):
    visit = watched(size, address=address)
    for summary in visit.page.locator("summary").all():  # by keyboard
        summary.focus()
        visit.page.keyboard.press("Enter")
    assert visit.page.locator("details[open]").count() == 2
    visit.check()
    # A long list scrolls in its frame by keyboard.
    frame = visit.page.locator(".long")
    frame.focus()
    visit.page.keyboard.press("End")
    visit.page.wait_for_function("() => document.querySelector('.long').scrollTop > 0")


def test_pictures_have_answer_and_verdict(watched, address):
    visit = watched(address=address)
    wrong = visit.page.locator("h3:has-text('Accepted but wrong') + p + ul li").first
    assert wrong.inner_text() == "motorcycle, 0.9875\n✗ wrong: bicycle"
    failed = visit.page.locator("h3:has-text('Failed') + p + ul li")
    assert failed.inner_text() == f"no answer\n✗ {HOSTILE_ERROR}"
    smoothing = wrong.locator("img").evaluate("i => getComputedStyle(i).imageRendering")
    assert smoothing == "pixelated"


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_long_names_large_counts_and_many_classes_fit(watched, tmp_path, size):
    """Long names are wrapped, not cut off."""
    run = make_run(tmp_path)
    pictures = run.summary["pictures"]
    assert len(pictures) == 2 * PER_CLASS
    pictures[0]["error"] = "AnErrorWithAVeryLongName" * 12
    many = [f"vehicle {n}" for n in range(12)]
    run.evaluation["confusion_matrix"] = {
        "true_rows_predicted_columns": many,
        "counts": [[90 if i == j else i + j for j in range(12)] for i in range(12)],
    }
    run.summary["transitions"][0]["times"] = 1234567
    run.summary["executions"]["started"] = 1234567
    run.summary["source"]["name"] = "an-archive-with-a-very-long-name" * 6
    (run.reports / "demo" / "summary.json").write_text(json.dumps(run.summary))
    (run.reports / "evaluate" / "evaluation.json").write_text(json.dumps(run.evaluation))
    visit = watched(size, address=write_demo_page(run.reports, run.staged, DEFINITION).as_uri())
    visit.check()
    shown = visit.page.get_by_alt_text("Confusion matrix").evaluate("i => [i.width, i.attributes.width.value]")
    assert shown[0] == int(shown[1])  # not made smaller: its frame scrolls
    assert "1,234,567" in visit.page.locator(".tiles").inner_text()
