"""The pages' links lead somewhere, and what they state is what the code does."""

import math
import re
from pathlib import Path

import pytest

from common.settings import ROOT
from tests.unit.docs.pages import PAGES
from tests.unit.template.test_alarms import ALARMS
from tests.unit.template.test_consistency import STATES
from training.container.picture_model.calibration import CONFIDENCE_LEVEL, fewest_pictures
from training.container.picture_model.train import PRESETS
from training.stage_data import parse_arguments

README = (ROOT / "README.md").read_text()
LINKS = sorted(
    (page, link)
    for page in PAGES
    for link in set(re.findall(r"\]\(([^)\s]+)\)", page.read_text()))
    if not link.startswith(("http:", "https:"))
)
OPERATIONS = (ROOT / "docs/operations.md").read_text()
CHAPTERS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", OPERATIONS, re.MULTILINE | re.DOTALL))
SECTIONS = {
    chapter: dict(re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL))
    for chapter, text in CHAPTERS.items()
}
OWN_CLASSES = (ROOT / "docs/your-own-classes.md").read_text()
NEEDED_PHOTOS = [
    [float(cell.replace(",", "")) for cell in row]
    for row in re.findall(r"^\| ([\d.]+) % \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", OWN_CLASSES, re.MULTILINE)
]


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda value: str(value).rpartition("/")[2])
def test_link_leads_to_a_file_and_a_heading(page: Path, link: str):
    path, _, heading = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    if heading:
        assert heading in {anchor(text) for text in re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)}


def test_readme_is_short_and_begins_with_the_commands_and_the_drawn_workflow():
    assert len(README.splitlines()) <= 120
    first = README.split("\n## ")[0]
    assert "```sh\nmake demo\nmake test\n```" in first
    assert "](docs/workflow.svg)" in first
    picture = (ROOT / "docs/workflow.svg").read_text()
    assert [state for state in STATES if state not in picture] == []


def test_every_error_of_an_execution_is_explained():
    raised = set()
    for handler in (ROOT / "functions").glob("*/app.py"):
        raised |= set(re.findall(r"^class (\w+Error)\(", handler.read_text(), re.MULTILINE))
    for definition in (ROOT / "statemachine").glob("*.json"):
        raised |= set(re.findall(r"Error.{2,4}['\"]([A-Z_]{4,})['\"]", definition.read_text()))
        raised |= set(re.findall(r"Error : '([A-Z_]{4,})'", definition.read_text()))
    assert {"THRESHOLD_CONFIDENCE_NOT_MET", "UNKNOWN_OUTCOME", "MAP_RUN_NOT_FOUND"} <= raised
    assert [error for error in sorted(raised) if f"`{error}`" not in CHAPTERS["Errors"]] == []


def test_each_alarm_has_its_section_and_each_section_its_alarm():
    assert sorted(SECTIONS["Alarms"]) == sorted(ALARMS)


@pytest.mark.parametrize("name", ALARMS)
def test_section_of_an_alarm_states_its_threshold_and_what_to_do(name):
    section, alarm = SECTIONS["Alarms"][name], ALARMS[name]
    if section.startswith("\nAs "):  # as for the alarm that it names
        section += SECTIONS["Alarms"][section.split()[1].rstrip(",")]
    assert re.search(r"\]\(#[\w-]+\)|`(?:python|sam|aws) ", section), "nothing to do"
    thresholds = {"Average": "half", "Maximum": "day", "p90": f"{alarm['Threshold'] / 1e6:g} s"}
    threshold = thresholds.get(alarm.get("Statistic", "p90"), str(alarm["Threshold"]))
    if alarm["Threshold"] != 1:
        assert threshold in section


def test_every_procedure_is_linked_from_the_page():
    links = set(re.findall(r"\]\(#([\w-]+)\)", OPERATIONS))
    assert {anchor(heading) for heading in SECTIONS["Procedures"]} <= links


@pytest.mark.parametrize(("percent", "accepted", "fast", "best"), NEEDED_PHOTOS)
def test_table_states_how_many_photos_a_threshold_needs(percent, accepted, fast, best):
    """Of the pictures outside the test split, `fast` holds one part out, `best` each part once."""
    assert accepted == fewest_pictures(percent / 100, CONFIDENCE_LEVEL)
    trained_on = 1 - parse_arguments(["synthetic"]).test_share
    for preset, total in (("fast", fast), ("best", best)):
        held_out = PRESETS[preset]["members"] / PRESETS[preset]["parts"]
        assert total == math.ceil(accepted / held_out / trained_on)


def test_contributing_names_tests_that_exist():
    named = re.findall(r"`(test_\w+)` in `(tests/[\w/]+\.py)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert named
    for test, path in named:
        assert f"def {test}(" in (ROOT / path).read_text()


def test_tables_are_found():
    assert len(NEEDED_PHOTOS) >= 3
    assert len(LINKS) > 20
    assert list(SECTIONS) == ["Errors", "Alarms", "Procedures"]


def test_own_classes_page_states_what_the_figures_are_of():
    assert f"confidence of {100 * CONFIDENCE_LEVEL:g}%" in OWN_CLASSES.replace(" %", "%")
    assert f"{100 * parse_arguments(['synthetic']).test_share:g} %" in OWN_CLASSES
    assert "every eighth" in OWN_CLASSES
    assert PRESETS["fast"]["parts"] == 8
