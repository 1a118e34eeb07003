"""A headless Chromium, as Debian's package `chromium` installs it, driven by Playwright.

Without one these tests are skipped, unless BROWSER_REQUIRED says that there must be one.
"""

import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 360, "height": 740}  # CSS pixels
DESKTOP = {"width": 1280, "height": 800}
WIDTHS = {"phone": PHONE, "desktop": DESKTOP}
HEADING_LEVELS = "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])"
# The text alternative of each image, whether it is shown, and whether it is a chart.
PICTURES = """() => [...document.images].map(
    i => [i.alt, i.complete && i.naturalWidth > 0, i.closest('picture') !== null])"""


@pytest.fixture(scope="session")
def chromium() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        if os.environ.get("BROWSER_REQUIRED"):
            pytest.fail("there is no Chromium: `apt-get install chromium`")
        pytest.skip("there is no Chromium: `apt-get install chromium`")
    return found


@pytest.fixture(scope="session")
def browser(chromium) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Its own sandbox needs privileges that a container lacks; the pages here are our own.
        browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=False)
        yield browser
        browser.close()


class Watched:
    """A page with its errors, its warnings and its network requests."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def foreign(self) -> list[str]:
        """Return the requests to anything but this machine and files."""
        ours = ("file:", "data:", "http://127.0.0.1:")
        return [url for url in self.asked if not url.startswith(ours)]

    def too_wide(self) -> Any:
        """Return the elements that overflow the page horizontally."""
        return self.page.evaluate(
            """() => [...document.querySelectorAll('body *')]
                .filter(e => !e.closest('.scrolls') || e.matches('.scrolls'))
                .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
                .map(e => e.tagName + '.' + e.className)"""
        )

    def check(self) -> None:
        """Assert what holds for any content: no errors, no network requests, no overflow, no image without alt text."""
        assert self.complaints == []
        assert self.foreign() == []
        assert self.too_wide() == []
        levels = self.page.evaluate(HEADING_LEVELS)
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in pairwise(levels)), levels
        for alt, shown, _ in self.page.evaluate(PICTURES):
            assert len(alt) > 20
            assert shown, alt
        assert self.page.locator(".scrolls:not([tabindex='0'][role=region][aria-label])").count() == 0

    def screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=True)


@pytest.fixture
def watched(browser):
    """Open pages of a size (PHONE or DESKTOP) and color scheme, each in a browser context of its own.

    Without an address the page is blank.
    """
    contexts = []

    def open_page(size=DESKTOP, scheme="light", address="about:blank") -> Watched:
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        seen = Watched(context.new_page())
        seen.page.goto(address)
        return seen

    yield open_page
    for context in contexts:
        context.close()
