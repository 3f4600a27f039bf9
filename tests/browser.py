"""Headless Chromium for the tests of pages: `with chromium() as browser`, then Playwright's own interface."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# What a test run saw, to be looked at afterwards.
SCREENSHOTS = Path(__file__).parent.parent / "build" / "screenshots"
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

# No word with the outside world, at the start or later.
_FLAGS = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")


def chromium_path() -> str:
    """The Chromium that is installed, or the one that CHROMIUM names.

    Raises:
        pytest.fail.Exception: there is none; the message says how to install it.
    """
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail(
            "Chromium is missing, which the pages are tested in: apt-get install chromium fonts-noto-cjk, or set "
            "CHROMIUM to the path of one"
        )
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser, closed at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=[*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        )
        try:
            yield browser
        finally:
            browser.close()


def screenshot(page: Page, name: str, **options) -> Path:
    """Keeps a picture of the page as `name`.png where the test run keeps them, and returns its path."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path, **options)
    return path
