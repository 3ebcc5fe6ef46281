"""
The guide's tables as data, and the comparison with what a group holds.
"""

import json

import pytest

from runbook_lib.cloud.firewall import (
    Permission,
    Rule,
    Sender,
    allows,
    guide_rules,
    rule_changes,
    wanted_rules,
)
from runbook_lib.cloud.roles import get_role
from runbook_lib.core.errors import ParameterError
from tests.places import DATA

CASES = sorted((DATA / "rule_changes").glob("*.json"))
OPERATOR = "203.0.113.7/32"
RULES = guide_rules(OPERATOR)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_rules_are_compared_as_the_case_says(path):
    """
    The name of each file is the sentence that it specifies.
    """
    case = json.loads(path.read_text())
    expected = (
        [Rule(**rule) for rule in case["authorize"]],
        [Permission(**held) for held in case["revoke"]],
    )

    actual = rule_changes(
        [Permission(**held) for held in case["actual"]], [Rule(**rule) for rule in case["wanted"]]
    )

    assert expected == actual


def test_the_tables_hold_the_ports_of_the_guide_and_two_more():
    """
    G3 to G5, SSH (X3) and the image registry.
    """
    expected = {
        "worker": {
            ("tcp", 2376), ("tcp", 7946), ("udp", 7946), ("udp", 4789), ("tcp", 5001), ("tcp", 22),
        },
        "manager": {("tcp", 2377), ("tcp", 5672), ("tcp", 15672), ("tcp", 15674)},
        "web": {("tcp", 8080), ("tcp", 5000)},
    }  # fmt: skip

    actual = {name: {(r.protocol, r.port) for r in RULES if r.group == name} for name in expected}

    assert expected == actual


def test_only_the_web_ports_are_open_to_the_internet():
    """
    X3: in particular not 22.
    """
    assert {8080, 5000} == {r.port for r in RULES if r.source == "0.0.0.0/0"}


@pytest.mark.parametrize(
    ("network", "sources"),
    [
        ("198.51.100.0/24", {"198.51.100.0/24", OPERATOR}),
        ("203.0.113.0/24", {"203.0.113.0/24"}),
        (OPERATOR, {OPERATOR}),
    ],
)
def test_the_web_ports_are_open_to_a_network_and_to_the_operator_who_checks_them(network, sources):
    rules = wanted_rules(OPERATOR, web_cidr=network)
    assert {(port, source) for port in (8080, 5000) for source in sources} == {
        (r.port, r.source) for r in rules if r.group == "web"
    }
    assert "0.0.0.0/0" not in {r.source for r in rules}
    assert [r for r in RULES if r.group != "web"] == [r for r in rules if r.group != "web"]


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("everybody", "Expected 4 octets"),
        ("198.51.100.7/24", "198.51.100.7/24 has host bits set"),
        ("198.51.100.7", "expected a CIDR such as 198.51.100.7/32"),
        ("198.51.100.0/33", "'33' is not a valid netmask"),
        ("::/0", "Expected 4 octets"),
    ],
)
def test_what_is_no_network_opens_no_web_port(network, reason):
    with pytest.raises(ParameterError, match="web_cidr: expected an IPv4 network") as caught:
        guide_rules(OPERATOR, network)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "cidr", ["", "0.0.0.0/0", "203.0.113.0/24", "203.0.113.7", "203.0.113.999/32", "::1/32"]
)
def test_ssh_is_opened_to_one_address_or_not_at_all(cidr):
    """
    The message repeats the bad value.
    """
    with pytest.raises(ParameterError, match="operator_cidr: expected one IPv4 address") as caught:
        guide_rules(cidr)

    assert repr(cidr) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "web: tcp/80 from 0.0.0.0/0",
        "worker: udp/53 from worker",
        "manager: tcp/65535 from 198.51.100.0/24",
    ],
)
def test_a_rule_of_another_stack_stands_beside_the_guides(text):
    rules = wanted_rules(OPERATOR, [text, text])

    assert RULES == rules[:-1]
    assert (text, "open_ports") == (str(rules[-1]), rules[-1].listed_in)


