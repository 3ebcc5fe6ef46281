"""
The web stack's containers on real tiles, as a browser on this machine meets them.
"""

import math
import secrets
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from docker.models.containers import Container
from geodiff.segmentation import segment

from lab.sample import imagery
from runbook_lib.geodiff.browser import fetch
from tests.engine import build_image, ready_engine
from tests.places import IMAGES

WINTER, SUMMER, UNSEGMENTED = (imagery.date_of(month) for month in (1, 7, 10))
DAYS = (WINTER, SUMMER, UNSEGMENTED)
TILE = imagery.TILE


@dataclass(frozen=True)
class Site:
    """
    Where the page is, what opens it, and what it should show.
    """

    url: str
    tiles_url: str
    token: str
    tiles: Path
    tile_server: Container
    pin: str = ""

    def picture(self, layer: str, date: str, z: int, place: tuple[float, float], half: int):
        """
        The RGBA pixels around a place (latitude, longitude), put together from the tiles on disk.
        """
        column, row = pixel_of(place, z)
        found = np.zeros((2 * half, 2 * half, 4), np.uint8)
        for y in range((row - half) // TILE, (row + half - 1) // TILE + 1):
            for x in range((column - half) // TILE, (column + half - 1) // TILE + 1):
                path = self.tiles / layer / date / str(z) / str(y) / f"{x}.png"
                tile = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), _TO_RGBA[layer])
                top, left = y * TILE - row + half, x * TILE - column + half
                upper, leftmost = max(top, 0), max(left, 0)
                part = tile[upper - top : 2 * half - top, leftmost - left : 2 * half - left]
                height, width = part.shape[:2]
                found[upper : upper + height, leftmost : leftmost + width] = part
        return found

    def wait(self) -> None:
        """
        Until both answer, and the tile server has counted its tiles.
        """
        get(f"{self.url}/health", pin=self.pin)
        deadline = time.monotonic() + 120
        while b'"complete":true' not in get(f"{self.tiles_url}/dates", self.token, self.pin):
            assert time.monotonic() < deadline, "the tile server is still counting"
            time.sleep(0.2)


_TO_RGBA = dict.fromkeys(("FOREST-JUNGLE", "OCEAN-SEA", "DESERT"), cv2.COLOR_BGRA2RGBA)
_TO_RGBA["RAW"] = cv2.COLOR_BGR2RGBA


def pixel_of(place: tuple[float, float], z: int) -> tuple[int, int]:
    """
    Column and row of a place in the Web Mercator world of a zoom.
    """
    latitude, longitude = place
    size = TILE * 2**z
    northing = math.asinh(math.tan(math.radians(latitude))) / math.pi
    return round((longitude / 360 + 0.5) * size), round((1 - northing) / 2 * size)


def get(url: str, token: str = "", pin: str = "", timeout_s: float = 120) -> bytes:
    """
    The body, as soon as somebody answers.
    """
    deadline = time.monotonic() + timeout_s
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    while (answer := fetch(url, headers, pin=pin)).status != 200:
        assert time.monotonic() < deadline, f"{url}: {answer.kind}"
        time.sleep(0.2)
    return answer.body


def draw_tiles(root: Path) -> None:
    """
    Two dates with their results, and one that is not segmented yet.
    """
    world = imagery.mercator(imagery.read_blue_marble(), TILE * 2 ** imagery.ZOOMS[-1])
    for month in (1, 7, 10):
        imagery.write_date(world, month, root / "RAW")
    for date in (WINTER, SUMMER):
        for raw in (root / "RAW" / date).rglob("*.png"):
            for surface in segment(raw.read_bytes()):
                path = root / surface.name / raw.relative_to(root / "RAW")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(surface.png)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def open_site(folder: Path, pem: bytes = b"", pin: str = "") -> Iterator[Site]:
    """
    Build the images, run the containers as the stack does, and remove them in the end.

    `pem` is a certificate with its key, and `pin` the hash of it: then both ports speak TLS.
    """
    engine = ready_engine()
    label = f"map-test-{uuid.uuid4().hex[:8]}"
    token = secrets.token_urlsafe(24)
    (folder / "tile_api_token").write_text(token)
    (folder / "tile_api_token").chmod(0o444)
    tiles = folder / "tiles"
    draw_tiles(tiles)
    page_port, tiles_port = _free_port(), _free_port()
    scheme = "https" if pem else "http"
    url, tiles_url = (f"{scheme}://127.0.0.1:{port}" for port in (page_port, tiles_port))
    (folder / "web_tls").write_bytes(pem)
    (folder / "web_tls").chmod(0o444)
    certificate = {str(folder / "web_tls"): {"bind": "/run/secrets/web_tls", "mode": "ro"}}

    network = engine.networks.create(label, labels={"geodiff-test": label})

    def run(image: str, name: str, **options: object) -> Container:
        return engine.containers.run(
            build_image(engine, IMAGES / image, network_mode="host"),
            detach=True,
            labels={"geodiff-test": label},
            network=network.name,
            name=f"{label}-{name}",  # by which the others find it
            read_only=True,
            cap_drop=["ALL"],
            tmpfs={"/tmp": ""},
            **options,
        )

    def open_gate(service: str, behind: int, port: int) -> None:
        where = {"PORT": "8000", "SERVICE": f"{label}-{service}:{behind}"}
        run(
            "gate",
            f"{service}-gate",
            environment=where | {"TLS": "yes" if pem else "no"},
            volumes=certificate,
            ports={"8000/tcp": ("127.0.0.1", port)},
        )

    try:
        tile_server = run(
            "geo-diff",
            "tile-server",
            command=["tile-server"],
            environment={"UI_ORIGIN": url},
            volumes={
                str(tiles): {"bind": "/tiles", "mode": "ro"},
                str(folder / "tile_api_token"): {
                    "bind": "/run/secrets/tile_api_token",
                    "mode": "ro",
                },
            },
        )
        run("map", "map", environment={"TILES_URL": tiles_url})
        open_gate("tile-server", 5000, tiles_port)
        open_gate("map", 8080, page_port)
        site = Site(url, tiles_url, token, tiles, tile_server, pin)
        site.wait()
        yield site
    finally:
        for container in engine.containers.list(
            all=True, filters={"label": f"geodiff-test={label}"}
        ):
            container.remove(force=True, v=True)
        network.remove()
        engine.close()
