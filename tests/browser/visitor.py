"""
A person who looks at the map: opens views, waits for tiles, reads pixels.
"""

import time
from urllib.parse import urlsplit

import cv2
import numpy as np
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from tests.browser.chromium import LAPTOP
from tests.browser.site import Site

QUIET = "Boolean(document.querySelector('.map')) && !document.querySelector('.progress.busy')"
PATIENCE_S = 90
# Chromium drops what is under way when the host gains or loses an interface, as whenever a
# container starts beside us. The page asks again for tiles; a script that is lost needs a reload.
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"


class Visitor:
    """
    One window. It remembers every request and every complaint of the page.
    """

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser = browser
        self.site = site
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.expected: tuple[str, ...] = ()
        self.context = None

    def arrive(self, view: str = "", token: str | None = None, **options: object) -> Page:
        """
        Open a window on a view (the fragment of the address); `token` goes with it.
        """
        given = self.site.token if token is None else token
        self.context = self._browser.new_context(
            **{"viewport": LAPTOP, "locale": "en-GB", "reduced_motion": "reduce"} | options
        )
        page = self.page = self.context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("request", self._note)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        parts = [part for part in (view, f"token={given}" if given else "") if part]
        page.goto(f"{self.site.url}/#{'&'.join(parts)}")
        while not self._has_started():
            self.complaints.clear()
            page.reload()
        return page

    def _has_started(self) -> bool:
        """
        Whether the page runs; False where the network changed while it came.
        """
        self.eventually(
            "the page",
            lambda: [self.page.evaluate("document.querySelector('h1') !== null"), *self.complaints],
            lambda seen: seen[0] or any(NETWORK_CHANGED in complaint for complaint in seen[1:]),
        )
        return self.page.evaluate("document.querySelector('h1') !== null")

    def _note(self, request: Request) -> None:
        self.requests.append(request)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text} {message.location['url']}")

    def expect(self, *texts: str) -> None:
        """
        Complaints with one of these texts belong to what is tested.
        """
        self.expected += texts

    def wait_for_tiles(self) -> None:
        """
        Until the map has been quiet for a while: one layer's tiles may come before another's start.
        """
        quiet = []

        def look() -> int:
            quiet.append(self.page.evaluate(QUIET))
            return sum(quiet[-4:])

        self.eventually("the tiles", look, lambda looks: looks == 4)

    def eventually(self, what: str, look, wanted) -> None:
        """
        Look until it is as wanted: tiles arrive when they do.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not wanted(seen := look()):
            assert time.monotonic() < deadline, f"{what}: last saw {seen}"
            self.page.wait_for_timeout(150)

    def middle(self, half: int) -> np.ndarray:
        """
        The RGB pixels around the place that the view is centred on, where no card covers it.
        """
        self.page.locator(".timeline").wait_for()
        x, y = self.page.evaluate(
            """() => {
                const box = (name) => document.querySelector(name).getBoundingClientRect();
                const [map, panel, timeline] = [".map", ".panel", ".timeline"].map(box);
                const left = panel.right < timeline.left ? panel.right : 0;
                return [(left + map.right) / 2, timeline.top / 2];
            }"""
        )
        clip = {"x": round(x) - half, "y": round(y) - half, "width": 2 * half, "height": 2 * half}
        data = np.frombuffer(self.page.screenshot(clip=clip), np.uint8)
        return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def leave(self) -> None:
        """
        Nothing was asked of anybody else, and nothing went wrong unseen.
        """
        if self.context:
            self.context.close()
        allowed = {urlsplit(url).netloc for url in (self.site.url, self.site.tiles_url)}
        asked = {urlsplit(r.url).netloc for r in self.requests if r.url.startswith("http")}
        assert asked <= allowed, asked - allowed
        unexpected = [
            c
            for c in self.complaints
            if not any(text in c for text in (NETWORK_CHANGED, *self.expected))
        ]
        assert not unexpected, unexpected


def agreement(seen: np.ndarray, expected: np.ndarray) -> float:
    """
    The share of pixels on which two masks agree, the better of all places one pixel around.
    """
    inner = expected[1:-1, 1:-1]
    height, width = inner.shape
    return max(
        float((seen[dy : dy + height, dx : dx + width] == inner).mean())
        for dy in range(3)
        for dx in range(3)
    )


def looks_like(pixels: np.ndarray, colour: tuple[int, int, int], tolerance: int = 12) -> np.ndarray:
    """
    Where the pixels have a colour.
    """
    return (np.abs(pixels.astype(int) - colour) <= tolerance).all(axis=2)