def test_a_rule_that_the_guide_has_stays_the_guides():
    assert RULES == wanted_rules(OPERATOR, ["web: tcp/8080 from 0.0.0.0/0"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("80", "expected GROUP: PROTOCOL/PORT from SOURCE"),
        ("web: tcp/80-90 from 0.0.0.0/0", "expected GROUP: PROTOCOL/PORT from SOURCE"),
        ("web: icmp/80 from 0.0.0.0/0", "expected GROUP: PROTOCOL/PORT from SOURCE"),
        ("db: tcp/80 from 0.0.0.0/0", "expected one of the groups worker, manager, web, backup"),
        ("web: tcp/0 from 0.0.0.0/0", "expected a port from 1 to 65535, saw 0"),
        ("web: tcp/65536 from 0.0.0.0/0", "expected a port from 1 to 65535, saw 65536"),
        ("web: tcp/22 from 0.0.0.0/0", "SSH is opened to operator_cidr alone"),
        ("worker: tcp/022 from worker", "SSH is opened to operator_cidr alone"),
        ("web: tcp/80 from everywhere", "expected a group or an IPv4 CIDR after from"),
        (
            "web: tcp/80 from 10.0.0.1/8",
            "expected a group or an IPv4 CIDR after from; 10.0.0.1/8 has host bits",
        ),
        (
            "web: tcp/80 from 10.0.0.1",
            "expected a group or an IPv4 CIDR after from; expected a CIDR such as 10.0.0.1/32",
        ),
        ("web: tcp/80 from 2001:db8::/32", "expected a group or an IPv4 CIDR after from"),
    ],
)
def test_what_is_no_rule_of_a_stack_is_refused_with_the_reason(text, reason):
    with pytest.raises(ParameterError, match="open_ports: expected rules such as") as caught:
        wanted_rules(OPERATOR, [text, "web: tcp/80 from worker"])

    assert f"{text!r}: {reason}" in str(caught.value)


def test_every_wrong_rule_is_told_at_once():
    with pytest.raises(ParameterError, match=r"'a': (.|\n)*'b': "):
        wanted_rules(OPERATOR, ["a", "b"])


def test_every_worker_is_in_the_group_worker():
    """
    Whatever its number.
    """
    assert get_role("worker-12").groups == ("worker",)


@pytest.mark.parametrize("role", ["manager", "admin-web", "manager-backup"])
def test_a_manager_is_in_all_three_groups(role):
    """
    X4 and X5.
    """
    assert {"worker", "manager", "web"} <= set(get_role(role).groups)


def test_an_unknown_role_has_no_groups():
    """
    Rather an error than an instance without a firewall.
    """
    with pytest.raises(ParameterError, match=r"expected one of the roles .* saw 'database'"):
        get_role("database")


@pytest.mark.parametrize(
    ("target", "protocol", "port", "sender", "expected"),
    [
        ("manager", "tcp", 2377, Sender("172.31.0.5", ("worker",)), True),
        ("manager", "tcp", 2377, Sender("172.31.0.4", get_role("admin-web").groups), True),
        ("worker-1", "tcp", 2377, Sender("172.31.0.5", ("worker",)), False),
        ("manager", "udp", 4789, Sender("172.31.0.5", ("worker",)), True),
        ("manager", "tcp", 4789, Sender("172.31.0.5", ("worker",)), False),
        ("manager", "tcp", 2377, Sender("198.51.100.20"), False),
        ("manager", "tcp", 8080, Sender("198.51.100.20"), True),
        ("worker-1", "tcp", 8080, Sender("198.51.100.20"), False),
        ("worker-1", "tcp", 22, Sender("203.0.113.7"), True),
        ("worker-1", "tcp", 22, Sender("203.0.113.8"), False),
    ],
)
def test_a_packet_is_let_in_as_ec2_would(target, protocol, port, sender, expected):
    """
    A group matches by membership and a CIDR by address; anything else is dropped.
    """
    assert expected == allows(RULES, target, protocol, port, sender)


def test_ssh_between_instances_is_for_the_manager_and_its_backup_alone():
    """Of all senders inside, 22 opens to these two only, and only for each other."""
    roles = ["manager", "admin-web", "manager-backup", "worker-1"]
    opened = {
        (source, target)
        for source in roles
        for target in roles
        if source != target
        and allows(RULES, target, "tcp", 22, Sender("172.31.0.9", get_role(source).groups))
    }

    assert {("manager", "manager-backup"), ("manager-backup", "manager")} == opened
