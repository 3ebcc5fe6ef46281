"""
The proof by connecting: what is expected, what is seen, and what is said of a difference.
"""

import os
import shlex
import socket

import pytest

from runbook_lib.cloud.firewall import guide_rules, wanted_rules
from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.hosts.agents.probe import probe_tcp
from runbook_lib.hosts.reachability import (
    SERVED,
    compare,
    expected_matrix,
    expected_services,
    explain,
    measure_matrix,
)
from runbook_lib.hosts.reachability_chart import plot_matrix
from tests.fakes.ec2 import instance
from tests.fakes.ssh import LocalConnection

OPERATOR = "203.0.113.7/32"
ROLES = ["manager", "worker-1", "worker-2", "worker-3", "worker-4", "admin-web"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a packet socket is root's alone")


CLUSTER = [instance(r, f"10.0.0.{n}", f"198.51.100.{n}") for n, r in enumerate(ROLES, start=4)]
LOOPBACK = [instance(role, "127.0.0.1", "127.0.0.1") for role in ("manager", "worker-1")]


def open_ports(matrix, source, target):
    rows = matrix[(matrix["source"] == source) & (matrix["target"] == target) & matrix["open"]]
    return {f"{row.protocol}/{row.port}" for row in rows.itertuples()}


@pytest.fixture
def silent_port():
    """
    A port that answers nothing: its queue is full, so the kernel drops what comes.
    """
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for fill in (first, second):
            fill.setblocking(False)
            fill.connect_ex(deaf.getsockname())
        yield deaf.getsockname()[1]


@pytest.fixture
def free_port():
    """
    A port on which nothing listens.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_every_source_asks_every_target_for_every_port():
    """
    Six nodes, the operator and a stranger; nobody asks himself.
    """
    matrix = expected_matrix(CLUSTER, guide_rules(OPERATOR), OPERATOR)

    assert len(matrix) == (6 * 5 + 6 + 6) * 12


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("worker-1", "worker-2", {"tcp/2376", "tcp/7946", "udp/7946", "udp/4789", "tcp/5001"}),
        ("operator", "worker-2", {"tcp/22"}),
        ("operator", "manager", {"tcp/22", "tcp/5000", "tcp/8080"}),
        ("outside", "manager", {"tcp/5000", "tcp/8080"}),
        ("outside", "worker-2", set()),
        (
            "admin-web",
            "manager",
            {
                *("tcp/2376", "tcp/2377", "tcp/5000", "tcp/5001", "tcp/5672", "tcp/7946"),
                *("tcp/8080", "tcp/15672", "tcp/15674", "udp/4789", "udp/7946"),
            },
        ),
    ],
)
def test_the_tables_say_who_reaches_what(source, target, expected):
    """
    With X3, X4 and X5 as the runbook reads them.
    """
    matrix = expected_matrix(CLUSTER, guide_rules(OPERATOR), OPERATOR)

    assert expected == open_ports(matrix, source, target)


def test_outside_is_a_worker_that_asks_a_public_address():
    """
    Another worker where worker-1 is the target.
    """
    matrix = expected_matrix(CLUSTER, guide_rules(OPERATOR), OPERATOR)

    outside = matrix[matrix["source"] == "outside"]
    expected = {i.role: ("worker-1", i.public_ip) for i in CLUSTER}
    expected["worker-1"] = ("worker-2", CLUSTER[1].public_ip)
    assert expected == {r.target: (r.via, r.address) for r in outside.itertuples()}


def test_an_instance_without_a_public_address_cannot_be_proved():
    """
    All of them are named.
    """
    with pytest.raises(NotFoundError, match=r"missing: worker-1, worker-2"):
        expected_matrix(
            [instance("worker-1", "10.0.0.4", ""), instance("worker-2", "10.0.0.5", "")], [], ""
        )


def test_a_connection_is_accepted_refused_or_met_with_silence(silent_port, free_port):
    """
    And an address to which there is no way is unreachable.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports = [listener.getsockname()[1], free_port, silent_port]
        probes = [(row, "tcp", "127.0.0.1", port) for row, port in enumerate(ports)]

        answers = probe_tcp([*probes, (3, "tcp", "255.255.255.255", 1)], 0.3)

    assert answers == {0: "accepted", 1: "refused", 2: "silence", 3: "unreachable"}


@needs_root
def test_a_measurement_asks_again_what_differs_and_says_what_it_saw(silent_port, free_port):
    """
    Datagrams are heard where nothing listens; the second look costs nothing else.
    """
    manager, worker = LocalConnection(), LocalConnection()
    questions = expected_matrix(
        LOOPBACK,
        guide_rules(OPERATOR),
        OPERATOR,
    )
    expected = questions[questions["target"] == "manager"].head(4).reset_index(drop=True)
    expected["protocol"] = ["tcp", "tcp", "udp", "udp"]
    expected["port"] = [free_port, silent_port, 4789, free_port]
    expected["open"] = True

    measured = measure_matrix(
        {"manager": manager, "worker-1": worker}, expected, timeout_s=0.2, pause_s=0
    )

    assert measured["answer"].tolist() == ["refused", "silence", "heard", "heard"]
    assert [row.port for row in compare(expected, measured).itertuples()] == [silent_port]
    assert [len(manager.sessions), len(worker.sessions)] == [2, 2]


def test_who_serves_the_internet_is_asked_apart_from_what_the_firewall_lets_through():
    """
    Every TCP port but SSH, of every node, from the operator and from a stranger.
    """
    matrix = expected_matrix(CLUSTER, guide_rules(OPERATOR), OPERATOR)
    expected = expected_services(matrix, {("admin-web", 8080), ("manager", 5000)})

    assert len(expected) == 6 * 2 * 9
    assert {"operator", "outside"} == set(expected["source"])
    assert {"tcp/8080"} == open_ports(expected, "outside", "admin-web")
    assert {"tcp/5000"} == open_ports(expected, "operator", "manager")
    assert set() == open_ports(expected, "outside", "worker-1")


def test_what_another_stack_opens_to_the_internet_is_not_asked_where_it_is_open():
    """It may serve there, or not yet; that is not what the web stack's page checks."""
    rules = wanted_rules(OPERATOR, ["web: tcp/80 from 0.0.0.0/0", "worker: tcp/81 from worker"])
    matrix = expected_matrix(CLUSTER, rules, OPERATOR)
    expected = expected_services(matrix, {("admin-web", 8080), ("manager", 5000)}, rules)

    asked = set(expected.loc[expected["port"] == 80, "target"])
    assert {"worker-1", "worker-2", "worker-3", "worker-4"} == asked
    assert {i.role for i in CLUSTER} == set(expected.loc[expected["port"] == 81, "target"])
    assert {"tcp/80", "tcp/5000", "tcp/8080"} <= open_ports(matrix, "outside", "manager")


def test_the_map_is_served_to_the_network_that_may_reach_it_and_to_the_operator():
    rules = wanted_rules(OPERATOR, web_cidr="192.0.2.0/30")
    matrix = expected_matrix(CLUSTER, rules, OPERATOR)
    expected = expected_services(matrix, {("admin-web", 8080), ("manager", 5000)}, rules)

    assert {"tcp/8080"} == open_ports(expected, "operator", "admin-web")
    assert set() == open_ports(expected, "outside", "admin-web")


@needs_root
def test_a_refusal_comes_through_the_firewall_and_serves_nobody(free_port):
    """
    The same answer counts as open for the firewall and as closed for a service.
    """
    matrix = expected_matrix(LOOPBACK, guide_rules(OPERATOR), OPERATOR).head(1)
    question = matrix.assign(port=free_port, open=False)
    connections = {"manager": LocalConnection(), "worker-1": LocalConnection()}

    seen = [
        measure_matrix(connections, question, 0.2, 0, counts=counts)["open"].tolist()
        for counts in (("refused",), SERVED)
    ]

    assert seen == [[True], [False]]


@needs_root
def test_a_probe_ends_with_its_input():
    """
    Nothing stays behind on an instance whose connection breaks.
    """
    connection = LocalConnection()
    expected = expected_matrix(
        LOOPBACK,
        guide_rules(OPERATOR),
        OPERATOR,
    ).head(1)

    measure_matrix({"manager": connection, "worker-1": connection}, expected, 0.1, 0)

    assert [session.process.poll() for session in connection.sessions] == [0] * 4
    assert max(session.ended_after_s for session in connection.sessions) < 5


def test_a_probe_that_cannot_run_names_the_host_and_the_reason():
    """
    For example where sudo asks for a password.
    """
    refused = LocalConnection(("sh", "-c", "echo 'a password is required' >&2; exit 1"))
    expected = expected_matrix(CLUSTER[:2], guide_rules(OPERATOR), OPERATOR)

    with pytest.raises(CommandError, match="a password is required") as caught:
        measure_matrix({"manager": refused, "worker-1": refused}, expected)

    assert shlex.quote("here") in str(caught.value)


def a_difference():
    expected = expected_matrix(CLUSTER, guide_rules(OPERATOR), OPERATOR)
    measured = expected.assign(answer=expected["open"].map({True: "refused", False: "silence"}))
    row = expected.query("source == 'outside' and target == 'worker-3' and port == 2377").index[0]
    measured.loc[row, ["open", "answer"]] = [True, "accepted"]
    return expected, measured


def test_a_difference_is_explained_by_what_was_expected_seen_and_likely():
    """
    One row a difference, and the same in words for the failed check.
    """
    differences = compare(*a_difference())

    assert differences.iloc[0].tolist() == [
        *("outside", "worker-3", "tcp", 2377, "closed", "open (accepted)"),
        "worker-3 is in an extra group, or a group has a rule that no table has",
    ]
    assert explain(differences).startswith(
        "outside to worker-3 tcp/2377: expected closed, saw open"
    )


def test_the_title_of_the_picture_says_what_was_found():
    """
    Both where all is well and where it is not.
    """
    expected, measured = a_difference()

    good = plot_matrix(expected, expected.assign(answer="")).to_dict()["title"]["text"]
    bad = plot_matrix(expected, measured).to_dict()["title"]["text"]

    assert good.startswith("The firewall is what the tables say: all 504 answers as expected (224")
    assert bad.startswith(
        "1 of 504 answers differ from the tables; the first is outside to worker-3"
    )
