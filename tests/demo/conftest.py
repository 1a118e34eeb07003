"""The browser that the demo's page is looked at with."""

from tests.browser.conftest import browser, chromium, watched

__all__ = ["browser", "chromium", "watched"]
