"""
Who noticed a failure, by the evidence of each who could; and the chart's sentence.
"""

from datetime import UTC, datetime, timedelta

import pandas as pd

from runbook_lib.availability.drills.audit import SURFACES, Books, settle, throughput
from runbook_lib.availability.drills.evidence import (
    ENGINE,
    HEARTBEAT,
    KEEP_ALIVE,
    OPERATOR,
    Events,
    judge,
    led_again,
    noticed,
    silent_workers,
    tiles_on_disk,
)
from runbook_lib.availability.drills.failures import Failure
from runbook_lib.availability.drills.timeline import finding, plot_timeline
from runbook_lib.availability.drills.times import Replacement
from runbook_lib.core.changes import Changes

BEGAN = datetime(2026, 1, 2, 3, 4, 0, tzinfo=UTC)
TILES = [f"3000-01-01/4/4/{n}" for n in range(60)]


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


def failure(name="worker hung", node="", *, heals=True):
    return Failure(name, ("a",), lambda: None, Changes, node=node, heals=heals)


def events(swarm=(), replaced=None, tasks=()):
    """Broken after 20 s, restored after 50, ended after 60."""
    states = pd.DataFrame([(at(t), r, s) for t, r, s in swarm], columns=["time", "role", "state"])
    states["time"] = pd.to_datetime(states["time"], utc=True)
    answers = [(at(n), "page", n != 25, "") for n in range(60)]
    web = pd.DataFrame(answers, columns=["time", "door", "ok", "seen"])
    return Events(at(0), at(20), at(50), at(60), list(tasks), states, web, replaced or {})


def books():
    """A tile a second, each published a second before."""
    published = pd.DataFrame({"time": [at(n - 1) for n in range(60)], "tile": TILES})
    rows = [(at(n), t, layer) for n, t in enumerate(TILES) for layer in SURFACES]
    stored = pd.DataFrame(rows, columns=["time", "tile", "layer"]).assign(
        is_new=True, worker="w", task_redelivered=False, result_redelivered=False
    )
    return Books(published, stored)


def test_the_log_tells_whom_the_autoscaler_killed_and_when():
    log = (
        "2026-01-02T03:04:05.123456789Z  [!] Worker abc silent for 21 s: killed\n"
        "2026-01-02T03:04:10.5Z INFO [!] Worker abc silent for 26 s: killed\n"
    )

    assert {"abc": at(5.123456)} == silent_workers(log)


def test_a_worker_that_hung_is_noticed_by_its_silence():
    seen = events(replaced={"a": at(41)})
    found = Replacement(ended=at(41.5))

    assert (KEEP_ALIVE, at(41)) == noticed(seen, failure(node="", heals=True), found)


def test_a_node_that_went_is_noticed_by_its_heartbeat():
    seen = events(swarm=[(5, "worker-2", "down"), (36, "worker-2", "down")])

    assert (HEARTBEAT, at(36)) == noticed(seen, failure(node="worker-2", heals=True), Replacement())


def test_a_node_was_noticed_at_the_latest_when_its_tasks_were_made_anew():
    seen = events(swarm=[(36.4, "worker-2", "down")])
    found = Replacement(rescheduled=at(36.1))

    assert (HEARTBEAT, at(36.1)) == noticed(seen, failure(node="worker-2"), found)


def test_a_process_that_was_killed_is_noticed_by_its_engine():
    found = Replacement(ended=at(20.2))

    assert (ENGINE, at(20.2)) == noticed(events(), failure(node="", heals=True), found)


def test_where_nobody_is_left_to_act_the_operator_is():
    seen = events(swarm=[(21, "the Swarm", "no leader")])

    assert (OPERATOR, at(21)) == noticed(seen, failure(node="manager", heals=False), Replacement())


def test_a_leader_that_has_lost_the_others_says_first_that_they_are_down():
    seen = events(swarm=[(33, "manager", "down"), (40, "the Swarm", "no leader")])

    assert (OPERATOR, at(33)) == noticed(seen, failure(node="manager", heals=False), Replacement())


def test_a_new_leader_is_another_one_before_anything_was_restored():
    swarm = "the Swarm"
    lost = failure(node="manager")
    before, none = (19, swarm, "led by manager"), (21, swarm, "no leader")

    assert at(27) == led_again(events(swarm=[before, none, (27, swarm, "led by admin-web")]), lost)
    assert led_again(events(swarm=[before, none]), lost) is None
    assert led_again(events(swarm=[before, none, (28, swarm, "led by manager")]), lost) is None
    assert led_again(events(swarm=[before, none, (51, swarm, "led by admin-web")]), lost) is None


def test_without_evidence_nobody_noticed():
    assert (OPERATOR, None) == noticed(events(), failure(node="", heals=True), Replacement())


def test_a_listing_becomes_the_tiles_of_each_layer():
    found = tiles_on_disk("DESERT/3000-01-01/0/0/0.png\nREJECTED/3000-01-01/1/0/1.json\nx\n")

    assert ({"3000-01-01/0/0/0"}, {"3000-01-01/1/0/1"}) == (found["DESERT"], found["REJECTED"])


def judged(lacking=()):
    on_disk = {layer: set(TILES) - set(lacking) for layer in SURFACES}
    seen = events(replaced={"a": at(41)})
    account, rates = settle(books(), on_disk), throughput(books())
    return judge("21_x", failure(), (), seen, account, rates)


def test_a_tile_that_the_disk_lacks_is_lost():
    assert (60, 1) == (judged(TILES[:1]).result.published, judged(TILES[:1]).result.lost)


def test_failed_requests_are_counted_by_door():
    assert {"page": 1} == judged().result.web_failed


def test_the_title_states_the_finding():
    assert (
        "worker hung: noticed after 21 s, throughput never fell below 90 %, 0 of 60 tiles lost"
        == finding(judged())
    )


def test_the_timeline_draws_every_moment_and_every_failed_request():
    drawn = plot_timeline(judged()).to_dict()
    rows = [row for data in drawn["datasets"].values() for row in data]

    assert {"broke", "noticed", "restored"} == {r["what"] for r in rows if "what" in r}
    assert 1 == len([r for r in rows if r.get("ok") is False])
