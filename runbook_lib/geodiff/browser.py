"""
The web stack as a browser sees it: requests from the internet, like those of the map's users.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

import pandas as pd
import requests
from requests.adapters import HTTPAdapter

from runbook_lib.core.errors import CommandError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.web import Addresses, Token

_LARGEST = 8 * 2**20
"""Bytes of an answer; a tile has at most two MiB."""


@dataclass(frozen=True)
class WebAnswer:
    """
    One HTTP response; `kind` is status and content type ("200 image/png"), or why there is none.
    """

    kind: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def content(self) -> dict[str, Any]:
        """
        The JSON object in the body; empty if there is none.
        """
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def fetch(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    timeout_s: float = 10,
    pin: str = "",
) -> WebAnswer:
    """
    Send one request, bypassing any HTTP proxy; an HTTP error is returned as a response.

    `pin` is the SHA-256 of the only certificate that is accepted, whoever signed it.
    """
    with requests.Session() as session:
        session.trust_env = False
        if pin:
            session.verify = False  # the hash says more: which certificate, not who signed one
            session.mount("https://", _Pinned(pin))
        session.headers["Accept-Encoding"] = "identity"  # bytes and ETag as stored
        try:
            response = session.request(method, url, headers=headers, timeout=timeout_s, stream=True)
            body = bytearray()
            for piece in response.iter_content(64 * 1024):
                body += piece
                if len(body) > _LARGEST:
                    return WebAnswer(f"no answer: it has more than {_LARGEST} bytes")
        except requests.RequestException as error:
            return WebAnswer(f"no answer: {_first_cause(error)}")
    content_type = response.headers.get("Content-Type", "").partition(";")[0]
    kind = f"{response.status_code} {content_type}".strip()
    return WebAnswer(kind, response.status_code, response.headers, bytes(body))


class _Pinned(HTTPAdapter):
    def __init__(self, pin: str) -> None:
        self._pin = pin
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as its base
        super().init_poolmanager(*args, **options, assert_fingerprint=self._pin)


def _first_cause(error: BaseException) -> BaseException:
    # the operating system's message, below those of two libraries
    return _first_cause(error.__context__) if error.__context__ else error


def wait_for_dates(where: Addresses, token: Token, timeout_s: float = 300) -> pd.DataFrame:
    """
    Wait until the tile server has counted all its tiles; return one row per date and filter.

    It reads each tile's share, which takes seconds from a disk, minutes from S3.

    Columns: date, filter, tiles, share (of the ground, 0..1; none for RAW).
    """

    def probe() -> list[Any] | Pending:
        answer = fetch(f"{where.tiles}/dates", token.header, pin=where.pin)
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


def fetch_tiles(where: Addresses, token: Token, names: list[str]) -> dict[str, bytes]:
    """
    Fetch tiles like a browser; a name is for example `RAW/2004-01-15/0/0/0`.
    """
    ask = partial(fetch, pin=where.pin)
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
    Send a browser's requests, and invalid ones; columns: question, expected, seen.

    `tiles`: names of existing tiles; the first one is also requested in wrong ways.
    """
    ask, json_kind = partial(fetch, pin=where.pin), "application/json"
    url, absent = f"{where.tiles}/{tiles[0]}", f"{where.tiles}/RAW/1900-01-01/0/0/0"
    served = {name: ask(f"{where.tiles}/{name}", token.header) for name in tiles}
    etag = {"If-None-Match": served[tiles[0]].headers.get("ETag", "")}
    wrong = Token(f"{token.value}x").header
    settings, health = ask(f"{where.page}/config.json"), ask(f"{where.tiles}/health")
    rows = [
        ("the page", "200 text/html", ask(f"{where.page}/").kind),
        ("where it looks for tiles", where.tiles, str(settings.content.get("tiles_url", ""))),
        ("health, without a token", "ok", str(health.content.get("status"))),
        ("the filters", f"200 {json_kind}", ask(f"{where.tiles}/filters", token.header).kind),
        ("the dates", f"200 {json_kind}", ask(f"{where.tiles}/dates", token.header).kind),
        *((f"a tile of {n.split('/')[0]}", "200 image/png", a.kind) for n, a in served.items()),
        ("the same tile once more, by its ETag", "304", ask(url, token.header | etag).kind),
        ("a tile that is not there", f"404 {json_kind}", ask(absent, token.header).kind),
        ("a tile without the token", f"401 {json_kind}", ask(url).kind),
        ("a tile with a wrong token", f"401 {json_kind}", ask(url, wrong).kind),
        ("which page may fetch tiles: ours", where.page, _allowed_origin(ask, url, where.page)),
        (
            "which page may fetch tiles: another",
            "nobody",
            _allowed_origin(ask, url, "http://x.example"),
        ),
    ]
    return pd.DataFrame(rows, columns=["question", "expected", "seen"])


def _allowed_origin(ask: Callable[..., WebAnswer], url: str, origin: str) -> str:
    # the response to a browser's preflight: the origin that may send a token
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = ask(url, headers, method="OPTIONS")
    allowed = answer.headers.get("Access-Control-Allow-Origin", "nobody")
    return allowed if answer.status else answer.kind
