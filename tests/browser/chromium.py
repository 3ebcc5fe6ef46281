"""
Debian's Chromium, driven by Playwright: a browser that nobody has to download beside the package.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from lab.engine import packages
from tests.places import ROOT

PROGRAM = "chromium"
ARGUMENTS = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LAPTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
SHOTS = ROOT / "runs" / "screenshots"


def ensure_chromium() -> str:
    """
    The path of Chromium, installed from the distribution where it is missing.
    """
    packages.ensure_programs([PROGRAM])
    return f"/usr/bin/{PROGRAM}"


@contextmanager
def open_browser(*arguments: str) -> Iterator[Browser]:
    """
    Chromium without a window; every test opens a context of its own.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=ensure_chromium(), args=[*ARGUMENTS, *arguments]
        )
        yield browser
        browser.close()


def keep_screenshot(page: Page, name: str) -> Path:
    """
    Keep what the window shows in the folder that RUNBOOK_SHOTS names, or in runs/screenshots.
    """
    folder = Path(os.environ.get("RUNBOOK_SHOTS", SHOTS))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.png"
    page.screenshot(path=path)
    return path
