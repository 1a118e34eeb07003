"""The browser for the demo's page."""

from tests.browser.conftest import browser, chromium, watched

__all__ = ["browser", "chromium", "watched"]
