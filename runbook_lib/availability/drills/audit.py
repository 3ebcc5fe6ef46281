"""
The books of a drill: what became of every task, told by its tile, from the dealer to the disk.

Dealer and updater write down each tile that they publish and store, in files beside the tiles
(AUDIT): they are there whatever became of process, container and engine.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd

SURFACES = ("FOREST-JUNGLE", "OCEAN-SEA", "DESERT")
REJECTED = "REJECTED"
_PUBLISHED = ["time", "tile"]
_STORED = ["time", "tile", "layer", "is_new", "worker", "task_redelivered", "result_redelivered"]


@dataclass(frozen=True)
class Books:
    """
    One row an event, by time (UTC).

    Parameters
    ----------
    published
        Columns time, tile: every confirmed publication of a task.
    stored
        Columns time, tile, layer, is_new (whether the disk changed), worker (the Swarm task that
        made it), task_redelivered and result_redelivered (whether the broker gave it out before).
    """

    published: pd.DataFrame
    stored: pd.DataFrame


@dataclass(frozen=True)
class Account:
    """
    The balance: every task is in exactly one of done, rejected and lost.

    Parameters
    ----------
    fates
        One row a tile; columns: tile, fate (done, rejected, lost or unexplained), published and
        stored (how many entries the books have of it).
    unexplained
        On the disk, and in no book: somebody else made it, or a book is missing.
    """

    published: int
    done: int
    rejected: int
    lost: tuple[str, ...]
    unexplained: tuple[str, ...]
    published_twice: int
    delivered_twice: int
    done_twice: int
    fates: pd.DataFrame = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return (
            f"{self.published} tiles published: {self.done} done, {self.rejected} rejected, "
            f"{len(self.lost)} lost, {len(self.unexplained)} unexplained; "
            f"{self.published_twice} published twice, "
            f"{self.delivered_twice} delivered twice, {self.done_twice} done twice"
        )

    @property
    def balances(self) -> bool:
        """
        Whether books and disk tell of the same tiles.
        """
        return self.published == self.done + self.rejected and not self.unexplained


def parse_books(text: str, since: datetime) -> Books:
    """
    The entries from then on, of the files that lie beside the tiles, one after the other.
    """
    entries = [json.loads(line) for line in text.splitlines()]
    fresh = [entry for entry in entries if datetime.fromisoformat(entry["time"]) >= since]
    return Books(
        _frame([e for e in fresh if e["audit"] == "published"], _PUBLISHED),
        _frame([e for e in fresh if e["audit"] == "stored"], _STORED),
    )


def settle(
    books: Books,
    on_disk: Mapping[str, Collection[str]],
    before: Mapping[str, Collection[str]] | None = None,
) -> Account:
    """
    Compare the books with the disk.

    A task that a dealer published and died before it could note so is known by the updater's book.

    Parameters
    ----------
    on_disk
        The tiles of each layer (the surfaces, and REJECTED), as they lie on the disk.
    before
        The same, as it lay there when the books were opened.
    """
    stored = books.stored
    names = set(books.published["tile"]) | set(stored["tile"])
    done = names.intersection(*(on_disk.get(surface, ()) for surface in SURFACES))
    rejected = (names & set(on_disk.get(REJECTED, ()))) - done
    old = {tile for layer in (before or {}).values() for tile in layer}
    unexplained = {tile for layer in on_disk.values() for tile in layer} - names - old
    again = stored.duplicated(["tile", "layer"])
    redelivered = stored["task_redelivered"] | stored["result_redelivered"]
    kinds = {
        "done": done,
        "rejected": rejected,
        "lost": names - done - rejected,
        "unexplained": unexplained,
    }
    return Account(
        published=len(names),
        done=len(done),
        rejected=len(rejected),
        lost=tuple(sorted(kinds["lost"])),
        unexplained=tuple(sorted(unexplained)),
        published_twice=int(books.published["tile"].duplicated().sum()),
        delivered_twice=stored.loc[again | redelivered, "tile"].nunique(),
        done_twice=stored.loc[again, "tile"].nunique(),
        fates=_fates(books, kinds),
    )


def _fates(books: Books, kinds: Mapping[str, Collection[str]]) -> pd.DataFrame:
    fates = pd.Series({t: kind for kind, tiles in kinds.items() for t in tiles}, dtype=object)
    table = fates.rename_axis("tile").rename("fate").reset_index()
    for name, book in (("published", books.published), ("stored", books.stored)):
        table[name] = table["tile"].map(book["tile"].value_counts()).fillna(0).astype(int)
    return table.sort_values("tile", ignore_index=True)


def throughput(books: Books, bin_s: float = 1.0) -> pd.DataFrame:
    """
    Tiles finished by time; columns: time (start of the bin), tiles_per_s.

    A tile is finished when the last of its layers is on the disk for the first time; on another
    disk, after a failover, that is so again.
    """
    fresh = books.stored[books.stored["is_new"]]
    turn = fresh.groupby(["tile", "layer"]).cumcount()
    finished = fresh.groupby(["tile", turn])["time"].max()
    if finished.empty:
        return pd.DataFrame({"time": pd.Series(dtype="datetime64[us, UTC]"), "tiles_per_s": []})
    counts = finished.to_frame("time").set_index("time").assign(tiles=1)["tiles"]
    rates = counts.resample(pd.Timedelta(seconds=bin_s)).sum() / bin_s
    return rates.rename("tiles_per_s").reset_index()


def _frame(entries: list[dict[str, object]], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(entries, columns=columns)
    table["time"] = pd.to_datetime(table["time"], utc=True, format="ISO8601")
    kinds = {c: bool for c in columns if c.startswith("is_") or c.endswith("_redelivered")}
    return table.astype(kinds).sort_values("time", ignore_index=True)
