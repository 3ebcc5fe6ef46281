"""
The web stack as a browser meets it: its page, its tiles, and what it must refuse.

Whoever asks from here is on the internet, as a user of the map is.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from typing import Any

import pandas as pd

from runbook_lib.core.errors import CommandError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.web import Addresses, Token

STRANGER = "http://stranger.example"
_CONTENT, _ALLOWED = "Content-Type", "Access-Control-Allow-Origin"


@dataclass(frozen=True)
class Answer:
    """
    One HTTP answer; status 0 stands for none, with the reason as its body.
    """

    status: int
    headers: Message
    body: bytes

    @property
    def kind(self) -> str:
        """
        Status and content type, such as "200 image/png".
        """
        if not self.status:
            return self.body.decode()
        return f"{self.status} {self.headers.get(_CONTENT, '').partition(';')[0]}".strip()

    @property
    def content(self) -> dict[str, Any]:
        """
        The JSON object in the body; empty where there is none.
        """
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def ask(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    timeout_s: float = 10,
) -> Answer:
    """
    Ask once, past any HTTP proxy; an error of HTTP is an answer as well.
    """
    request = urllib.request.Request(url, headers=dict(headers or {}), method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=timeout_s) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())
    except OSError as error:
        reason = getattr(error, "reason", error)
        return Answer(0, Message(), f"no answer: {reason}".encode())


def wait_for_dates(where: Addresses, token: Token, timeout_s: float = 300) -> pd.DataFrame:
    """
    What the tile server has, once it has looked at all of it; a row a date and filter.

    Seconds where the tiles are on a disk, minutes where they are on S3: each one's share is read.

    Columns: date, filter, tiles, share (of the ground, 0..1; none for RAW).
    """

    def probe() -> list[Any] | Pending:
        answer = ask(f"{where.tiles}/dates", token.header)
        if answer.status != HTTPStatus.OK:
            return Pending(answer.kind)
        if not answer.content.get("complete", True):
            return Pending("it is still counting")
        return list(answer.content["dates"])

    dates = wait_for("The tile server knows its dates", probe, timeout_s=timeout_s)
    rows = [
        (day["date"], name, layer["tiles"], layer.get("share"))
        for day in dates
        for name, layer in day["filters"].items()
    ]
    return pd.DataFrame(rows, columns=["date", "filter", "tiles", "share"])


def read_tiles(where: Addresses, token: Token, names: list[str]) -> dict[str, bytes]:
    """
    Tiles as the browser gets them; a name is for example `RAW/2004-01-15/0/0/0`.
    """
    answers = {name: ask(f"{where.tiles}/{name}", token.header) for name in names}
    failed = [f"{name}: {a.kind}" for name, a in answers.items() if a.kind != "200 image/png"]
    if failed:
        raise CommandError(
            f"expected {len(names)} tiles from {where.tiles}; {len(failed)} did not come",
            evidence="\n".join(failed),
            next_step="run 06_work_stack: it makes the results",
        )
    return {name: answer.body for name, answer in answers.items()}


def measure_answers(where: Addresses, token: Token, tiles: list[str]) -> pd.DataFrame:
    """
    Ask what a browser asks, and what it must not get; columns: question, expected, seen.

    Parameters
    ----------
    tiles
        Names of tiles that are there; the first one is also asked for in wrong ways.
    """
    rows = [*_of_the_page(where), *_of_the_tiles(where, token, tiles)]
    rows += _of_other_pages(where, f"{where.tiles}/{tiles[0]}")
    return pd.DataFrame(rows, columns=["question", "expected", "seen"])


_Row = tuple[str, str, str]


def _of_the_page(where: Addresses) -> list[_Row]:
    settings = ask(f"{where.page}/config.json").content
    return [
        ("the page", "200 text/html", ask(f"{where.page}/").kind),
        ("where it looks for tiles", where.tiles, str(settings.get("tiles_url", ""))),
    ]


def _of_the_tiles(where: Addresses, token: Token, tiles: list[str]) -> list[_Row]:
    url, json_kind = f"{where.tiles}/{tiles[0]}", "application/json"
    seen = {name: ask(f"{where.tiles}/{name}", token.header) for name in tiles}
    etag = {"If-None-Match": seen[tiles[0]].headers.get("ETag", "")}
    no_tile = f"{where.tiles}/{tiles[0].split('/')[0]}/1900-01-01/0/0/0"
    wrong = Token(f"{token.value}x").header
    return [
        ("health, without a token", "ok", str(ask(f"{where.tiles}/health").content.get("status"))),
        ("the filters", f"200 {json_kind}", ask(f"{where.tiles}/filters", token.header).kind),
        ("the dates", f"200 {json_kind}", ask(f"{where.tiles}/dates", token.header).kind),
        *((f"a tile of {name.split('/')[0]}", "200 image/png", a.kind) for name, a in seen.items()),
        ("the same tile once more, by its ETag", "304", ask(url, token.header | etag).kind),
        ("a tile that is not there", f"404 {json_kind}", ask(no_tile, token.header).kind),
        ("a tile without the token", f"401 {json_kind}", ask(url).kind),
        ("a tile with a wrong token", f"401 {json_kind}", ask(url, wrong).kind),
    ]


def _of_other_pages(where: Addresses, url: str) -> list[_Row]:
    """
    A browser asks first whether a page of this origin may send a token, and heeds the answer.
    """

    def allowed(origin: str) -> str:
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        headers = asked | {"Access-Control-Request-Headers": "authorization"}
        answer = ask(url, headers, method="OPTIONS")
        return answer.headers.get(_ALLOWED, "nobody") if answer.status else answer.kind

    return [
        ("which page may fetch tiles: ours", where.page, allowed(where.page)),
        ("which page may fetch tiles: another", "nobody", allowed(STRANGER)),
    ]
