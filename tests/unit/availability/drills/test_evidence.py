"""
Who noticed a fault, by the evidence; and the chart's title.
"""

from datetime import UTC, datetime, timedelta

import pandas as pd

from runbook_lib.availability.drills.audit import (
    SURFACES,
    AuditTrail,
    finished_per_second,
    reconcile,
)
from runbook_lib.availability.drills.evidence import (
    BY_ENGINE,
    BY_HEARTBEAT,
    BY_KEEP_ALIVE,
    BY_OPERATOR,
    Evidence,
    evaluate,
    find_first_notice,
    find_new_leader,
    parse_silent_workers,
)
from runbook_lib.availability.drills.faults import Fault
from runbook_lib.availability.drills.timeline import plot_timeline, timeline_title
from runbook_lib.availability.drills.times import Replacement
from runbook_lib.core.changes import Changes

BEGAN = datetime(2026, 1, 2, 3, 4, 0, tzinfo=UTC)
TILES = [f"3000-01-01/4/4/{n}" for n in range(60)]


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


def fault(name="worker hung", node="", *, recovers=True):
    return Fault(name, ("a",), lambda: None, Changes, node=node, recovers=recovers)


def evidence(swarm=(), killed=None, tasks=()):
    """Broken after 20 s, restored after 50, ended after 60."""
    states = pd.DataFrame([(at(t), r, s) for t, r, s in swarm], columns=["time", "role", "state"])
    states["time"] = pd.to_datetime(states["time"], utc=True)
    answers = [(at(n), "page", n != 25, "") for n in range(60)]
    web = pd.DataFrame(answers, columns=["time", "door", "ok", "answer"])
    return Evidence(at(0), at(20), at(50), at(60), dict(tasks), states, web, killed or {})


def trail():
    """A tile a second, each published a second before."""
    published = pd.DataFrame({"time": [at(n - 1) for n in range(60)], "tile": TILES})
    rows = [(at(n), t, layer) for n, t in enumerate(TILES) for layer in SURFACES]
    stored = pd.DataFrame(rows, columns=["time", "tile", "layer"]).assign(
        is_new=True, worker="w", task_redelivered=False, result_redelivered=False
    )
    return AuditTrail(published, stored)


def test_the_log_shows_which_worker_the_autoscaler_killed_and_when():
    log = (
        "2026-01-02T03:04:05.123456789Z  [!] Worker abc silent for 21 s: killed\n"
        "2026-01-02T03:04:10.5Z INFO [!] Worker abc silent for 26 s: killed\n"
    )

    assert {"abc": at(5.123456)} == parse_silent_workers(log)


def test_a_worker_that_hung_is_noticed_by_its_silence():
    recorded = evidence(killed={"a": at(41)})
    replacement = Replacement(ended=at(41.5))

    assert (BY_KEEP_ALIVE, at(41)) == find_first_notice(recorded, fault(), replacement)


def test_a_lost_node_is_noticed_by_its_heartbeat():
    recorded = evidence(swarm=[(5, "worker-2", "down"), (36, "worker-2", "down")])

    assert (BY_HEARTBEAT, at(36)) == find_first_notice(
        recorded, fault(node="worker-2", recovers=True), Replacement()
    )


def test_a_node_was_noticed_at_the_latest_when_its_tasks_were_rescheduled():
    recorded = evidence(swarm=[(36.4, "worker-2", "down")])
    replacement = Replacement(rescheduled=at(36.1))

    assert (BY_HEARTBEAT, at(36.1)) == find_first_notice(
        recorded, fault(node="worker-2"), replacement
    )


def test_a_process_that_was_killed_is_noticed_by_its_engine():
    replacement = Replacement(ended=at(20.2))

    assert (BY_ENGINE, at(20.2)) == find_first_notice(
        evidence(), fault(node="", recovers=True), replacement
    )


def test_without_a_majority_only_the_operator_can_act():
    recorded = evidence(swarm=[(21, "the Swarm", "no leader")])

    assert (BY_OPERATOR, at(21)) == find_first_notice(
        recorded, fault(node="manager", recovers=False), Replacement()
    )


def test_a_leader_without_a_majority_first_reports_the_others_as_down():
    recorded = evidence(swarm=[(33, "manager", "down"), (40, "the Swarm", "no leader")])

    assert (BY_OPERATOR, at(33)) == find_first_notice(
        recorded, fault(node="manager", recovers=False), Replacement()
    )


def test_a_new_leader_is_another_manager_before_the_restore():
    swarm = "the Swarm"
    stopped = fault(node="manager")
    before, none = (19, swarm, "led by manager"), (21, swarm, "no leader")

    assert at(27) == find_new_leader(
        evidence(swarm=[before, none, (27, swarm, "led by admin-web")]), stopped
    )
    assert find_new_leader(evidence(swarm=[before, none]), stopped) is None
    assert (
        find_new_leader(evidence(swarm=[before, none, (28, swarm, "led by manager")]), stopped)
        is None
    )
    assert (
        find_new_leader(evidence(swarm=[before, none, (51, swarm, "led by admin-web")]), stopped)
        is None
    )


def test_without_evidence_only_the_operator_can_notice():
    assert (BY_OPERATOR, None) == find_first_notice(
        evidence(), fault(node="", recovers=True), Replacement()
    )


def outcome(lacking=()):
    on_disk = {layer: set(TILES) - set(lacking) for layer in SURFACES}
    recorded = evidence(killed={"a": at(41)})
    tiles, rates = reconcile(trail(), on_disk), finished_per_second(trail())
    return evaluate("21_x", fault(), (), recorded, tiles, rates)


def test_a_tile_that_the_disk_lacks_is_lost():
    assert (60, 1) == (outcome(TILES[:1]).result.published, outcome(TILES[:1]).result.lost)


def test_failed_requests_are_counted_by_door():
    assert {"page": 1} == outcome().result.web_failed


def test_the_title_states_the_timeline_title():
    assert (
        "worker hung: noticed after 21 s, throughput never fell below 90 %, 0 of 60 tiles lost"
        == timeline_title(outcome())
    )


def test_the_timeline_draws_every_moment_and_every_failed_request():
    drawn = plot_timeline(outcome()).to_dict()
    rows = [row for data in drawn["datasets"].values() for row in data]

    assert {"fault", "noticed", "restored"} == {r["what"] for r in rows if "what" in r}
    assert 1 == len([r for r in rows if r.get("ok") is False])
