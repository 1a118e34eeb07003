"""docs/your-own-classes.md says how many photos a threshold needs, as training has it."""

import math
import re

import pytest

from common.settings import ROOT
from training.container.picture_model.calibration import CONFIDENCE_LEVEL, fewest_pictures
from training.container.picture_model.train import PRESETS
from training.stage_data import parse_arguments

PAGE = (ROOT / "docs" / "your-own-classes.md").read_text()
ROWS = [
    [float(cell.replace(",", "")) for cell in row]
    for row in re.findall(r"^\| ([\d.]+) % \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", PAGE, re.M)
]


def test_there_are_rows_to_look_at():
    assert len(ROWS) >= 3


@pytest.mark.parametrize(("percent", "accepted", "fast", "best"), ROWS)
def test_a_threshold_needs_so_many_photos(percent, accepted, fast, best):
    """Of those that are not of the test, `fast` holds one part out, and `best` each part once."""
    assert accepted == fewest_pictures(percent / 100, CONFIDENCE_LEVEL)
    trained_on = 1 - parse_arguments(["synthetic"]).test_share
    for preset, total in (("fast", fast), ("best", best)):
        held_out = PRESETS[preset]["members"] / PRESETS[preset]["parts"]
        assert total == math.ceil(accepted / held_out / trained_on)


def test_the_page_says_what_the_figures_are_of():
    assert f"confidence of {100 * CONFIDENCE_LEVEL:g}%" in PAGE.replace(" %", "%")
    assert f"{100 * parse_arguments(['synthetic']).test_share:g} %" in PAGE
    assert "every eighth" in PAGE
    assert PRESETS["fast"]["parts"] == 8
