"""
The results on the manager's disk: awaited, counted, and compared with the reference.

The reference is the segmentation by Geo-Diff's original worker, once per surface.
Source: `services/worker/geodiff_worker.py` of Geo-Diff. Its hue ranges, used here as well, are
tuned to swapped red and blue (`COLOR_RGB2HSV` on OpenCV's BGR order).
"""

import time
from collections.abc import Mapping

import cv2
import fabric
import numpy as np
import pandas as pd
from IPython.display import HTML
from markupsafe import Markup
from numpy.typing import NDArray

from runbook_lib.core.charts import alt
from runbook_lib.core.errors import IntegrityError, WaitTimeoutError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.service_modules import service_module
from runbook_lib.geodiff.tiles import DataSet, count_tiles, data_uri, find_tiles, read_tiles

HUES = {"FOREST-JUNGLE": (41, 79), "OCEAN-SEA": (0, 40), "DESERT": (80, 135)}
"""The lowest and highest hue per surface, on OpenCV's scale of 0..179."""

Image = NDArray[np.uint8]
_STALLED_S = 120


def wait_for_results(
    manager: fabric.Connection, data: DataSet, surfaces: list[str], *, stack_name: str
) -> pd.DataFrame:
    """
    Wait until every RAW tile has a result per surface, or is rejected; return the counts.

    Columns: surface (RAW is the input, REJECTED is unreadable input), date, tiles. Without surfaces
    to wait for, no request is sent, and the table is empty.

    Raises WaitTimeoutError after 25 minutes, or after two without a new result.
    """
    if not surfaces:
        return pd.DataFrame(columns=["surface", "date", "tiles"])
    best, since = -1, time.monotonic()

    def probe() -> pd.DataFrame | Pending:
        nonlocal best, since
        counts = count_tiles(manager, data)
        by_surface = counts.groupby("surface")["tiles"].sum().to_dict()
        raw, rejected = by_surface.get("RAW", 0), by_surface.get("REJECTED", 0)
        wanted = (raw - rejected) * len(surfaces)
        done = sum(by_surface.get(surface, 0) for surface in surfaces)
        if done >= wanted:
            return counts
        if done > best:
            best, since = done, time.monotonic()
        if time.monotonic() - since > _STALLED_S:
            raise WaitTimeoutError(
                f"expected {wanted} results; {done} are there, and none came for {_STALLED_S} s",
                next_step=f"docker service logs {stack_name}_worker  on the manager",
            )
        return Pending(f"{done} of {wanted} results", done, wanted)

    return wait_for("Tiles segmented", probe, timeout_s=1500, poll_s=2)


def compare_sample(
    manager: fabric.Connection, data: DataSet, surfaces: list[str], *, count: int = 12
) -> pd.DataFrame:
    """
    Segment a sample of RAW tiles locally, like the original worker, and compare pixel by pixel.

    Columns: tile, surface, share (of the tile's pixels), equal_pixels (of all, 1.0 is perfect).
    """
    tiles = find_tiles(manager, data, surfaces[0]) if surfaces else []
    chosen = [tiles[n] for n in np.linspace(0, len(tiles) - 1, count, dtype=int)] if tiles else []
    stored = read_tiles(
        manager, data, [f"{kind}/{tile}" for tile in chosen for kind in ("RAW", *surfaces)]
    )
    rows = []
    for tile in chosen:
        for surface in surfaces:
            expected = segment(stored[f"RAW/{tile}"], surface, name=f"RAW/{tile}")
            actual = decode(stored[f"{surface}/{tile}"], name=f"{surface}/{tile}")
            equal = float(np.mean(np.all(expected == actual, axis=2)))
            rows.append((tile, surface, float(np.mean(expected[..., 3] > 0)), equal))
    return pd.DataFrame(rows, columns=["tile", "surface", "share", "equal_pixels"])


def decode(data: bytes, flags: int = cv2.IMREAD_UNCHANGED, *, name: str = "a tile") -> Image:
    """
    Return the pixels of a tile or result as stored, 256 x 256 x channels (BGR or BGRA).

    Raises IntegrityError if it is no whole PNG of that size: the decoder never sees another one.
    """
    png, image = service_module("png"), None
    try:
        image = cv2.imdecode(np.frombuffer(png.tile_pixels(data), np.uint8), flags)
        reason = "OpenCV cannot decode it"
    except (png.PngError, cv2.error) as error:
        reason = str(error)
    if image is None:
        raise IntegrityError(
            f"expected {name} to be a PNG of 256 x 256 pixels; it is not",
            evidence=reason[:300],
            next_step="replace it by a readable tile, or remove it, then run 06_work_stack",
        )
    return np.asarray(image, np.uint8)


