"""
The settings of the tile server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from geodiff.environment import Reader


@dataclass(frozen=True)
class TileServerSettings:
    tiles_dir: Path
    token: str = field(repr=False)
    ui_origin: str
    port: int
    threads: int


def tile_server_settings(environ: Mapping[str, str]) -> TileServerSettings:
    read = Reader(environ)
    return read.done(
        TileServerSettings(
            tiles_dir=read.directory("TILES_DIR", "/tiles", writable=False),
            token=read.secret("TILE_API_TOKEN_FILE", "/run/secrets/tile_api_token"),
            # an origin as browsers write it: neither a slash at the end nor `*`
            ui_origin=read.text("UI_ORIGIN", pattern=r"https?://[A-Za-z0-9.\[\]:-]+"),
            port=read.whole("PORT", 5000, 1, 65535),
            threads=read.whole("THREADS", 8, 1, 200),
        )
    )
