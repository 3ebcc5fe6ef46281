"""
The audit trail of a drill: the fate of every tile, from the dealer to the disk.

Dealer and updater log each published and stored tile to files next to the tiles (AUDIT), which
survive the process, its container and its engine.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from runbook_lib.availability.drills.times import by_time

SURFACES = ("FOREST-JUNGLE", "OCEAN-SEA", "DESERT")
REJECTED = "REJECTED"
_FLAGS = ["is_new", "task_redelivered", "result_redelivered"]
_TEXTS = dict.fromkeys(["time", "tile", "layer", "worker"], str)
_ENTRIES: dict[str, dict[str, type]] = {
    "published": {"time": str, "tile": str},
    "stored": {**_TEXTS, **dict.fromkeys(_FLAGS, bool)},
}
"""The fields of each kind of entry, and their types."""


@dataclass(frozen=True)
class AuditTrail:
    """
    One row per event, by time (UTC).

    Parameters
    ----------
    published
        Columns time, tile: every task with a publication confirmed by the broker.
    stored
        Columns time, tile, layer, worker (its Swarm task), is_new (whether the disk changed),
        task_redelivered and result_redelivered (whether the broker had delivered it before).
    """

    published: pd.DataFrame
    stored: pd.DataFrame


@dataclass(frozen=True)
class Reconciliation:
    """
    The audit trail compared with the disk.

    Parameters
    ----------
    counts
        Tiles published, of which each is done, rejected or lost; unexplained, on the disk without
        an entry (another process made them, or a file is missing); and published_twice,
        delivered_twice, done_twice.
    fates
        One row per tile; columns: tile, fate (done, rejected, lost or unexplained), published and
        stored (the number of its entries in the trail).
    """

    counts: dict[str, int]
    fates: pd.DataFrame

    def __repr__(self) -> str:
        return ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in self.counts.items())

    @property
    def mismatches(self) -> list[str]:
        """
        The lost or unexplained tiles, for which trail and disk disagree.
        """
        return list(self.fates.loc[self.fates["fate"].isin(["lost", "unexplained"]), "tile"])


def parse_trail(text: str, since: datetime) -> AuditTrail:
    """
    Parse the entries since a time from the concatenated audit files.

    What is no entry is left out: a drill kills the services while they write. Its tile is then
    lost or unexplained, as one without an entry.
    """
    entries = [entry for line in text.split("\n") if (entry := _entry(line, since))]
    published, stored = ([e for e in entries if e["audit"] == kind] for kind in _ENTRIES)
    flags = dict.fromkeys(_FLAGS, bool)
    return AuditTrail(
        by_time(published, list(_ENTRIES["published"])),
        by_time(stored, list(_ENTRIES["stored"])).astype(flags),
    )


def _entry(line: str, since: datetime) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        wanted = _ENTRIES[entry["audit"]]
        is_whole = all(isinstance(entry[name], kind) for name, kind in wanted.items())
        is_recent = datetime.fromisoformat(entry["time"]) >= since
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return (
        {"audit": entry["audit"], **{n: entry[n] for n in wanted}} if is_whole and is_recent else {}
    )


def parse_listing(listing: str) -> dict[str, set[str]]:
    """
    Parse the tiles of each layer, from lines of `<layer>/<date>/<z>/<y>/<x>` and a suffix.
    """
    tiles: dict[str, set[str]] = {layer: set() for layer in (*SURFACES, REJECTED)}
    for line in listing.splitlines():
        layer, _, name = line.partition("/")
        if layer in tiles:
            tiles[layer].add(name.rpartition(".")[0])
    return tiles


def reconcile(
    trail: AuditTrail,
    on_disk: Mapping[str, Collection[str]],
    before: Mapping[str, Collection[str]] | None = None,
) -> Reconciliation:
    """
    Compare the audit trail with the disk.

    If a dealer died between publishing and logging a task, the task is in the updater's entries.

    Parameters
    ----------
    on_disk
        The tiles of each layer (the surfaces, and REJECTED) on the disk.
    before
        The same, at the beginning of the trail.
    """
    stored = trail.stored
    names = set(trail.published["tile"]) | set(stored["tile"])
    done = names.intersection(*(on_disk.get(surface, ()) for surface in SURFACES))
    rejected = (names & set(on_disk.get(REJECTED, ()))) - done
    old = {tile for layer in (before or {}).values() for tile in layer}
    unexplained = {tile for layer in on_disk.values() for tile in layer} - names - old
    again = stored.duplicated(["tile", "layer"])
    redelivered = stored["task_redelivered"] | stored["result_redelivered"]
    lost = names - done - rejected
    kinds = {"done": done, "rejected": rejected, "lost": lost, "unexplained": unexplained}
    counts = {
        "published": len(names),
        **{kind: len(tiles) for kind, tiles in kinds.items()},
        "published_twice": int(trail.published["tile"].duplicated().sum()),
        "delivered_twice": stored.loc[again | redelivered, "tile"].nunique(),
        "done_twice": stored.loc[again, "tile"].nunique(),
    }
    fates = pd.Series({t: kind for kind, tiles in kinds.items() for t in tiles}, dtype=object)
    table = fates.rename_axis("tile").rename("fate").reset_index()
    for name, events in (("published", trail.published), ("stored", trail.stored)):
        table[name] = table["tile"].map(events["tile"].value_counts()).fillna(0).astype(int)
    return Reconciliation(counts, table.sort_values("tile", ignore_index=True))


def finished_per_second(trail: AuditTrail) -> pd.DataFrame:
    """
    Count the tiles finished per second; columns: time (start of the second), tiles_per_s.

    A tile is finished when its last layer is new on the disk; after a failover it may be finished
    a second time, on another disk.
    """
    new = trail.stored[trail.stored["is_new"]]
    copy = new.groupby(["tile", "layer"]).cumcount()
    finished = new.groupby(["tile", copy])["time"].max()
    if finished.empty:
        return pd.DataFrame({"time": pd.Series(dtype="datetime64[us, UTC]"), "tiles_per_s": []})
    counts = finished.to_frame("time").set_index("time").assign(tiles=1.0)["tiles"]
    return counts.resample("1s").sum().rename("tiles_per_s").reset_index()
