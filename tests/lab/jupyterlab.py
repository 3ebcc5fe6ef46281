"""
JupyterLab as `make walkthrough` starts it, and a person who clicks through its notebooks.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from tests.browser.chromium import LAPTOP
from tests.lab.harness import PROJECT, Runbook

_IN_FRONT = ".jp-NotebookPanel:not(.lm-mod-hidden)"
_ADDRESS = re.compile(r"(http://127\.0\.0\.1:\d+)/\S*\?token=(\w+)")


@contextmanager
def walkthrough(runbook: Runbook, browser: Browser) -> Iterator["Walkthrough"]:
    """
    The command of `make walkthrough`, on the cluster of the tests.
    """
    command = [sys.executable, "-m", "runbook_lib", "walkthrough", "params/lab.yml"]
    command += [*runbook.values(), "--runs", str(runbook.runs), "--", "--no-browser", "--port=0"]
    log = runbook.runs / "jupyterlab.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=output)
    try:
        address, token = _wait_for_address(log, server)
        folder = max(runbook.runs.glob("*-walkthrough"))
        yield Walkthrough(browser, address, token, folder)
    finally:
        server.terminate()
        server.wait(30)


class Walkthrough:
    """
    A person at a browser. Each notebook is a page of its own, as after a click in the file browser.
    """

    def __init__(self, browser: Browser, address: str, token: str, folder: Path) -> None:
        self._browser = browser
        self._address = address
        self._token = token
        self.folder = folder

    def open(self, name: str, size: ViewportSize = LAPTOP, interface: str = "lab") -> Page:
        """
        A new window on one notebook, with its kernel ready; interface "doc" shows nothing else.
        """
        page = self._browser.new_page(viewport=size)
        place = f"{interface}/workspaces/{interface}-{name}/tree/{name}.ipynb"
        page.goto(f"{self._address}/{place}?token={self._token}")
        page.wait_for_selector(f"{_IN_FRONT} .jp-Cell", timeout=60_000)
        if interface == "lab":  # the other has no room for the kernel's light on a phone
            idle = f"{_IN_FRONT} .jp-Notebook-ExecutionIndicator[data-status=idle]"
            page.wait_for_selector(idle, timeout=60_000)
        page.wait_for_selector(f"{_IN_FRONT} .jp-RenderedMermaid img", timeout=60_000)
        return page

    def click_through(self, page: Page, name: str, timeout_s: float = 300) -> list[dict]:
        """
        Press the button "run this cell and advance" until the end; the saved cells.
        """
        notebook = page.locator(_IN_FRONT)
        notebook.locator(".jp-Cell").first.click()
        button = notebook.locator("[data-command='notebook:run-cell-and-select-next']")
        for _ in range(notebook.locator(".jp-Cell").count()):
            button.click()
        deadline = time.monotonic() + timeout_s
        while waiting := notebook.locator(".jp-InputPrompt", has_text="[*]").count():
            assert time.monotonic() < deadline, f"{name}: {waiting} cells are still to run"
            page.wait_for_timeout(200)
        page.keyboard.press("Control+s")
        page.wait_for_selector(".jp-mod-dirty", state="detached")
        cells = json.loads((self.folder / f"{name}.ipynb").read_text())["cells"]
        return [cell for cell in cells if cell["cell_type"] == "code"]

    def to_the_top(self, page: Page) -> None:
        """
        Look at the beginning of the notebook.
        """
        page.locator(f"{_IN_FRONT} .jp-Cell").first.scroll_into_view_if_needed()


def _wait_for_address(log: Path, server: "subprocess.Popen[bytes]") -> tuple[str, str]:
    deadline = time.monotonic() + 60
    while not (found := _ADDRESS.search(log.read_text())):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    return found[1], found[2]
