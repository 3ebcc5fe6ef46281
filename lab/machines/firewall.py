"""
The hypervisor's rules for one instance, as text: security groups, public address, metadata.

The whole text is computed from the groups each time and applied where it changed, so no way of
changing a group can be forgotten. See `guest/network` for the two network namespaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

_PROTOCOL = re.compile(r"-1|tcp|udp|icmp|icmpv6|[0-9]{1,3}")
METADATA_ADDRESS = "169.254.169.254"


@dataclass(frozen=True)
class Rule:
    """
    One permission of a security group, its groups already resolved to addresses.

    `protocol` is EC2's: "tcp", "udp", "icmp", a number, or "-1" for all. For ICMP the two ports
    are type and code. `peers` are IPv4 addresses or networks; an empty tuple allows none.
    """

    protocol: str
    from_port: int | None
    to_port: int | None
    peers: tuple[str, ...]


@dataclass(frozen=True)
class NetworkInterface:
    """
    The hypervisor's side of an instance's network interface.
    """

    private_address: str
    public_address: str = ""
    metadata: bool = True
    metadata_hops: int = 1  # how far its answers travel: 1 is the guest itself
    source_check: bool = True
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()


def interface_script(interface: NetworkInterface, *, public_pool: str, metadata_server: str) -> str:
    """
    Write the shell script that sets the routes and rules of this interface.

    It can run repeatedly, and replaces all rules in one transaction. It stops at the first error
    and leaves the previous rules in force. `metadata_server` is host:port.
    """
    public = interface.public_address
    public_route = f"ip route replace {public}/32 dev vg\n" if public else ""
    ruleset = _ruleset(interface, public_pool, metadata_server)
    return f"""\
set -e
for route in $(ip route show dev vg | awk '{{print $1}}'); do
    [ "$route" = {interface.private_address} ] || ip route del "$route" dev vg
done
{public_route}nft -f - <<'RULES'
{ruleset}RULES
"""


def _ruleset(interface: NetworkInterface, public_pool: str, metadata_server: str) -> str:
    spoofed = f'iifname "vg" ip saddr != {interface.private_address} drop'
    from_metadata = f"ct original ip daddr {METADATA_ADDRESS}"
    # at the host's own address, neither the instance's options nor its hop limit would hold
    host, _, port = metadata_server.partition(":")
    around = f"ct original ip daddr {host} tcp dport {port} drop"
    chains = [
        _chain("ingress", _lines(interface.ingress, "saddr")),
        _chain(
            "egress",
            [f"{from_metadata} accept", *_lines(interface.egress, "daddr")],
        ),
        _chain(
            "groups",
            [
                "type filter hook forward priority 0; policy drop;",
                *([spoofed] if interface.source_check else []),
                around,
                f'oifname "vg" {from_metadata} ip ttl set {interface.metadata_hops}',
                "ct state established,related accept",
                'iifname "eth0" oifname "vg" jump ingress',
                'iifname "vg" oifname "eth0" jump egress',
            ],
        ),
    ]
    if interface.public_address:
        incoming = f'iifname "eth0" ip daddr {interface.public_address}'
        # A connection to another instance's public address comes from this one's, as on AWS.
        outgoing = f'oifname "eth0" ip daddr {public_pool}'
        chains += [
            _translation(
                "public_in", "prerouting", f"{incoming} dnat ip to {interface.private_address}"
            ),
            _translation(
                "public_out", "postrouting", f"{outgoing} snat ip to {interface.public_address}"
            ),
        ]
    if interface.metadata:
        request = f'iifname "vg" ip daddr {METADATA_ADDRESS} tcp dport 80'
        chains.append(
            _translation("metadata", "prerouting", f"{request} dnat ip to {metadata_server}")
        )
    return (
        "table inet lab_groups\ndelete table inet lab_groups\n"
        "table inet lab_groups {\n" + "".join(chains) + "}\n"
    )


def _chain(name: str, lines: Iterable[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _translation(name: str, hook: str, rule: str) -> str:
    priority = {"prerouting": -100, "postrouting": 100}[hook]
    return _chain(name, [f"type nat hook {hook} priority {priority};", rule])


def _lines(rules: Iterable[Rule], side: str) -> list[str]:
    """
    One line for each distinct rule, sorted, so that equal groups give equal text.

    A rule with anything else than a protocol, ports and addresses admits nothing: its text would
    become rules of its own, and moto takes any.
    """
    return sorted(
        {
            f"ip {side} {{ {', '.join(sorted(set(rule.peers)))} }} {_matched(rule)}accept"
            if len(rule.peers) > 1
            else f"ip {side} {rule.peers[0]} {_matched(rule)}accept"
            for rule in rules
            if rule.peers and _is_plain(rule)
        }
    )


def _is_plain(rule: Rule) -> bool:
    ports = all(port is None or type(port) is int for port in (rule.from_port, rule.to_port))
    return ports and bool(_PROTOCOL.fullmatch(rule.protocol)) and all(map(_is_network, rule.peers))


def _is_network(peer: str) -> bool:
    try:
        return peer in (str(IPv4Network(peer)), str(IPv4Network(peer).network_address))
    except ValueError:
        return False


def _matched(rule: Rule) -> str:
    first, last = rule.from_port, rule.to_port
    everything = first in (None, -1)
    if rule.protocol == "-1":
        return ""
    if rule.protocol in ("tcp", "udp") and not everything:
        ports = f"{first}" if first == last else f"{first}-{last}"
        return f"{rule.protocol} dport {ports} "
    if rule.protocol == "icmp" and not everything:
        code = "" if last in (None, -1) else f"icmp code {last} "
        return f"icmp type {first} {code}"
    return f"meta l4proto {rule.protocol} "
