"""
A fast path to a tile: the plain case is answered without Flask.

Flask's routing, contexts and header objects cost four times what reading the tile does
(`tests/bench`). Flask still handles everything else: a missing token, a missing tile, a conditional
request, another method.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from geodiff.access import Token, cors_headers
from geodiff.tile_files import MalformedNameError, NoSuchTileError, parse_address, read_tile
from geodiff.tiles import RAW

# A result never changes once it is written; a RAW tile may be replaced by a newer one.
KEEP_RAW = "private, max-age=600, must-revalidate"
KEEP_RESULT = "private, max-age=31536000, immutable"

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., object]], Iterable[bytes]]


def keep(layer: str) -> str:
    return KEEP_RAW if layer == RAW else KEEP_RESULT


def headers_for(origin: str, ui_origin: str, kept: str) -> dict[str, str]:
    """
    Return the headers that every response has.
    """
    always = {"X-Content-Type-Options": "nosniff", "Vary": "Origin", "Cache-Control": kept}
    return always | cors_headers(origin, ui_origin)


def with_quick_tiles(app: Application, root: Path, token: Token, ui_origin: str) -> Application:
    """
    Put the fast path in front of a WSGI application.
    """

    def answer(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        plain = (
            environ["REQUEST_METHOD"] == "GET"
            and environ.get("RAW_URI") == path  # no escapes and no query
            and "HTTP_IF_NONE_MATCH" not in environ
            and token.allows(environ.get("HTTP_AUTHORIZATION", ""))
        )
        if plain:
            layer, _, name = path[1:].partition("/")
            try:
                file = read_tile(root, layer, parse_address(layer, name))
            except (NoSuchTileError, MalformedNameError, OSError):
                return app(environ, start_response)
            headers = headers_for(environ.get("HTTP_ORIGIN", ""), ui_origin, keep(layer))
            length = str(len(file.data))
            own = {"ETag": file.etag, "Content-Type": "image/png", "Content-Length": length}
            start_response("200 OK", list((headers | own).items()))
            return [file.data]
        return app(environ, start_response)

    return answer
