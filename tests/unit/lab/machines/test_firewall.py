"""
Security groups as nftables rules.
"""

import pytest

from lab.machines.firewall import NetworkInterface, Rule, interface_script

SELF = "172.31.0.4"


def lines_of(chain: str, interface: NetworkInterface) -> list[str]:
    script = interface_script(
        interface, public_pool="172.31.128.0/17", metadata_server="172.31.0.1:5566"
    )
    _, found, rest = script.partition(f"chain {chain} {{\n")
    return [line.strip() for line in rest.partition("  }")[0].splitlines()] if found else []


def test_without_rules_nothing_comes_in():
    """Default deny for what is forwarded, and no rule that lets anything pass."""
    interface = NetworkInterface(SELF)
    assert lines_of("ingress", interface) == []
    assert "type filter hook forward priority 0; policy drop;" in lines_of("groups", interface)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("tcp", 22, 22, ("10.0.0.0/8",)), "ip saddr 10.0.0.0/8 tcp dport 22 accept"),
        (Rule("udp", 7000, 7010, ("1.2.3.4",)), "ip saddr 1.2.3.4 udp dport 7000-7010 accept"),
        (Rule("tcp", None, None, ("1.2.3.4",)), "ip saddr 1.2.3.4 meta l4proto tcp accept"),
        (Rule("-1", None, None, ("0.0.0.0/0",)), "ip saddr 0.0.0.0/0 accept"),
        (Rule("icmp", -1, -1, ("1.2.3.4",)), "ip saddr 1.2.3.4 meta l4proto icmp accept"),
        (Rule("icmp", 8, 0, ("1.2.3.4",)), "ip saddr 1.2.3.4 icmp type 8 icmp code 0 accept"),
        (Rule("50", -1, -1, ("1.2.3.4",)), "ip saddr 1.2.3.4 meta l4proto 50 accept"),
        (
            Rule("tcp", 2377, 2377, ("172.31.0.9", "172.31.0.5")),
            "ip saddr { 172.31.0.5, 172.31.0.9 } tcp dport 2377 accept",
        ),
    ],
)
def test_a_permission_becomes_one_line(rule, expected):
    """Protocols, port ranges, ICMP's type and code, and the members of a group."""
    assert [expected] == lines_of("ingress", NetworkInterface(SELF, ingress=(rule,)))


def test_egress_is_by_destination():
    """And metadata is always reachable, as AWS's groups do not cover it."""
    interface = NetworkInterface(SELF, egress=(Rule("-1", None, None, ("0.0.0.0/0",)),))
    assert lines_of("egress", interface) == [
        "ct original ip daddr 169.254.169.254 accept",
        "ip daddr 0.0.0.0/0 accept",
    ]


def test_a_group_without_members_admits_no_traffic():
    """No line at all: an empty set would be a syntax error."""
    assert lines_of("ingress", NetworkInterface(SELF, ingress=(Rule("-1", None, None, ()),))) == []


def test_the_same_permissions_give_the_same_text():
    """Whatever their order, and when two groups grant the same: so nothing is applied twice."""
    one, two = Rule("tcp", 1, 1, ("1.1.1.1",)), Rule("tcp", 2, 2, ("2.2.2.2",))
    assert lines_of("ingress", NetworkInterface(SELF, ingress=(one, two, one))) == lines_of(
        "ingress", NetworkInterface(SELF, ingress=(two, one))
    )


def test_a_public_address_is_translated_both_ways():
    """From anywhere to the private address; to public addresses from the public one."""
    interface = NetworkInterface(SELF, public_address="172.31.128.1")
    assert lines_of("public_in", interface)[1].endswith(
        "ip daddr 172.31.128.1 dnat ip to 172.31.0.4"
    )
    assert lines_of("public_out", interface)[1].endswith(
        "ip daddr 172.31.128.0/17 snat ip to 172.31.128.1"
    )
    assert lines_of("public_in", NetworkInterface(SELF)) == []


def test_metadata_and_the_source_check_can_be_switched_off():
    """As the instance's attributes say."""
    interface = NetworkInterface(SELF, metadata=False, source_check=False)
    assert lines_of("metadata", interface) == []
    assert not any("!=" in line for line in lines_of("groups", interface))
    assert 'iifname "vg" ip saddr != 172.31.0.4 drop' in lines_of("groups", NetworkInterface(SELF))
    assert lines_of("metadata", NetworkInterface(SELF))[1].endswith("dnat ip to 172.31.0.1:5566")


def test_answers_of_the_metadata_service_get_no_further_than_they_may():
    """One hop: the guest, and no container in it; AWS limits the answer that has the token."""
    answer = 'oifname "vg" ct original ip daddr 169.254.169.254 ip ttl set'

    assert f"{answer} 1" in lines_of("groups", NetworkInterface(SELF))
    assert f"{answer} 2" in lines_of("groups", NetworkInterface(SELF, metadata_hops=2))


HOSTILE = "tcp accept; } chain ingress { accept"


@pytest.mark.parametrize(
    "rule",
    [
        Rule(HOSTILE, 22, 22, ("1.2.3.4",)),
        Rule("tcp\naccept", 22, 22, ("1.2.3.4",)),
        Rule("", 22, 22, ("1.2.3.4",)),
        Rule("٢", 22, 22, ("1.2.3.4",)),
        Rule("tcp", "22 accept", 22, ("1.2.3.4",)),
        Rule("tcp", 22, "22 }", ("1.2.3.4",)),
        Rule("tcp", 22, 22, ("1.2.3.4", "0.0.0.0/0 accept; ip saddr 1.1.1.1")),
        Rule("-1", None, None, ("0.0.0.0/0\n",)),
        Rule("tcp", 22, 22, ("RULES\nid",)),
    ],
)
def test_a_rule_with_any_other_text_admits_nothing(rule):
    """The text of the rules is a script: what is raw in it would be rules, and commands."""
    script = interface_script(
        NetworkInterface(SELF, ingress=(rule,), egress=(rule,)),
        public_pool="172.31.128.0/17",
        metadata_server="172.31.0.1:5566",
    )
    bare = interface_script(
        NetworkInterface(SELF), public_pool="172.31.128.0/17", metadata_server="172.31.0.1:5566"
    )
    assert bare == script


def test_metadata_is_reached_by_its_own_address_only():
    """At the host's address the options of an instance and the hop limit would not hold."""
    for interface in (NetworkInterface(SELF), NetworkInterface(SELF, metadata=False)):
        lines = lines_of("groups", interface)
        drop = "ct original ip daddr 172.31.0.1 tcp dport 5566 drop"
        assert lines.index(drop) < lines.index("ct state established,related accept")
