"""
The overlays of the broker cluster: on the way there, there, and on the way back.
"""

import pytest

from runbook_lib.geodiff import broker_cluster
from runbook_lib.geodiff.broker_cluster import AFTER, BEFORE, CLUSTER
from runbook_lib.stacks.compose.reading import read

WORK = "stacks/geo-diff/work.yml"
VARIANTS = {"there": [CLUSTER], "before": [CLUSTER, BEFORE], "after": [CLUSTER, AFTER]}
CLIENTS = ("dealer", "worker", "updater", "admin-worker")
NODES = ("rabbitmq", "rabbitmq-2", "rabbitmq-3")

every_variant = pytest.mark.parametrize("overlays", VARIANTS.values(), ids=VARIANTS)


def services(overlays=()):
    return read(WORK, overlays).services


@every_variant
def test_every_service_is_found_by_name_watched_and_restarted(overlays):
    for name, service in services(overlays).items():
        deploy = service["deploy"]
        assert "dnsrr" == deploy["endpoint_mode"], name
        assert "any" == deploy["restart_policy"]["condition"], name
        assert "rollback" == deploy["update_config"]["failure_action"], name
        assert "test" in service["healthcheck"], name
        assert all("host" == port["mode"] for port in service.get("ports", ())), name


@every_variant
def test_one_service_has_the_managements_port(overlays):
    having = [name for name, service in services(overlays).items() if service.get("ports")]
    assert ["rabbitmq" if AFTER in overlays else "broker-proxy"] == having


@every_variant
def test_no_two_services_share_a_brokers_data(overlays):
    mounts = [
        volume.split(":")[0]
        for service in services(overlays).values()
        for volume in service.get("volumes", ())
        if isinstance(volume, str)
    ]
    assert len(mounts) == len(set(mounts))
    assert set(mounts) <= set(read(WORK, overlays).content["volumes"])


@every_variant
def test_every_broker_is_read_only_and_keeps_its_cookie_in_memory(overlays):
    """A volume outlives its broker: whoever reads it later must not find the cookie."""
    for name, service in services(overlays).items():
        assert service["read_only"], name
        assert ["ALL"] == service["cap_drop"], name
        if "rabbitmq_erlang_cookie" in service.get("secrets", ()):
            tmpfs = [v["target"] for v in service["volumes"] if isinstance(v, dict)]
            assert ["/tmp"] == tmpfs, name


def test_nodes_of_the_cluster_know_each_other_by_hostnames_that_are_names_of_the_network():
    found = services([CLUSTER])
    names = [found[node]["hostname"] for node in NODES]
    assert [node.partition("@")[2] for node in broker_cluster.NODES] == names
    assert {" ".join(names)} == {found[node]["environment"]["CLUSTER_NODES"] for node in NODES}
    assert [names[0]] == found["rabbitmq"]["networks"]["work"]["aliases"]


def test_the_nodes_are_on_three_instances():
    found = services([CLUSTER])
    places = [found[node]["deploy"]["placement"]["constraints"] for node in NODES]
    assert [
        ["node.labels.typeNode == master"],
        ["node.labels.broker == 2"],
        ["node.labels.broker == 3"],
    ] == places


def test_a_node_fits_beside_three_workers_on_a_t2_micro():
    found = services([CLUSTER])
    share = [found[n]["deploy"]["resources"]["reservations"] for n in ("worker", "rabbitmq-2")]
    reaper = found["reaper"]["deploy"]["resources"]["reservations"]
    cpus = [float(part["cpus"]) for part in (*share, reaper)]
    memory = [int(part["memory"].removesuffix("M")) for part in (*share, reaper)]
    assert 3 * cpus[0] + cpus[1] + cpus[2] <= 1
    assert 3 * memory[0] + memory[1] + memory[2] <= 950


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_go_through_the_proxy_and_back(client):
    assert "broker-proxy" == services([CLUSTER])[client]["environment"]["AMQP_HOST"]
    assert services()[client] == services([CLUSTER, AFTER])[client]


def test_the_last_step_back_restarts_nothing():
    """
    The single broker is on the way back what it is afterwards, so that removing the rest is all.
    """
    assert services()["rabbitmq"] == services([CLUSTER, AFTER])["rabbitmq"]


def test_the_last_step_there_restarts_nothing():
    found = services([CLUSTER, BEFORE])
    assert "rabbitmq-before" not in services([CLUSTER])
    assert services([CLUSTER]) == {n: s for n, s in found.items() if n != "rabbitmq-before"}


def test_the_single_broker_keeps_its_name_and_data_while_it_waits():
    alone, waiting = services()["rabbitmq"], services([CLUSTER, BEFORE])["rabbitmq-before"]
    assert (alone["hostname"], alone["volumes"]) == (waiting["hostname"], waiting["volumes"])
    assert waiting["volumes"][0] not in services([CLUSTER])["rabbitmq"]["volumes"]
