"""The page of a real demo run, in a real browser; run after `make demo`. Keeps screenshots."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from common.settings import ROOT
from tests.browser.conftest import WIDTHS
from tests.browser.demo_page_checks import check_figures

REPORTS = ROOT / "reports"
PAGE = REPORTS / "demo" / "index.html"


def read(name: str) -> Any:
    return json.loads((REPORTS / name).read_text())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_page_shows_the_runs_figures(watched, width, scheme):
    visit = watched(WIDTHS[width], scheme, PAGE.as_uri())
    visit.check()
    check_figures(visit, read("demo/summary.json"), read("evaluate/evaluation.json"))
    visit.screenshot(REPORTS / "demo" / f"page-{width}-{scheme}.png")


def test_every_link_has_a_target(watched):
    visit = watched(address=PAGE.as_uri())
    targets = visit.page.locator("main a").evaluate_all("links => links.map(a => a.href)")
    assert len(targets) >= 5
    for target in targets:
        assert Path(unquote(urlsplit(target).path)).is_file(), target