def segment(raw_png: bytes, surface: str, *, name: str = "a RAW tile") -> Image:
    """
    Extract one surface of a RAW tile as BGRA; all other pixels are (0, 0, 0, 0).

    Raises IntegrityError as `decode` does.
    """
    image = decode(raw_png, cv2.IMREAD_COLOR, name=name)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    low, high = HUES[surface]
    mask = cv2.inRange(hsv, np.array([low, 0, 0]), np.array([high, 255, 255]))
    return np.dstack([cv2.bitwise_and(image, image, mask=mask), mask]).astype(np.uint8)


def missing(counts: pd.DataFrame, surfaces: list[str]) -> int:
    """
    Return the number of missing results for readable RAW tiles.
    """
    total = counts.groupby("surface")["tiles"].sum()
    wanted = int(total.get("RAW", 0) - total.get("REJECTED", 0))
    return sum(max(0, wanted - int(total.get(surface, 0))) for surface in surfaces)


def show_tiles(
    manager: fabric.Connection, data: DataSet, tiles: list[str], surfaces: list[str]
) -> HTML:
    """
    Show RAW tiles from the disk, each next to its results.
    """
    names = [f"{kind}/{tile}" for tile in tiles for kind in ("RAW", *surfaces)]
    stored = read_tiles(manager, data, names)
    return pictures({name: stored[name] for name in names})


def pictures(tiles: Mapping[str, bytes]) -> HTML:
    """
    Show PNGs side by side, each with its name.
    """
    if not tiles:
        return HTML(Markup("<p>No tile to show.</p>"))
    figure = Markup(
        "<figure style='display:inline-block;margin:4px'><img width=200 alt='{0}' src='{1}' "
        "style='background:repeating-conic-gradient(#ddd 0 25%,#fff 0 50%) 0 0/16px 16px'>"
        "<figcaption>{0}</figcaption></figure>"
    )
    return HTML(Markup().join(figure.format(name, data_uri(png)) for name, png in tiles.items()))


def plot_counts(counts: pd.DataFrame, surfaces: list[str]) -> alt.Chart:
    """
    Draw tiles by date, one panel per surface; the title states whether any are missing.
    """
    if not surfaces:
        empty: alt.Chart = alt.Chart(counts, title="No surface is awaited", height=20).mark_point()
        return empty
    raw = int(counts[counts["surface"] == "RAW"]["tiles"].sum())
    title = f"All {raw} tiles have their {len(surfaces)} results"
    if lacking := missing(counts, surfaces):
        title = f"{lacking} results of {raw} tiles are missing"
    shown = counts[counts["surface"].isin(["RAW", *surfaces])]
    chart: alt.Chart = (
        alt.Chart(shown, title=title)
        .mark_bar()
        .encode(
            x=alt.X("date:N", title="date"),
            y=alt.Y("tiles:Q", title="tiles on the manager's disk"),
            color=alt.Color("surface:N", legend=None, scale=_colours(["RAW", *surfaces])),
            column=alt.Column("surface:N", title=None, sort=["RAW", *surfaces]),
        )
        .properties(width=150, height=140)
    )
    return chart


def plot_shares(shares: pd.DataFrame) -> alt.Chart:
    """
    Draw each surface's share of the ground by date; the title names the one that changes most.

    Columns of `shares`: date, filter, share (0..1; rows without it are left out).
    """
    known = shares.dropna(subset="share")
    by_surface = known.groupby("filter")["share"]
    title = "No surface has its share yet"
    if len(known):
        most = str((by_surface.max() - by_surface.min()).idxmax())
        share = known.loc[known["filter"] == most, "share"]
        title = f"{most} changes most: {share.min():.1%} to {share.max():.1%} of the ground"
    chart: alt.Chart = (
        alt.Chart(known, title=title)
        .mark_line(point=True)
        .encode(
            x=alt.X("date:T", title="date"),
            y=alt.Y("share:Q", title="share of the ground", axis=alt.Axis(format="%")),
            color=alt.Color("filter:N", title=None, scale=_colours(sorted(set(known["filter"])))),
        )
        .properties(width=560, height=220)
    )
    return chart


def _colours(kinds: list[str]) -> alt.Scale:
    known = {"FOREST-JUNGLE": "#2f7d3b", "OCEAN-SEA": "#2369a8", "DESERT": "#c9973f"}
    return alt.Scale(domain=kinds, range=[known.get(kind, "#8a929c") for kind in kinds])
