"""
The tile server's HTTP API, as a Flask application; every answer but a tile is JSON.
"""

import hashlib
import json
import logging
import os
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from geodiff.access import PREFLIGHT, Token
from geodiff.catalogue import Catalogue, Day
from geodiff.quick_tiles import headers_for, keep, with_quick_tiles
from geodiff.tile_files import (
    FILTERS,
    MalformedNameError,
    NoSuchTileError,
    parse_address,
    read_tile,
)
from geodiff.tile_settings import TileServerSettings
from geodiff.tiles import RAW

log = logging.getLogger(__name__)

METHODS = "GET, HEAD, OPTIONS"
ASK_AGAIN = "private, no-cache"
NEVER_KEEP = "no-store"


def create_app(settings: TileServerSettings) -> Flask:
    """
    Build the application; nothing is read from the tiles before the first request.
    """
    app = Flask("geodiff", static_folder=None)
    app.url_map.merge_slashes = False  # `//` is malformed, not a reason to redirect
    root = settings.tiles_dir.resolve()
    token, catalogue = Token(settings.token), Catalogue(root)

    def answer(status: int, data: bytes, kind: str, kept: str, **headers: str) -> Response:
        origin = request.environ.get("HTTP_ORIGIN", "")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        every = headers_for(origin, settings.ui_origin, kept)
        return Response(data, status, headers=every | named, mimetype=kind)

    def answer_json(status: int, body: object, kept: str, **headers: str) -> Response:
        data = json.dumps(body, separators=(",", ":")).encode()
        return answer(status, data, "application/json", kept, **headers)

    def error(status: int, message: str, **headers: str) -> Response:
        return answer_json(status, {"error": message}, NEVER_KEEP, **headers)

    def answer_tagged(data: bytes, kind: str, kept: str, etag: str) -> Response:
        conditional = "HTTP_IF_NONE_MATCH" in request.environ
        if conditional and request.if_none_match.contains_weak(etag.strip('"')):
            return answer(304, b"", kind, kept, ETag=etag)
        return answer(200, data, kind, kept, ETag=etag)

    def answer_list(body: object) -> Response:
        data = json.dumps(body, separators=(",", ":")).encode()
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        return answer_tagged(data, "application/json", ASK_AGAIN, etag)

    @app.before_request
    def guard() -> Response | None:
        if request.method == "OPTIONS":
            preflight = request.environ.get("HTTP_ORIGIN", "") == settings.ui_origin
            response = answer(204, b"", "text/plain", NEVER_KEEP, Allow=METHODS)
            response.headers.extend(PREFLIGHT if preflight else {})
            return response
        if request.method not in {"GET", "HEAD"}:
            return error(405, f"expected one of {METHODS}", Allow=METHODS)
        given = request.environ.get("HTTP_AUTHORIZATION", "")
        if request.path != "/health" and not token.allows(given):
            return error(401, "expected Authorization: Bearer <token>", WWW_Authenticate="Bearer")
        return None

    @app.get("/health")
    def health() -> Response:
        try:
            with os.scandir(root) as entries:
                next(entries, None)
        except OSError as exc:
            return error(503, f"the tiles cannot be read: {exc.strerror}")
        return answer_json(200, {"status": "ok"}, NEVER_KEEP)

    @app.get("/filters")
    def filters() -> Response:
        return answer_list({"filters": FILTERS})

    @app.get("/dates")
    def dates() -> Response:
        only = request.args.get("filter")
        if only is not None and only not in FILTERS:
            return error(400, f"expected one of {', '.join(FILTERS)} as filter")
        listing = catalogue.listing()
        days = [_day(day, only) for day in listing.days if not only or day.layers[only].tiles]
        # `complete` is false only until all tiles have been counted once
        return answer_list({"dates": days, "complete": listing.complete})

    @app.get("/<layer>/<path:name>")
    def tile(layer: str, name: str) -> Response:
        if "%" in request.environ.get("RAW_URI", "").partition("?")[0]:
            raise MalformedNameError("the name of a tile needs no escapes")
        file = read_tile(root, layer, parse_address(layer, name))
        return answer_tagged(file.data, "image/png", keep(layer), file.etag)

    @app.errorhandler(MalformedNameError)
    def malformed(exc: MalformedNameError) -> Response:
        return error(400, str(exc))

    @app.errorhandler(NoSuchTileError)
    def missing(exc: NoSuchTileError) -> Response:
        return error(404, str(exc))

    @app.errorhandler(HTTPException)
    def refused(exc: HTTPException) -> Response:
        return error(exc.code or 500, exc.name.lower())

    @app.errorhandler(Exception)
    def failed(exc: Exception) -> Response:
        log.error("%s %.80s failed", request.method, request.path, exc_info=exc)
        return error(500, "internal error")

    app.wsgi_app = with_quick_tiles(app.wsgi_app, root, token, settings.ui_origin)
    return app


def _day(day: Day, only: str | None) -> dict[str, Any]:
    filters: dict[str, dict[str, Any]] = {}
    for name, layer in day.layers.items():
        if only in (None, name):
            filters[name] = {"tiles": layer.tiles}
            if name != RAW:
                filters[name]["share"] = None if layer.share is None else round(layer.share, 6)
    return {
        "date": day.date,
        "min_zoom": day.min_zoom,
        "max_zoom": day.max_zoom,
        "filters": filters,
    }
