"""
What became of each tile, one JSON line an event: the books that a drill is checked against.

Off by default: at hundreds of tiles a second the lines would crowd out everything else.
"""

import json
import logging
from dataclasses import dataclass

from geodiff.tiles import Tile

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Audit:
    """
    Writes to the service's log where AUDIT is 1.
    """

    is_kept: bool

    def note(self, event: str, tile: Tile | str, **facts: object) -> None:
        if self.is_kept:
            log.info("%s", json.dumps({"audit": event, "tile": str(tile), **facts}))
