"""
The change to a cluster of brokers and back: which overlays follow on which, and what lacks.
"""

import pytest

from runbook_lib.core.errors import ParameterError
from runbook_lib.geodiff import broker_cluster
from runbook_lib.geodiff.broker_cluster import (
    AFTER,
    BEFORE,
    CLUSTER,
    NODES,
    BrokerCluster,
    ClusterQueue,
)
from runbook_lib.stacks import deploy
from tests.fakes.docker import Engine, Service

OTHER = "stacks/geo-diff/other.yml"


def test_a_cluster_that_stands_alone_is_left_alone():
    assert [CLUSTER] == broker_cluster.overlays_to_cluster([CLUSTER])


@pytest.mark.parametrize("found", [[], [CLUSTER, BEFORE], [CLUSTER, AFTER]])
def test_on_the_way_to_it_the_single_broker_runs_beside_it(found):
    """
    Also after an interrupt on the way there or back: its messages are carried over once more.
    """
    assert [CLUSTER, BEFORE] == broker_cluster.overlays_to_cluster(found)


@pytest.mark.parametrize("found", [[CLUSTER], [CLUSTER, BEFORE], [CLUSTER, AFTER]])
def test_on_the_way_back_its_majority_serves_beside_the_single_broker(found):
    assert [CLUSTER, AFTER] == broker_cluster.overlays_from_cluster(found)


def test_where_no_cluster_is_there_is_no_way_back():
    assert [] == broker_cluster.overlays_from_cluster([])


def test_other_solutions_stay():
    assert [OTHER, CLUSTER, BEFORE] == broker_cluster.overlays_to_cluster([OTHER])
    assert [OTHER, CLUSTER] == broker_cluster.overlays_of_cluster([CLUSTER, BEFORE, OTHER])
    assert [OTHER, CLUSTER, AFTER] == broker_cluster.overlays_from_cluster([OTHER, CLUSTER])
    assert [OTHER] == broker_cluster.overlays_from_cluster([OTHER])
    assert [OTHER] == broker_cluster.overlays_without_cluster([OTHER, CLUSTER, AFTER])


def deployed(*labels):
    specs = [{"Labels": {"runbook.overlays": x} if x else {}} for x in labels]
    return Engine(services=[Service(f"s_{n}", spec) for n, spec in enumerate(specs)])


def test_the_swarm_knows_what_was_laid_over():
    assert [] == deploy.find_overlays(deployed("", ""), "s")
    assert [] == deploy.find_overlays(deployed(), "s")
    assert ["a.yml", "b.yml"] == deploy.find_overlays(deployed("a.yml,b.yml"), "s")


def test_a_deployment_that_was_cut_off_is_taken_for_the_one_with_more():
    assert ["a.yml", "b.yml"] == deploy.find_overlays(deployed("a.yml", "", "a.yml,b.yml"), "s")


@pytest.mark.parametrize(
    "roles", [["worker-1"], ["worker-1", "worker-1"], ["manager", "worker-1"], ["worker-1", "x"]]
)
def test_brokers_two_and_three_need_two_other_nodes(roles):
    engines = dict.fromkeys(["manager", "worker-1", "worker-2"])
    with pytest.raises(ParameterError, match="two different worker nodes"):
        broker_cluster.ensure_broker_labels(None, engines, roles)


def test_what_lacks_is_said_in_words():
    whole = ClusterQueue("TASK_QUEUE", "quorum", 3, 3)
    assert [] == BrokerCluster(NODES, (whole,)).lacking
    assert ["no client has declared its queues yet"] == BrokerCluster(NODES, ()).lacking
    assert [
        "rabbit@rabbitmq-3 does not run",
        "TASK_QUEUE is quorum with 2 of 3 members online",
        "OLD is classic with 0 of 0 members online",
    ] == BrokerCluster(
        NODES[:2],
        (ClusterQueue("TASK_QUEUE", "quorum", 3, 2), ClusterQueue("OLD", "classic", 0, 0)),
    ).lacking
