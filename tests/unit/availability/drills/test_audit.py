"""
The audit trail of a drill: no published tile is lost unnoticed, no repeated work is hidden.
"""

import json
from datetime import UTC, datetime

import pandas as pd

from runbook_lib.availability.drills.audit import (
    REJECTED,
    SURFACES,
    AuditTrail,
    finished_per_second,
    parse_listing,
    parse_trail,
    reconcile,
)

TILES = ["2004-01-15/1/0/0", "2004-01-15/1/0/1", "2004-01-15/1/1/0"]


def published(*tiles):
    times = pd.to_datetime(range(len(tiles)), unit="s", utc=True)
    return pd.DataFrame({"time": times, "tile": tiles})


def stored(*rows):
    """Rows of second, tile, layer, is_new, task_redelivered."""
    table = pd.DataFrame(
        rows, columns=["time", "tile", "layer", "is_new", "task_redelivered"]
    ).assign(worker="w", result_redelivered=False)
    table["time"] = pd.to_datetime(table["time"], unit="s", utc=True)
    return table.astype({"is_new": bool, "task_redelivered": bool})


def whole(second, tile, *, is_new=True, redelivered=False):
    return [(second, tile, layer, is_new, redelivered) for layer in SURFACES]


def disk(*tiles, rejected=()):
    return dict.fromkeys(SURFACES, tiles) | {REJECTED: rejected}


def counts(result, *kinds):
    return tuple(result.counts[kind] for kind in kinds)


def test_what_is_published_and_on_the_disk_is_done():
    trail = AuditTrail(published(*TILES), stored(*(row for t in TILES for row in whole(5, t))))

    result = reconcile(trail, disk(*TILES))
    assert (3, 3, 0, 0) == counts(result, "published", "done", "rejected", "lost")
    assert [] == result.mismatches
    assert [("done", 1, 3)] * 3 == [tuple(row)[1:] for row in result.fates.itertuples(index=False)]


def test_a_published_tile_that_the_disk_lacks_is_lost_by_name():
    trail = AuditTrail(published(*TILES), stored(*whole(5, TILES[0])))
    result = reconcile(trail, disk(*TILES[:2]))

    assert "lost" == result.fates.set_index("tile").loc[TILES[2], "fate"]
    assert [TILES[2]] == result.mismatches


def test_two_of_three_surfaces_are_not_done():
    layers = dict.fromkeys(SURFACES[:2], TILES[:1])

    result = reconcile(AuditTrail(published(TILES[0]), stored()), layers)
    assert (1, [TILES[0]]) == (result.counts["lost"], result.mismatches)


def test_a_rejected_tile_is_accounted_for_and_not_lost():
    result = reconcile(AuditTrail(published(*TILES[:1]), stored()), disk(rejected=TILES[:1]))

    assert (1, 0) == counts(result, "rejected", "lost")


def test_a_tile_on_the_disk_without_an_entry_is_unexplained_unless_it_was_there_before():
    trail = AuditTrail(published(TILES[0]), stored(*whole(5, TILES[0])))

    assert 1 == reconcile(trail, disk(*TILES[:2])).counts["unexplained"]
    assert [TILES[1]] == reconcile(trail, disk(*TILES[:2])).mismatches
    assert [] == reconcile(trail, disk(*TILES[:2]), disk(TILES[1])).mismatches


def test_a_task_whose_dealer_died_before_logging_it_is_known_from_the_updater():
    result = reconcile(AuditTrail(published(), stored(*whole(5, TILES[0]))), disk(TILES[0]))

    assert (1, 1, 0) == counts(result, "published", "done", "unexplained")


def test_a_redelivered_task_that_changed_nothing_was_delivered_and_done_twice():
    rows = [*whole(5, TILES[0]), *whole(9, TILES[0], is_new=False, redelivered=True)]
    result = reconcile(AuditTrail(published(TILES[0]), stored(*rows)), disk(TILES[0]))

    assert (1, 1) == counts(result, "delivered_twice", "done_twice")


def test_a_task_that_a_dead_worker_held_was_delivered_twice_and_done_once():
    rows = whole(5, TILES[0], redelivered=True)
    result = reconcile(AuditTrail(published(TILES[0]), stored(*rows)), disk(TILES[0]))

    assert (1, 0) == counts(result, "delivered_twice", "done_twice")


def test_a_tile_counts_in_the_second_of_its_last_surface():
    rows = [*whole(5, TILES[0])[:2], (7, TILES[0], SURFACES[2], True, False), *whole(7, TILES[1])]
    rates = finished_per_second(AuditTrail(published(*TILES), stored(*rows)))

    assert [2.0] == list(rates["tiles_per_s"])


def test_a_tile_that_is_new_on_another_disk_too_was_finished_twice():
    rows = [*whole(5, TILES[0]), *whole(6, TILES[1]), *whole(7, TILES[0])]
    rates = finished_per_second(AuditTrail(published(*TILES), stored(*rows)))

    assert [1.0, 1.0, 1.0] == list(rates["tiles_per_s"])


def test_silence_is_a_rate_of_zero_and_no_gap():
    rows = [*whole(5, TILES[0]), *whole(8, TILES[1])]
    rates = finished_per_second(AuditTrail(published(*TILES), stored(*rows)))

    assert [1.0, 0.0, 0.0, 1.0] == list(rates["tiles_per_s"])


def test_nothing_stored_has_no_throughput():
    assert 0 == len(finished_per_second(AuditTrail(published(*TILES), stored())))


def test_the_entries_of_an_earlier_break_are_not_read():
    times = [datetime(2026, 1, 2, 3, 4, second, tzinfo=UTC) for second in (5, 6)]
    entries = [
        {"time": time.isoformat(timespec="microseconds"), "audit": "published", "tile": tile}
        for time, tile in zip(times, TILES, strict=False)
    ]
    trail = parse_trail("".join(f"{json.dumps(entry)}\n" for entry in entries), times[1])

    assert [(times[1], TILES[1])] == list(trail.published.itertuples(index=False, name=None))
    assert trail.stored.empty


def test_a_listing_becomes_the_tiles_of_each_layer():
    tiles = parse_listing("DESERT/3000-01-01/0/0/0.png\nREJECTED/3000-01-01/1/0/1.json\nx\n")

    assert ({"3000-01-01/0/0/0"}, {"3000-01-01/1/0/1"}) == (tiles["DESERT"], tiles["REJECTED"])
