"""Every link between the pages leads to a file, and to a heading where it names one."""

import re
from pathlib import Path

import pytest

from common.settings import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKS = sorted(  # once each: a page has the same link many times
    (page, link)
    for page in PAGES
    for link in set(re.findall(r"\]\(([^)\s]+)\)", page.read_text()))
    if not link.startswith(("http:", "https:"))
)


def anchors(page: Path) -> set[str]:
    """Return what GitHub makes of the headings of a page, and those that it sets itself."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a (?:id|name)="([^"]+)">', text))


def test_there_are_links_to_follow():
    assert len(LINKS) > 20


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda value: str(value).rpartition("/")[2])
def test_a_link_leads_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    if anchor:
        assert anchor in anchors(target)
